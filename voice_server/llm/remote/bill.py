"""Books one reply exactly once, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from voice_server.call.events import Consumed
from voice_server.llm.catalogue import ModelCard
from voice_server.llm.remote.usage import PromptMemory, Usage, book, weigh


class Bill:
    """What one request will cost. It is owed from `sent` on, unless the provider `refused`.

    `settle` books; call it on every way out. `cache` names the requests whose beginnings the
    provider remembers together, `alike` those whose size we misjudge alike.
    """

    __slots__ = (
        "_alike", "_cache", "_card", "_fresh", "_known", "_memory", "_owed", "_parts", "_split",
        "_weights",
    )  # fmt: skip

    def __init__(
        self,
        card: ModelCard,
        memory: PromptMemory,
        *,
        cache: str,
        alike: str,
        parts: Sequence[Any],
        split: Callable[[ModelCard, int, int], tuple[int, int, int]],
    ) -> None:
        self._card = card
        self._memory = memory
        self._cache = cache
        self._alike = alike
        self._parts = parts
        self._weights = weigh(parts)
        self._split = split
        self._owed = False
        self._known = 0
        self._fresh: Sequence[int] = ()

    def sent(self) -> None:
        """The request goes out: from here on it may cost, and shorten the way of the next."""
        self._known = self._memory.known(self._cache, self._parts, self._weights)
        self._fresh = self._memory.remember(self._cache, self._parts)
        self._owed = True

    def refused(self) -> None:
        """The provider has answered with an error status: it has not read the request."""
        self._memory.forget(self._fresh)
        self._fresh = ()
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
            self._memory.learn(self._alike, total - sum(self._weights))

    def _estimate(self, received: int) -> Usage:
        total = max(0, sum(self._weights) + self._memory.error(self._alike))
        return Usage(*self._split(self._card, total, self._known), received, estimated=True)
