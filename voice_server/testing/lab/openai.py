"""Chat completions on the wire: OpenAI's own, or Google's and Grok's in their likeness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from voice_server.llm.catalogue import ModelCard
from voice_server.llm.remote.dialects import DIALECTS
from voice_server.llm.remote.openai_chat import CompatibleProvider
from voice_server.testing.lab.events import HTML, Piece, Visit, sliced
from voice_server.testing.lab.faults import Fault
from voice_server.testing.lab.mind import Asked, Rebuilt, Said, text_of
from voice_server.testing.lab.model import Prompt, Wire

_CREATED = 1_795_366_800


class Quirks(msgspec.Struct, frozen=True):
    """Liberties of compatible servers. The default takes none; `compatible` takes them all."""

    whole_tools: bool = False  # a tool call in one chunk
    no_index: bool = False  # ... without its index
    empty_id: bool = False  # ... and without an id
    null_arguments: bool = False  # null where no arguments are
    usage_everywhere: bool = False  # with every chunk, growing
    usage_with_last: bool = False  # with the last choice, not after it
    unknown_fields: bool = False
    reasoning_outside: bool = False  # reasoning tokens only in the total


def compatible() -> Quirks:
    """Every liberty at once."""
    return Quirks(*(True for _ in Quirks.__struct_fields__))


def chat_completions(
    provider: CompatibleProvider = "openai",
    *,
    quirks: Quirks = Quirks(),  # noqa: B008 - frozen
    reasoning_tokens: int = 0,
) -> Wire:
    """The wire of one provider, whose every answer costs `reasoning_tokens` more than it shows."""

    def write(body: dict[str, Any], visit: Visit, said: Said, prompt: Prompt) -> _Writing:
        told = bool((body.get("stream_options") or {}).get("include_usage"))
        return _Writing(visit, said, prompt, quirks, reasoning_tokens, with_usage=told)

    def listing(cards: Sequence[ModelCard]) -> dict[str, Any]:
        prefix = "models/" if provider == "google" else ""
        listed = [
            {
                "id": prefix + card.id,
                "object": "model",
                "created": _CREATED,
                "owned_by": provider,
            }
            for card in cards
        ]
        return {"object": "list", "data": listed}

    return Wire(
        dialect=DIALECTS[provider],
        roots=("/v1", "/v1beta/openai"),
        path="/chat/completions",
        key=_key,
        refusals=_REFUSALS_OF_GOOGLE if provider == "google" else _REFUSALS,
        garbled=_error(400, "We could not parse the JSON body of your request.", None),
        unknown=_unknown,
        read=_read,
        write=write,
        broken=_broken,
        listing=listing,
        unsaid=reasoning_tokens,
    )


def _key(headers: Headers) -> str:
    return headers.get("authorization", "").removeprefix("Bearer ")


def _unknown(model: str) -> Response:
    return _error(404, f"The model `{model}` does not exist.", "model_not_found", "model")


class _Writing:
    """One answer, written as chunks or whole."""

    def __init__(
        self,
        visit: Visit,
        said: Said,
        prompt: Prompt,
        quirks: Quirks,
        reasoning: int,
        *,
        with_usage: bool,
    ) -> None:
        self._visit = visit
        self._said = said
        self._prompt = prompt
        self._quirks = quirks
        self._reasoning = reasoning
        self._with_usage = with_usage
        self.tokens = len(sliced(said.text)) + sum(
            1 + len(sliced(tool.arguments)) for tool in said.tools
        )

    @property
    def _finish(self) -> str:
        return self._said.finish or ("tool_calls" if self._said.tools else "stop")

    def pieces(self) -> Iterator[Piece]:
        yield self._chunk({"role": "assistant", "content": ""}, paced=False)
        for text in sliced(self._said.text):
            yield self._chunk({"content": text}, characters=len(text), tokens=1)
        for index in range(len(self._said.tools)):
            yield from self._tool(index)
        last = self._with_usage and self._quirks.usage_with_last
        usage = self._usage(self.tokens) if last else None
        yield self._chunk({}, finish=self._finish, usage=usage, paced=False)
        if self._with_usage and not last:
            frame = self._frame([], self._usage(self.tokens))
            yield Piece(_event(frame), paced=False)
        yield Piece(b"data: [DONE]\n\n", paced=False)

    def _tool(self, index: int) -> Iterator[Piece]:
        tool, quirks = self._said.tools[index], self._quirks
        call: dict[str, Any] = {"index": index, "id": self._id(index), "type": "function"}
        if quirks.no_index:
            del call["index"]
        if quirks.empty_id:
            call["id"] = ""
        if quirks.whole_tools:
            arguments = tool.arguments or (None if quirks.null_arguments else "")
            call["function"] = {"name": tool.name, "arguments": arguments}
            tokens = 1 + len(sliced(tool.arguments))
            yield self._chunk({"tool_calls": [call]}, len(tool.arguments), tokens)
            return
        call["function"] = {"name": tool.name, "arguments": ""}
        yield self._chunk({"tool_calls": [call]}, tokens=1)
        for text in sliced(tool.arguments):
            part = {"index": index, "function": {"arguments": text}}
            yield self._chunk({"tool_calls": [part]}, len(text), 1)

    def _id(self, index: int) -> str:
        tool = self._said.tools[index]
        return f"call_{tool.id}" if tool.id else f"call_{self._visit.number}_{index}"

    def _chunk(
        self,
        delta: dict[str, Any],
        characters: int = 0,
        tokens: int = 0,
        *,
        finish: str | None = None,
        usage: dict[str, Any] | None = None,
        paced: bool = True,
    ) -> Piece:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        if usage is None and self._quirks.usage_everywhere:
            usage = self._usage(self._visit.sent_tokens + tokens)
        return Piece(_event(self._frame([choice], usage)), characters, tokens, paced)

    def _frame(self, choices: list[Any], usage: dict[str, Any] | None) -> dict[str, Any]:
        frame: dict[str, Any] = {
            "id": f"chatcmpl-{self._visit.number}",
            "object": "chat.completion.chunk",
            "created": _CREATED,
            "model": self._visit.model,
            "service_tier": "default",
            "system_fingerprint": None,
            "choices": choices,
            "usage": usage,
            "obfuscation": "x" * (1 + self._visit.sent_tokens % 7),
        }
        if self._quirks.unknown_fields:
            frame |= {"x_groq": {"id": "req"}, "provider_extra": [1, None]}
        return frame

    def _usage(self, output: int) -> dict[str, Any]:
        fresh, cached, written = self._prompt
        prompt = fresh + cached + written
        completion = output if self._quirks.reasoning_outside else output + self._reasoning
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + output + self._reasoning,
            "prompt_tokens_details": {
                "cached_tokens": cached,
                "cache_write_tokens": written,
                "audio_tokens": 0,
            },
            "completion_tokens_details": {
                "reasoning_tokens": self._reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def whole(self) -> dict[str, Any]:
        calls = [
            {
                "id": self._id(index),
                "type": "function",
                "function": {"name": tool.name, "arguments": tool.arguments},
            }
            for index, tool in enumerate(self._said.tools)
        ]
        message = {"role": "assistant", "content": self._said.text or None, "refusal": None}
        if calls:
            message["tool_calls"] = calls  # type: ignore[assignment]
        choice = {"index": 0, "message": message, "finish_reason": self._finish, "logprobs": None}
        frame = self._frame([choice], self._usage(self.tokens))
        del frame["obfuscation"]
        return frame | {"object": "chat.completion"}


def _event(frame: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(frame) + b"\n\n"


def _read(body: dict[str, Any], card: ModelCard, _: Headers) -> Asked | Response:
    return _unfit(body, card) or _asked(body)


def _asked(body: dict[str, Any]) -> Asked | Response:
    """The request in the words of every provider, or why it is refused."""
    rebuilt = Rebuilt()
    system = []
    for message in body.get("messages") or ():
        text = text_of(message.get("content"))
        match message.get("role"):
            case "system" | "developer":
                system.append(text)
            case "user":
                rebuilt.caller(text)
            case "assistant":
                rebuilt.agent(text)
                for call in message.get("tool_calls") or ():
                    rebuilt.tool(
                        call["id"], call["function"]["name"], call["function"]["arguments"]
                    )
            case "tool" if rebuilt.result(str(message.get("tool_call_id")), text):
                pass
            case _:
                why = "messages with role 'tool' must answer a preceding message with 'tool_calls'."
                return _error(400, f"Invalid parameter: {why}", None, "messages")
    tools = tuple(tool["function"]["name"] for tool in body.get("tools") or ())
    return Asked("\n".join(system), rebuilt.history, tools)


def _unfit(body: dict[str, Any], card: ModelCard) -> Response | None:
    """A refusal of what this model does not take."""
    refused = {
        "temperature": card.temperature,
        "reasoning_effort": bool(card.effort),
        "prompt_cache_key": card.cache_key,
        "max_tokens": card.max_tokens == "max_tokens" or card.temperature,
    }
    for name, accepted in refused.items():
        if name in body and not accepted:
            text = f"Unsupported parameter: '{name}' is not supported with this model."
            return _error(400, text, "unsupported_parameter", name)
    return None


def _error(status: int, message: str, code: str | None, param: str | None = None) -> Response:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": kind, "param": param, "code": code}
    headers = {"x-request-id": "req_lab"}
    if status == 429:
        headers["retry-after"] = "20"
    return JSONResponse({"error": error}, status, headers)


_REFUSALS = {
    Fault.UNAUTHORIZED: _error(401, "Incorrect API key provided.", "invalid_api_key"),
    Fault.RATE_LIMITED: _error(429, "Rate limit reached.", "rate_limit_exceeded"),
    Fault.SERVER_ERROR: _error(503, "The engine is overloaded.", None),
    Fault.QUOTA: _error(429, "You exceeded your quota.", "insufficient_quota"),
}
_BAD_KEY_OF_GOOGLE = "API key not valid. Please pass a valid API key."
_REFUSALS_OF_GOOGLE = _REFUSALS | {
    Fault.UNAUTHORIZED: _error(400, _BAD_KEY_OF_GOOGLE, "INVALID_ARGUMENT")
}


def _broken(fault: Fault) -> bytes:
    if fault is Fault.GARBAGE:
        return b'data: {"id": "chatcmpl-1", "choices": [{"del\n\ndata: ' + HTML + b"\n\n"
    if fault is Fault.QUOTA:
        return b'data: {"error": {"message": "quota", "code": "insufficient_quota"}}\n\n'
    return b'data: {"error": {"message": "The server had an error", "type": "server_error"}}\n\n'
