"""Anthropic's messages API on the wire, as of version 2026-10-21.

A byte of the answer, for `Injection.after_bytes`, is a character of text or tool arguments.
Tokens are counted as in `lab.openai`. Input is billed from the beginning of the answer's work,
output as it is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voice_server.llm.catalogue import Catalogue, ModelCard, shipped
from voice_server.llm.remote.anthropic_chat import prompt_parts
from voice_server.llm.remote.usage import PromptMemory, split_anthropic, weigh
from voice_server.testing.lab.events import HTML, Meter, Pace, Piece, Pieces, Visit, sliced
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.mind import Asked, Mind, Rebuilt, ReceptionistMind, Said, text_of

_VERSION = "2026-10-21"


class AnthropicSimulator:
    """Serve `app`. `plan` says which request fails how; change it between requests at will.

    `thoughts` is a thinking block before the text, for models whose thinking is on.
    """

    def __init__(
        self,
        *,
        mind: Mind | None = None,
        keys: frozenset[str] = frozenset(),
        plan: FaultPlan | None = None,
        pace: Pace = Pace(),  # noqa: B008 - frozen
        thoughts: str = "",
        catalogue: Catalogue | None = None,
        today: date = date(2026, 11, 22),
    ) -> None:
        """No `keys` = any key will do. Models outside the catalogue or retired are unknown."""
        self.mind = mind or ReceptionistMind()
        self.plan = plan or FaultPlan()
        self.pace = pace
        self.thoughts = thoughts
        self.meter = Meter()
        self.visits: list[Visit] = []
        self.bodies: list[dict[str, Any]] = []
        self._keys = keys
        self._catalogue = catalogue or shipped()
        self._today = today
        self._memories: dict[str, PromptMemory] = {}
        self.app = Starlette(
            routes=[
                Route("/v1/messages", self._create, methods=["POST"]),
                Route("/v1/models", self._models),
            ]
        )

    async def _models(self, request: Request) -> Response:
        if self._key(request) is None:
            return _error(401, "authentication_error", "invalid bearer token")
        listed = [
            {
                "type": "model",
                "id": card.id,
                "display_name": card.id.replace("-", " ").title(),
                "created_at": "2026-01-01T00:00:00Z",
            }
            for card in self._catalogue.cards
            if card.provider == "anthropic" and not card.retired(self._today)
        ]
        first, last = listed[0]["id"], listed[-1]["id"]
        return JSONResponse({"data": listed, "has_more": False, "first_id": first, "last_id": last})

    def _key(self, request: Request) -> str | None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        key = request.headers.get("x-api-key", bearer)
        return key if key and (not self._keys or key in self._keys) else None

    async def _create(self, request: Request) -> Response:
        injection = self.plan.take()
        key = self._key(request)
        if key is None:
            return _error(401, "authentication_error", "invalid bearer token")
        text = await request.body()
        if not injection.after_bytes and injection.fault in _STATUS_ANSWERS:
            await asyncio.sleep(self.pace.first_byte_s)
            if not await request.is_disconnected():
                return _error(*_STATUS_ANSWERS[injection.fault])
            injection = Injection()  # who does not wait for a refusal is served
        try:
            body = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.MsgspecError:
            return _error(400, "invalid_request_error", "The request body is not valid JSON")
        model = str(body.get("model", ""))
        card = self._card(model)
        if card is None:
            return _error(404, "not_found_error", f"model: {model}")
        version = request.headers.get("anthropic-version", "")
        asked = _asked(body)
        problem = _unfit(body, card, version) or (asked if isinstance(asked, str) else "")
        if problem or isinstance(asked, str):
            return _error(400, "invalid_request_error", problem)
        self.bodies.append(body)
        visit = Visit(
            number=self.plan.seen,
            path=request.url.path,
            model=model,
            fault=injection.fault,
            arrived_at=asyncio.get_running_loop().time(),
        )
        self.visits.append(visit)
        return await self._answered(key, body, card, asked, visit, injection)

    def _card(self, model: str) -> ModelCard | None:
        for card in self._catalogue.cards:
            if card.provider == "anthropic" and model in (card.id, *card.also):
                return None if card.retired(self._today) else card
        return None

    async def _answered(
        self,
        key: str,
        body: dict[str, Any],
        card: ModelCard,
        asked: Asked,
        visit: Visit,
        injection: Injection,
    ) -> Response:
        memory = self._memories.setdefault(key, PromptMemory())
        parts = prompt_parts(body)
        weights = weigh(parts)
        known = memory.known(card.id, parts, weights)
        prompt = split_anthropic(card, sum(weights), known)
        memory.remember(card.id, parts)
        said = await self.mind(asked)

        def settle(done: Visit) -> None:
            self.meter.bill(done, f"anthropic.{card.id}", prompt, done.sent_tokens)

        writing = _Writing(visit, said, prompt, "" if card.thinking else self.thoughts)
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
            broken=_broken,
        )


class _Writing:
    """One answer, written as events or whole."""

    def __init__(
        self, visit: Visit, said: Said, prompt: tuple[int, int, int], thoughts: str
    ) -> None:
        self._visit = visit
        self._said = said
        self._prompt = prompt
        self._thoughts = thoughts
        arguments = sum(1 + len(sliced(tool.arguments)) for tool in said.tools)
        self.tokens = len(sliced(thoughts)) + len(sliced(said.text)) + arguments

    @property
    def _stop(self) -> str:
        return self._said.finish or ("tool_use" if self._said.tools else "end_turn")

    def pieces(self) -> Iterator[Piece]:
        message = self._message([], None, 1 if self.tokens else 0)
        yield _piece("message_start", {"message": message}, paced=False)
        index = 0
        if self._thoughts:
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            yield from self._block(index, empty, "thinking_delta", "thinking", self._thoughts)
            index += 1
        yield _piece("ping", {}, paced=False)
        if self._said.text:
            text = {"type": "text", "text": ""}
            yield from self._block(index, text, "text_delta", "text", self._said.text)
            index += 1
        for number, tool in enumerate(self._said.tools):
            block = {"type": "tool_use", "id": self._id(number), "name": tool.name, "input": {}}
            arguments = "" if tool.arguments == "{}" else tool.arguments
            yield from self._block(
                index + number, block, "input_json_delta", "partial_json", arguments
            )
        usage = {"output_tokens": self._visit.sent_tokens}
        delta = {"stop_reason": self._stop, "stop_sequence": None}
        yield _piece("message_delta", {"delta": delta, "usage": usage}, paced=False)
        yield _piece("message_stop", {}, paced=False)

    def _block(
        self, index: int, block: dict[str, Any], kind: str, field: str, text: str
    ) -> Iterator[Piece]:
        begun = {"index": index, "content_block": block}
        is_tool = block["type"] == "tool_use"
        yield _piece("content_block_start", begun, tokens=int(is_tool), paced=is_tool)
        if is_tool:  # the first fragment is empty on the real wire too
            delta = {"type": kind, field: ""}
            yield _piece("content_block_delta", {"index": index, "delta": delta}, paced=False)
        for piece in sliced(text):
            delta = {"type": kind, field: piece}
            more = {"index": index, "delta": delta}
            yield _piece("content_block_delta", more, characters=len(piece), tokens=1)
        if kind == "thinking_delta":
            delta = {"type": "signature_delta", "signature": "c2ln"}
            yield _piece("content_block_delta", {"index": index, "delta": delta}, paced=False)
        yield _piece("content_block_stop", {"index": index}, paced=False)

    def _id(self, number: int) -> str:
        tool = self._said.tools[number]
        return f"toolu_{tool.id}" if tool.id else f"toolu_{self._visit.number}_{number}"

    def _message(self, content: list[Any], stop: str | None, output: int) -> dict[str, Any]:
        fresh, cached, written = self._prompt
        return {
            "id": f"msg_{self._visit.number}",
            "type": "message",
            "role": "assistant",
            "model": self._visit.model,
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {
                "input_tokens": fresh,
                "cache_creation_input_tokens": written,
                "cache_read_input_tokens": cached,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": written,
                    "ephemeral_1h_input_tokens": 0,
                },
                "output_tokens": output,
            },
        }

    def whole(self) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if self._said.text:
            content.append({"type": "text", "text": self._said.text})
        content += [
            {
                "type": "tool_use",
                "id": self._id(number),
                "name": tool.name,
                "input": msgspec.json.decode(tool.arguments or "{}"),
            }
            for number, tool in enumerate(self._said.tools)
        ]
        return self._message(content, self._stop, self.tokens)


def _piece(
    name: str, fields: dict[str, Any], characters: int = 0, tokens: int = 0, *, paced: bool = True
) -> Piece:
    data = msgspec.json.encode({"type": name} | fields)
    return Piece(b"event: %s\ndata: %s\n\n" % (name.encode(), data), characters, tokens, paced)


def _asked(body: dict[str, Any]) -> Asked | str:
    """The request in the words of every provider, or why it is refused."""
    rebuilt = Rebuilt()
    roles = [message.get("role") for message in body.get("messages") or ()]
    if not roles or roles[0] != "user" or set(roles) - {"user", "assistant"}:
        return 'messages: first message must use the "user" role'
    if roles[-1] == "assistant":
        return "This model does not support assistant message prefill."
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in blocks:
            match (message["role"], block.get("type")):
                case ("user", "text"):
                    rebuilt.caller(block["text"])
                case ("assistant", "text"):
                    rebuilt.agent(block["text"])
                case ("assistant", "tool_use"):
                    arguments = msgspec.json.encode(block["input"]).decode()
                    rebuilt.tool(block["id"], block["name"], arguments)
                case ("user", "tool_result"):
                    if not rebuilt.result(block["tool_use_id"], text_of(block["content"])):
                        return "messages: unexpected `tool_use_id` found in `tool_result` blocks"
                case _:
                    return "messages: unexpected block"
    tools = tuple(str(tool["name"]) for tool in body.get("tools") or ())
    return Asked(text_of(body.get("system")), rebuilt.history, tools)


def _unfit(body: dict[str, Any], card: ModelCard, version: str) -> str:
    """Why a request is refused, "" if it is not."""
    if not isinstance(body.get("max_tokens"), int):
        return "max_tokens: Field required"
    for name in ("temperature", "top_p", "top_k"):
        if name in body and version >= _VERSION:
            return f"{name}: Extra inputs are not permitted"
    if (body.get("thinking") or {}).get("type") == "disabled" and not card.thinking:
        return "thinking.type: thinking cannot be disabled for this model"
    return ""


def _error(status: int, kind: str, message: str) -> Response:
    headers = {"request-id": "req_lab"} | ({"retry-after": "20"} if status == 429 else {})
    body = {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_lab",
    }
    return JSONResponse(body, status, headers)


_STATUS_ANSWERS = {
    Fault.UNAUTHORIZED: (401, "authentication_error", "invalid bearer token"),
    Fault.RATE_LIMITED: (429, "rate_limit_error", "Rate limited"),
    Fault.SERVER_ERROR: (529, "overloaded_error", "Overloaded"),
    Fault.QUOTA: (402, "billing_error", "Your credit balance is too low"),
}


def _broken(fault: Fault) -> bytes:
    """The middle of an answer, gone wrong."""
    if fault is Fault.GARBAGE:
        return b'event: content_block_delta\ndata: {"type": "content_bl\n\n' + HTML + b"\n\n"
    kind = "billing_error" if fault is Fault.QUOTA else "overloaded_error"
    error = {"type": "error", "error": {"type": kind, "message": "Overloaded"}}
    return b"event: error\ndata: " + msgspec.json.encode(error) + b"\n\n"
