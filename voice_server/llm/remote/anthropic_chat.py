"""Claude through Anthropic's SDK: the messages API, streamed.

No temperature is ever sent: version 2026-10-21 of the API refuses it. The rules and the tools
are marked for caching, and so is the end of the conversation, which is the beginning of the
next request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from voice_server.call.events import ReplyEnded, ToolRequested
from voice_server.call.history import History
from voice_server.errors import ServiceUnavailable
from voice_server.llm.remote.answer import MAX_ANSWER, ToolParts, ending
from voice_server.llm.remote.dialect import Dialect, Sdk
from voice_server.llm.remote.mind import Mind
from voice_server.llm.remote.prompt import (
    AgentTurn,
    CallerTurn,
    arguments_of,
    call_id,
    house_rules,
    messages_of,
    result_of,
    this_call,
)
from voice_server.llm.remote.shape import entry
from voice_server.llm.remote.usage import OutputCount, Usage, from_anthropic, split_anthropic
from voice_server.llm.tool_schemas import for_anthropic
from voice_server.ports import ReplyRequest

SERVICE = "anthropic"
_CACHED = {"type": "ephemeral"}
_REHEARSAL = b"""\
event: message_start
data: {"type":"message_start","message":{"id":"","type":"message","role":"assistant","model":"",\
"content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello."}}

event: message_stop
data: {"type":"message_stop"}

