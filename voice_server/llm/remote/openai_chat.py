"""OpenAI, Google and Grok through OpenAI's SDK: chat completions, streamed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

from voice_server.call.events import ReplyEnded, ToolRequested
from voice_server.call.history import History
from voice_server.errors import ServiceUnavailable
from voice_server.llm.remote.answer import MAX_ANSWER, ToolParts, ending
from voice_server.llm.remote.dialect import Dialect, Sdk
from voice_server.llm.remote.mind import Mind
from voice_server.llm.remote.prompt import (
    AgentTurn,
    CallerTurn,
    arguments_text,
    call_id,
    house_rules,
    messages_of,
    result_of,
    this_call,
)
from voice_server.llm.remote.shape import entry
from voice_server.llm.remote.usage import OutputCount, Usage, from_openai, split_openai
from voice_server.llm.tool_schemas import for_openai
from voice_server.ports import ReplyRequest

CompatibleProvider: TypeAlias = Literal["openai", "google", "grok"]
_OPTIONAL = frozenset(
    {
        "temperature",
        "reasoning_effort",
        "prompt_cache_key",
        "stream_options",
        "parallel_tool_calls",
        "max_tokens",
        "max_completion_tokens",
    }
)
_REHEARSAL = b"""\
data: {"id":"","object":"chat.completion.chunk","created":0,"model":"","choices":[\
{"index":0,"delta":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}]}

data: [DONE]

"""


def _sdk() -> Sdk:
    import openai

    return Sdk(
        client=openai.AsyncOpenAI,
        http=openai.DefaultAsyncHttpxClient,
        stream=openai.AsyncStream[object],
        error=openai.OpenAIError,
    )


def _body(mind: Mind, tools: list[dict[str, Any]], request: ReplyRequest) -> dict[str, Any]:
    card = mind.card
    system = f"{house_rules(request.facts, mind.instructions)}\n\n{this_call(request.facts)}"
    body: dict[str, Any] = {
        "model": mind.model,
        "messages": [{"role": "system", "content": system}, *_messages(request.history)],
        "stream": True,
        "stream_options": {"include_usage": True},
        card.max_tokens: mind.max_tokens,
    }
    if tools:
        body["tools"] = tools
    if card.effort:
        body["reasoning_effort"] = card.effort
    if mind.temperature is not None and card.temperature:
        body["temperature"] = mind.temperature
    if card.cache_key:
        body["prompt_cache_key"] = request.facts.agent.agent_id[:64]
    return body


def prompt_parts(body: Mapping[str, Any]) -> list[Any]:
    """What of a request counts as input, in the order in which providers cache it."""
    return [*body.get("tools", ()), *body["messages"]]


def _messages(history: History) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for message in messages_of(history):
        if isinstance(message, CallerTurn):
            found.append({"role": "user", "content": message.text})
        elif isinstance(message, AgentTurn):
            found.append({"role": "assistant", "content": message.text})
        else:
            calls = [
                {
                    "id": call_id(used),
                    "type": "function",
                    "function": {"name": used.name, "arguments": arguments_text(used)},
                }
                for used in message.used
            ]
            found.append({"role": "assistant", "content": None, "tool_calls": calls})
            found += [
                {"role": "tool", "tool_call_id": call_id(used), "content": result_of(used)}
                for used in message.used
            ]
    return found


class ChatAnswer:
    """Puts a streamed completion together, with patience for compatible servers.

    Those may send tool calls whole, without index or id, and the usage with every chunk.
    """

    __slots__ = ("_service", "_text", "_tools", "finished", "received", "usage")

    def __init__(self, service: str) -> None:
        self._service = service
        self._text: list[str] = []
        self._tools: list[tuple[object, ToolParts]] = []
        self.finished = ""
        self.received = OutputCount()
        self.usage: Usage | None = None

    def take(self, chunk: Any) -> str:
        """Take a chunk; returns its text. Raises `ServiceUnavailable` for what cannot be."""
        usage = from_openai(entry(chunk, "usage"))
        self.usage = usage or self.usage
        choices = entry(chunk, "choices")
        if not isinstance(choices, list) or not choices:
            return ""
        delta = entry(choices[0], "delta")
        calls = entry(delta, "tool_calls")
        for call in calls if isinstance(calls, list) else ():
            self._take_call(call)
        piece = entry(delta, "content") or entry(delta, "refusal") or ""
        if not isinstance(piece, str):
            raise ServiceUnavailable(self._service, "garbled answer")
        if piece:
            self._text.append(piece)
            self.received.text(piece)
        self._check_size()
        finished = entry(choices[0], "finish_reason")
        if isinstance(finished, str):
            self.finished = finished
        return piece

    def _take_call(self, call: Any) -> None:
        function = entry(call, "function")
        name = entry(function, "name") or ""
        arguments = entry(function, "arguments") or ""
        key = entry(call, "id") or ""
        if not all(isinstance(said, str) for said in (name, arguments, key)):
            raise ServiceUnavailable(self._service, "garbled tool request")
        parts = self._call_of(entry(call, "index"), key, name)
        parts.add(arguments)
        self.received.text(arguments, id(parts))

    def _call_of(self, index: object, key: str, name: str) -> ToolParts:
        """The call that a fragment belongs to. A name begins a call, unless it only repeats."""
        same = [parts for at, parts in self._tools if at == index]
        if same and (not name or (same[-1].name == name and key == same[-1].id and key)):
            return same[-1]
        if not name:
            raise ServiceUnavailable(self._service, "tool arguments before their tool")
        parts = ToolParts(key, name)
        self._tools.append((index, parts))
        self.received.tool()
        return parts

    def _check_size(self) -> None:
        largest = max((len(parts.arguments) for _, parts in self._tools), default=0)
        if max(largest, self.received.characters) > MAX_ANSWER:
            raise ServiceUnavailable(self._service, "an answer without end")

    def ending(self, request: ReplyRequest) -> list[ToolRequested | ReplyEnded]:
        """The events after the text; raises `ServiceUnavailable` for half an answer."""
        if not self.finished:
            raise ServiceUnavailable(self._service, "the answer broke off")
        tools = [parts for _, parts in self._tools]
        return ending(self._service, request, "".join(self._text), tools)


def compatible(provider: CompatibleProvider) -> Dialect:
    """The dialect of OpenAI, or of one that speaks it too."""
    return Dialect(
        service=provider,
        path="/chat/completions",
        models_query={},
        optional=_OPTIONAL,
        rehearsal=_REHEARSAL,
        sdk=_sdk,
        tools=for_openai,
        body=_body,
        parts=prompt_parts,
        split=split_openai,
        answer=partial(ChatAnswer, provider),
    )
