"""Books one reply exactly once, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from voice_server.call.events import Consumed
from voice_server.llm.catalogue import ModelCard
from voice_server.llm.remote.usage import PromptMemory, Usage, book, weigh


class Bill:
    """What one request will cost. It is owed from `sent` on, unless the provider `refused`.

    `settle` books; call it on every way out. `scope` names the agent and model whose prompts
    begin alike.
    """

    __slots__ = ("_card", "_memory", "_owed", "_parts", "_scope", "_split", "_weights")

    def __init__(
        self,
        card: ModelCard,
        memory: PromptMemory,
        *,
        scope: str,
        parts: Sequence[Any],
        split: Callable[[ModelCard, int, int], tuple[int, int, int]],
    ) -> None:
        self._card = card
        self._memory = memory
        self._scope = scope
        self._parts = parts
        self._weights = weigh(parts)
        self._split = split
        self._owed = False

    def sent(self) -> None:
        """The request is on its way: from here on it may cost."""
        self._owed = True

    def refused(self) -> None:
        """The provider has answered with an error status, or was never reached."""
        self._owed = False

    def settle(self, spend: Callable[[Consumed], None], told: Usage | None, received: int) -> None:
        """Book the reply by the provider's count, else by an estimate with the tokens received.

        A second call does nothing.
        """
        if not self._owed:
            return
        self._owed = False
        book(spend, self._card, self._estimate(received) if told is None else told)
        if told is not None and not told.estimated:
            total = told.input + told.cached_input + told.cache_write
            self._memory.learn(self._scope, total - sum(self._weights))
        self._memory.remember(self._scope, self._parts)

    def _estimate(self, received: int) -> Usage:
        total = max(0, sum(self._weights) + self._memory.error(self._scope))
        known = self._memory.known(self._scope, self._parts, self._weights)
        return Usage(*self._split(self._card, total, known), received, estimated=True)
