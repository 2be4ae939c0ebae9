"""A call's mind at a provider: one streamed answer, and one bill, for each turn."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from voice_server.call.events import Consumed, ReplyEnded, ReplyText, ToolRequested
from voice_server.limits import Limits
from voice_server.llm.remote.answer import drain
from voice_server.llm.remote.bill import Bill
from voice_server.llm.remote.connection import Connection
from voice_server.llm.remote.mind import Mind
from voice_server.llm.remote.patience import Patience
from voice_server.llm.tool_schemas import ToolSchema
from voice_server.ports import ReplyRequest


class Chat:
    """Satisfies port `LanguageModel`; books through `spend`."""

    __slots__ = ("_connection", "_limits", "_mind", "_spend", "_tools")

    def __init__(
        self,
        connection: Connection,
        mind: Mind,
        tools: tuple[ToolSchema, ...],
        limits: Limits,
        spend: Callable[[Consumed], None],
    ) -> None:
        self._connection = connection
        self._mind = mind
        self._tools = connection.dialect.tools(tools)
        self._limits = limits
        self._spend = spend

    async def reply(
        self, request: ReplyRequest
    ) -> AsyncGenerator[ReplyText | ToolRequested | ReplyEnded | Consumed, None]:
        """Yield pieces as they come. Leaving early closes the stream and books an estimate."""
        dialect, card = self._connection.dialect, self._mind.card
        body = dialect.body(self._mind, self._tools, request)
        bill = Bill(
            card,
            self._connection.memory,
            cache=f"{card.id} {body.get('prompt_cache_key', '')}",
            alike=f"{card.id} {request.facts.agent.agent_id}",
            parts=dialect.parts(body),
            split=dialect.split,
        )
        answer = dialect.answer()
        try:
            patience = Patience(dialect.service, self._limits)
            async with self._connection.source.stream(body, patience, bill) as events:
                async for event in events:
                    if piece := answer.take(event):
                        yield ReplyText(request.turn, piece)
                    if answer.finished:
                        break
                for closing in answer.ending(request):
                    yield closing
                await drain(events, answer.take)
        finally:
            bill.settle(self._spend, answer.usage, answer.received.tokens)
