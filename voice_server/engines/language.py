"""Language models in a chain: the first that answers writes the turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial

import msgspec

from voice_server.call.events import Consumed, ReplyEnded, ReplyText, ToolRequested
from voice_server.engines.health import Health
from voice_server.engines.race import Runner, race
from voice_server.errors import ServiceError
from voice_server.limits import Limits
from voice_server.ports import LanguageModel, ReplyRequest

_SHUNNED_S = 60.0  # a model that left the caller with half an answer

Piece = ReplyText | ToolRequested | ReplyEnded | Consumed


class LanguageLink(msgspec.Struct, frozen=True):
    """One model of a chain; a `reserve` answers only when all before it have failed."""

    model: LanguageModel
    health: Health
    limits: Limits
    reserve: bool = False


class LanguageChain:
    """A `LanguageModel` of several, best first, for one call.

    The last is asked however it has been doing. One that broke off in the middle of an answer
    is not asked for a minute: the caller has borne an apology and should not hear a second.
    """

    def __init__(
        self, links: Sequence[LanguageLink], on_question: Callable[[], None] = lambda: None
    ) -> None:
        """`on_question` is called whenever the models are asked."""
        assert links
        self._links = tuple(links)
        self._on_question = on_question
        self._shunned: dict[int, float] = {}  # until when, by place

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[Piece, None]:
        """Answer with the first model that does; raises what the last one raised."""
        self._on_question()
        now, last = asyncio.get_running_loop().time(), len(self._links) - 1
        runners = [
            Runner(link.health, link.limits, partial(self._ask, place, request), link.reserve)
            for place, link in enumerate(self._links)
            if place == last or self._shunned.get(place, now) <= now
        ]
        stream = race(runners)
        try:
            async for piece in stream:
                yield piece
        finally:
            await stream.aclose()

    async def _ask(self, place: int, request: ReplyRequest) -> AsyncGenerator[Piece, None]:
        begun = False
        try:
            async with aclosing(self._links[place].model.reply(request)) as pieces:
                async for piece in pieces:
                    begun = True
                    yield piece
        except ServiceError:
            if begun:
                self._shunned[place] = asyncio.get_running_loop().time() + _SHUNNED_S
            raise
