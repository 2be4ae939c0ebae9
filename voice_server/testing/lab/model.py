"""A provider of language models on the wire: keys, a catalogue, faults, a pace and a meter.

A byte of the answer, for `Injection.after_bytes`, is a character of text or tool arguments.
Four characters are a token, and so are four bytes of a message; prefixes seen before come from
the cache. Input is billed from the beginning of the answer's work and output as it is sent, also
to a client that went away, as providers do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voice_server.llm.catalogue import Catalogue, ModelCard, shipped
from voice_server.llm.remote.dialect import Dialect
from voice_server.llm.remote.usage import PromptMemory, weigh
from voice_server.testing.lab.events import Meter, Pace, Piece, Pieces, Visit
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.mind import Asked, Mind, ReceptionistMind, Said

Prompt = tuple[int, int, int]  # fresh, cached and written tokens


class Writing(Protocol):
    """One answer; `tokens` are billed for all of it."""

    tokens: int

    def pieces(self) -> Iterator[Piece]:
        """As events."""
        ...

    def whole(self) -> dict[str, Any]:
        """As one object."""
        ...


class Wire(msgspec.Struct, frozen=True):
    """How a provider spells requests, answers and refusals."""

    dialect: Dialect  # which it answers
    roots: tuple[str, ...]
    path: str  # of the answers, below a root; the models are at /models
    key: Callable[[Headers], str]
    refusals: Mapping[Fault, Response]  # instead of an answer
    garbled: Response
    unknown: Callable[[str], Response]  # model
    read: Callable[[dict[str, Any], ModelCard, Headers], Asked | Response]
    write: Callable[[dict[str, Any], Visit, Said, Prompt], Writing]
    broken: Callable[[Fault], bytes]  # the middle of an answer, gone wrong
    listing: Callable[[Sequence[ModelCard]], dict[str, Any]]
    unsaid: int = 0  # tokens of a whole answer that are billed, but not sent


class ModelSimulator:
    """Serve `app`. `plan` says which request fails how.

    Change `plan`, `pace` and `keys` at will: a key is revoked between two requests.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        mind: Mind | None = None,
        keys: frozenset[str] = frozenset(),
        plan: FaultPlan | None = None,
        pace: Pace = Pace(),  # noqa: B008 - frozen
        catalogue: Catalogue | None = None,
        today: date = date(2026, 11, 22),
    ) -> None:
        """No `keys` = any key will do. Models outside the catalogue or retired are unknown."""
        self.mind = mind or ReceptionistMind()
        self.plan = plan or FaultPlan()
        self.pace = pace
        self.keys = keys
        self.meter = Meter()
        self.visits: list[Visit] = []
        self.bodies: list[dict[str, Any]] = []
        self._wire = wire
        self._cards = [
            card
            for card in (catalogue or shipped()).cards
            if card.provider == wire.dialect.service and not card.retired(today)
        ]
        self._memories: dict[str, PromptMemory] = {}
        routes = []
        for root in wire.roots:
            routes.append(Route(root + wire.path, self._create, methods=["POST"]))
            routes.append(Route(f"{root}/models", self._models))
        self.app = Starlette(routes=routes)

    async def _models(self, request: Request) -> Response:
        if not self._key(request):
            return self._wire.refusals[Fault.UNAUTHORIZED]
        return JSONResponse(self._wire.listing(self._cards))

    def _key(self, request: Request) -> str:
        key = self._wire.key(request.headers)
        return key if not self.keys or key in self.keys else ""

    def _card(self, model: str) -> ModelCard | None:
        name = model.removeprefix("models/")
        return next((card for card in self._cards if name in (card.id, *card.also)), None)

    async def _create(self, request: Request) -> Response:
        wire, injection = self._wire, self.plan.take()
        if not (key := self._key(request)):
            return wire.refusals[Fault.UNAUTHORIZED]
        text = await request.body()
        if not injection.after_bytes and injection.fault in wire.refusals:
            await asyncio.sleep(self.pace.first_byte_s)
            if not await request.is_disconnected():
                return wire.refusals[injection.fault]
            injection = Injection()  # who does not wait for a refusal is served
        try:
            body = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.MsgspecError:
            return wire.garbled
        model = str(body.get("model", ""))
        if (card := self._card(model)) is None:
            return wire.unknown(model)
        asked = wire.read(body, card, request.headers)
        if isinstance(asked, Response):
            return asked
        self.bodies.append(body)
        visit = Visit(
            number=self.plan.seen,
            path=request.url.path,
            model=model,
            fault=injection.fault,
            arrived_at=asyncio.get_running_loop().time(),
        )
        self.visits.append(visit)
        prompt = self._prompt(key, body, card)
        writing = wire.write(body, visit, await self.mind(asked), prompt)

        def settle(done: Visit) -> None:
            output = done.sent_tokens + (wire.unsaid if done.finished else 0)
            self.meter.bill(done, f"{card.provider}.{card.id}", prompt, output)

        if not body.get("stream"):
            visit.sent_tokens, visit.finished = writing.tokens, True
            settle(visit)
            return JSONResponse(writing.whole())
        return Pieces(
            writing.pieces(),
            pace=self.pace,
            injection=injection,
            visit=visit,
            settle=settle,
            broken=wire.broken,
        )

    def _prompt(self, key: str, body: dict[str, Any], card: ModelCard) -> Prompt:
        """What the prompt counts; it is remembered."""
        memory = self._memories.setdefault(key, PromptMemory())
        scope = f"{card.id} {body.get('prompt_cache_key') or ''}"
        dialect = self._wire.dialect
        parts = dialect.parts(body)
        weights = weigh(parts)
        known = memory.known(scope, parts, weights)
        memory.remember(scope, parts)
        return dialect.split(card, sum(weights), known)
