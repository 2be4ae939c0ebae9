"""Anthropic's messages API on the wire, as of version 2026-10-21."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from voice_server.llm.catalogue import ModelCard
from voice_server.llm.remote.anthropic_chat import MESSAGES
from voice_server.testing.lab.events import HTML, Piece, Visit, sliced
from voice_server.testing.lab.faults import Fault
from voice_server.testing.lab.mind import Asked, Rebuilt, Said, text_of
from voice_server.testing.lab.model import Prompt, Wire

_VERSION = "2026-10-21"


def messages(*, thoughts: str = "") -> Wire:
    """Anthropic's wire. `thoughts` is a thinking block before the text, where it is not off."""

    def write(body: dict[str, Any], visit: Visit, said: Said, prompt: Prompt) -> _Writing:
        off = (body.get("thinking") or {}).get("type") == "disabled"
        return _Writing(visit, said, prompt, "" if off else thoughts)

    return Wire(
        dialect=MESSAGES,
        roots=("/v1",),
        path="/messages",
        key=_key,
        refusals=_REFUSALS,
        garbled=_error(400, "invalid_request_error", "The request body is not valid JSON"),
        unknown=lambda model: _error(404, "not_found_error", f"model: {model}"),
        read=_read,
        write=write,
        broken=_broken,
        listing=_listing,
    )


def _key(headers: Headers) -> str:
    return headers.get("x-api-key", headers.get("authorization", "").removeprefix("Bearer "))


def _listing(cards: Sequence[ModelCard]) -> dict[str, Any]:
    listed = [
        {
            "type": "model",
            "id": card.id,
            "display_name": card.id.replace("-", " ").title(),
            "created_at": "2026-01-01T00:00:00Z",
        }
        for card in cards
    ]
    first, last = listed[0]["id"], listed[-1]["id"]
    return {"data": listed, "has_more": False, "first_id": first, "last_id": last}


class _Writing:
    """One answer, written as events or whole."""

    def __init__(self, visit: Visit, said: Said, prompt: Prompt, thoughts: str) -> None:
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


def _read(body: dict[str, Any], card: ModelCard, headers: Headers) -> Asked | Response:
    asked = _unfit(body, card, headers.get("anthropic-version", "")) or _asked(body)
    return _error(400, "invalid_request_error", asked) if isinstance(asked, str) else asked


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


_REFUSALS = {
    Fault.UNAUTHORIZED: _error(401, "authentication_error", "invalid bearer token"),
    Fault.RATE_LIMITED: _error(429, "rate_limit_error", "Rate limited"),
    Fault.SERVER_ERROR: _error(529, "overloaded_error", "Overloaded"),
    Fault.QUOTA: _error(402, "billing_error", "Your credit balance is too low"),
}


def _broken(fault: Fault) -> bytes:
    if fault is Fault.GARBAGE:
        return b'event: content_block_delta\ndata: {"type": "content_bl\n\n' + HTML + b"\n\n"
    kind = "billing_error" if fault is Fault.QUOTA else "overloaded_error"
    error = {"type": "error", "error": {"type": kind, "message": "Overloaded"}}
    return b"event: error\ndata: " + msgspec.json.encode(error) + b"\n\n"