"""


def _sdk() -> Sdk:
    import anthropic

    return Sdk(
        client=anthropic.AsyncAnthropic,
        http=anthropic.DefaultAsyncHttpxClient,
        stream=anthropic.AsyncStream[object],
        error=anthropic.AnthropicError,
    )


def _body(mind: Mind, tools: list[dict[str, Any]], request: ReplyRequest) -> dict[str, Any]:
    rules = house_rules(request.facts, mind.instructions)
    body: dict[str, Any] = {
        "model": mind.model,
        "max_tokens": mind.max_tokens,
        "system": [
            {"type": "text", "text": rules, "cache_control": _CACHED},
            {"type": "text", "text": this_call(request.facts)},
        ],
        "messages": _messages(request.history),
        "stream": True,
    }
    if tools:
        body["tools"] = tools
    if mind.card.thinking:
        body["thinking"] = {"type": mind.card.thinking}
    return body


def prompt_parts(body: Mapping[str, Any]) -> list[Any]:
    """What of a request counts as input, in the order in which it is cached.

    The marks for caching move along the conversation and are no part of what is cached.
    """
    blocks = [*body.get("tools", ()), *_blocks(body.get("system") or ())]
    for message in body["messages"]:
        blocks += [[message["role"], block] for block in _blocks(message["content"])]
    return [_unmarked(block) for block in blocks]


def _blocks(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _unmarked(block: Any) -> Any:
    if isinstance(block, list):
        return [block[0], _unmarked(block[1])]
    return {name: value for name, value in block.items() if name != "cache_control"}


def _messages(history: History) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for message in messages_of(history):
        if isinstance(message, CallerTurn):
            _add(found, "user", [{"type": "text", "text": message.text}])
        elif isinstance(message, AgentTurn):
            _add(found, "assistant", [{"type": "text", "text": message.text}])
        else:
            calls = [
                {
                    "type": "tool_use",
                    "id": call_id(used),
                    "name": used.name,
                    "input": arguments_of(used),
                }
                for used in message.used
            ]
            _add(found, "assistant", calls)
            results = [
                {
                    "type": "tool_result",
                    "tool_use_id": call_id(used),
                    "content": result_of(used),
                    "is_error": _failed(used.result),
                }
                for used in message.used
            ]
            _add(found, "user", results)
    found[-1]["content"][-1]["cache_control"] = _CACHED
    return found


def _add(found: list[dict[str, Any]], role: str, blocks: list[dict[str, Any]]) -> None:
    """Add blocks; roles must alternate, so equal ones become one message."""
    if found and found[-1]["role"] == role:
        found[-1]["content"] += blocks
    else:
        found.append({"role": role, "content": blocks})


def _failed(result: str | None) -> bool:
    try:
        decoded = msgspec.json.decode(result or "{}")
    except msgspec.MsgspecError:
        return True
    return isinstance(decoded, dict) and "error" in decoded


class MessageAnswer:
    """Puts a streamed message together."""

    __slots__ = ("_started", "_stopped", "_text", "_tools", "_usage", "received")

    def __init__(self) -> None:
        self._text: list[str] = []
        self._tools: dict[int, ToolParts] = {}
        self._started: Any = None  # the input's usage comes at the start
        self._usage: Usage | None = None
        self._stopped = ""
        self.received = OutputCount()

    @property
    def finished(self) -> bool:
        """The reason to stop is known, and with it the whole usage."""
        return bool(self._stopped)

    @property
    def usage(self) -> Usage | None:
        """The whole usage, or its known half with an estimated output; None before the start."""
        if self._usage is not None or self._started is None:
            return self._usage
        known = from_anthropic(self._started, self.received.tokens)
        return msgspec.structs.replace(known, estimated=True)

    def take(self, event: Any) -> str:
        """Take an event; returns its text. Raises `ServiceUnavailable` for what cannot be."""
        match entry(event, "type"):
            case "message_start":
                self._started = entry(entry(event, "message"), "usage")
            case "content_block_start":
                return self._begin(event)
            case "content_block_delta":
                return self._more(event)
            case "message_delta":
                self._stop(event)
        return ""

    def _begin(self, event: Any) -> str:
        block = entry(event, "content_block")
        if entry(block, "type") == "tool_use":
            parts = ToolParts(_string(block, "id"), _string(block, "name"))
            self._tools[_place(event)] = parts
            self.received.tool()
            return ""
        if entry(block, "type") == "text":
            return self._say(_string(block, "text"))
        return ""

    def _more(self, event: Any) -> str:
        delta = entry(event, "delta")
        match entry(delta, "type"):
            case "text_delta":
                return self._say(_string(delta, "text"))
            case "input_json_delta":
                parts = self._tools.get(_place(event))
                if parts is None:
                    raise ServiceUnavailable(SERVICE, "tool arguments before their tool")
                piece = _string(delta, "partial_json")
                parts.add(piece)
                self.received.text(piece, id(parts))
                self._check_size(len(parts.arguments))
            case "thinking_delta":
                self.received.text(_string(delta, "thinking"), "thinking")
        return ""

    def _say(self, piece: str) -> str:
        if piece:
            self._text.append(piece)
            self.received.text(piece)
            self._check_size(self.received.characters)
        return piece

    def _check_size(self, size: int) -> None:
        if size > MAX_ANSWER:
            raise ServiceUnavailable(SERVICE, "an answer without end")

    def _stop(self, event: Any) -> None:
        if self._started is None:
            raise ServiceUnavailable(SERVICE, "the answer has no beginning")
        told = entry(entry(event, "usage"), "output_tokens")
        self._usage = from_anthropic(self._started, told if isinstance(told, int) else 0)
        self._stopped = _string(entry(event, "delta"), "stop_reason")

    def ending(self, request: ReplyRequest) -> list[ToolRequested | ReplyEnded]:
        """The events after the text; raises `ServiceUnavailable` for half an answer."""
        if not self._stopped:
            raise ServiceUnavailable(SERVICE, "the answer broke off")
        return ending(SERVICE, request, "".join(self._text), tuple(self._tools.values()))


def _place(event: Any) -> int:
    index = entry(event, "index")
    return index if isinstance(index, int) else -1


def _string(holder: Any, field: str) -> str:
    value = entry(holder, field)
    return value if isinstance(value, str) else ""


MESSAGES = Dialect(
    service=SERVICE,
    path="/v1/messages",
    models_query={"limit": 100},
    optional=frozenset({"thinking", "tool_choice"}),
    rehearsal=_REHEARSAL,
    sdk=_sdk,
    tools=for_anthropic,
    body=_body,
    parts=prompt_parts,
    split=split_anthropic,
    answer=MessageAnswer,
)
