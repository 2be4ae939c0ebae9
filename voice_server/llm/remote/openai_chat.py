"""OpenAI, Google and Grok through OpenAI's SDK: chat completions, streamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from voice_server.call.events import Consumed, ReplyEnded, ReplyText, ToolRequested
from voice_server.call.history import History
from voice_server.errors import ServiceUnavailable
from voice_server.limits import Limits
from voice_server.llm.remote.answer import MAX_ANSWER, ToolParts, drain, ending
from voice_server.llm.remote.bill import Bill
from voice_server.llm.remote.failures import vendor_errors
from voice_server.llm.remote.mind import Mind
from voice_server.llm.remote.patience import Patience
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
from voice_server.llm.remote.rehearsal import stage
from voice_server.llm.remote.shape import entry
from voice_server.llm.remote.source import KEEP_ALIVE_S, Source, watch_departure
from voice_server.llm.remote.usage import (
    OutputCount,
    PromptMemory,
    Usage,
    from_openai,
    split_openai,
)
from voice_server.llm.remote.warmth import Warmth
from voice_server.llm.tool_schemas import ToolSchema, for_openai
from voice_server.ports import ReplyRequest

if TYPE_CHECKING:
    import openai

CompatibleProvider: TypeAlias = Literal["openai", "google", "grok"]
BASE_URLS: dict[CompatibleProvider, str] = {
    "openai": "https://api.openai.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta/openai/",
    "grok": "https://api.x.ai/v1",
}
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


class OpenAIConnection:
    """The connections to one provider with one key; calls share it. `close` it in the end.

    Making one imports the SDK (about a second, once a process).
    """

    __slots__ = (
        "_client", "_errors", "_stream", "memory", "provider", "source", "warmth",
    )  # fmt: skip

    def __init__(
        self, provider: CompatibleProvider, api_key: str, *, base_url: str = "", timeout_s: float
    ) -> None:
        """`timeout_s` bounds what a reply's own limits do not: connecting and key checks."""
        import httpx2
        import openai

        self.provider = provider
        self.memory = PromptMemory()
        self._errors: tuple[type[Exception], ...] = (openai.OpenAIError, httpx2.HTTPError)
        http = openai.DefaultAsyncHttpxClient(
            limits=httpx2.Limits(keepalive_expiry=KEEP_ALIVE_S),
            event_hooks={"request": [watch_departure]},
        )
        self._client = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url or BASE_URLS[provider],
            max_retries=0,
            timeout=timeout_s,
            http_client=http,
        )
        self._stream = openai.AsyncStream[object]
        self.warmth = Warmth(http, str(self._client.base_url), within_s=timeout_s)
        ask = partial(self._ask, self._client)
        self.source = Source(provider, ask, errors=self._errors, optional=_OPTIONAL)

    def _ask(
        self, client: openai.AsyncOpenAI, body: Mapping[str, Any]
    ) -> Awaitable[openai.AsyncStream[object]]:
        """Ask for chunks as plain JSON.

        `chat.completions.create` would check the body and build a model of every chunk, four
        fifths of the time that an answer takes the SDK.
        """
        return client.post(
            "/chat/completions", cast_to=object, body=body, stream=True, stream_cls=self._stream
        )

    def rehearse(self) -> None:
        """Get ready for the first request, so that no call waits for it; not on an event loop."""
        asyncio.run(self._rehearse())

    async def _rehearse(self) -> None:
        async with self._client.with_options(http_client=stage(_REHEARSAL)) as client:
            async for _ in await self._ask(client, {"stream": True}):
                pass

    async def models(self) -> tuple[str, ...]:
        """The models this key reaches, free of charge; raises `ServiceError`. Checks a key."""
        with vendor_errors(self.provider, self._errors):
            page = await self._client.models.list()
            return tuple(str(model.id).removeprefix("models/") for model in page.data)

    async def close(self) -> None:
        """Close the connections."""
        await self.warmth.close()
        await self._client.close()


class OpenAIChat:
    """One call's mind. Satisfies port `LanguageModel`; books through `spend`."""

    __slots__ = ("_connection", "_limits", "_mind", "_spend", "_tools")

    def __init__(
        self,
        connection: OpenAIConnection,
        mind: Mind,
        tools: tuple[ToolSchema, ...],
        limits: Limits,
        spend: Callable[[Consumed], None],
    ) -> None:
        self._connection = connection
        self._mind = mind
        self._tools = for_openai(tools)
        self._limits = limits
        self._spend = spend

    async def reply(
        self, request: ReplyRequest
    ) -> AsyncGenerator[ReplyText | ToolRequested | ReplyEnded | Consumed, None]:
        """Yield pieces as they come. Leaving early closes the stream and books an estimate."""
        service = self._connection.provider
        body = self._body(request)
        bill = self._bill(request, body)
        answer = ChatAnswer(service)
        try:
            patience = Patience(service, self._limits)
            async with self._connection.source.stream(body, patience, bill) as chunks:
                async for chunk in chunks:
                    if piece := answer.take(chunk):
                        yield ReplyText(request.turn, piece)
                    if answer.finished:
                        break
                for event in answer.ending(request):
                    yield event
                await drain(chunks, answer.take)
        finally:
            bill.settle(self._spend, answer.usage, answer.received.tokens)

    def _body(self, request: ReplyRequest) -> dict[str, Any]:
        mind, card = self._mind, self._mind.card
        system = f"{house_rules(request.facts, mind.instructions)}\n\n{this_call(request.facts)}"
        body: dict[str, Any] = {
            "model": mind.model,
            "messages": [{"role": "system", "content": system}, *_messages(request.history)],
            "stream": True,
            "stream_options": {"include_usage": True},
            card.max_tokens: mind.max_tokens,
        }
        if self._tools:
            body["tools"] = self._tools
        if card.effort:
            body["reasoning_effort"] = card.effort
        if mind.temperature is not None and card.temperature:
            body["temperature"] = mind.temperature
        if card.cache_key:
            body["prompt_cache_key"] = request.facts.agent.agent_id[:64]
        return body

    def _bill(self, request: ReplyRequest, body: Mapping[str, Any]) -> Bill:
        return Bill(
            self._mind.card,
            self._connection.memory,
            cache=f"{self._mind.card.id} {body.get('prompt_cache_key', '')}",
            alike=f"{self._mind.card.id} {request.facts.agent.agent_id}",
            parts=prompt_parts(body),
            split=split_openai,
        )


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
