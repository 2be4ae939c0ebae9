"""How an engine has been doing: whether to ask it at all, and how long its answers take."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from voice_server.engines.tally import UNCOUNTED, Tally
from voice_server.errors import KeyRefused, ServiceError

log = logging.getLogger(__name__)

_FAILURES = 3  # within the window: the engine is left alone
_WINDOW_S = 30.0
_REST_S = 15.0  # then one request may try whether it is back
_REFUSED_S = 600.0  # a key that was refused comes back only by somebody's hand
_SAMPLES = 64
_SAMPLES_NEEDED = 8  # fewer say nothing about a 95th percentile
_HEDGE_FIRST_S = 0.8  # what is assumed until then


class Health:
    """One provider with one key. Time is an argument, in seconds on any steady clock.

    A circuit breaker: after some failures in a row of short time the engine rests, then a
    single request at a time probes it. And a memory of the waits for first answers.
    `on_refused` is told whenever the provider does not accept the key, `tally` of everything
    that an operator wants to count.
    """

    __slots__ = ("_failed_at", "_on_refused", "_resting_until", "_tally", "_waits", "name")

    def __init__(
        self,
        name: str,
        on_refused: Callable[[], None] = lambda: None,
        tally: Tally = UNCOUNTED,
    ) -> None:
        self.name = name
        self._on_refused = on_refused
        self._tally = tally
        self._failed_at: deque[float] = deque(maxlen=_FAILURES)
        self._resting_until: float | None = None
        self._waits: deque[float] = deque(maxlen=_SAMPLES)

    def rests(self, now: float) -> bool:
        """Whether it is left alone at the moment; unlike `may_ask` this is no request."""
        return self._resting_until is not None and now < self._resting_until

    def may_ask(self, now: float) -> bool:
        """Whether to make a request at once. After a rest, a yes is a probe for one request."""
        if self._resting_until is None:
            return True
        if now < self._resting_until:
            return False
        self._resting_until = now + _REST_S  # for the others, until the probe has an answer
        return True

    def answered(self, wait_s: float | None = None) -> None:
        """The engine lives; a first answer came after so long, where there was a question."""
        if wait_s is not None:
            self._waits.append(wait_s)
        self._failed_at.clear()
        if self._resting_until is not None:
            self._resting_until = None
            self._tally.is_back()

    def failed(self, now: float, error: ServiceError) -> None:
        """A request failed. One that can never succeed (credentials, quota) is enough to rest."""
        self._failed_at.append(now)
        many = len(self._failed_at) == _FAILURES and now - self._failed_at[0] < _WINDOW_S
        refused = isinstance(error, KeyRefused)
        self._tally.failed(error)
        if not error.retryable or many or self._resting_until is not None:
            if self._resting_until is None:
                self._tally.rests()
            self._resting_until = now + (_REFUSED_S if refused else _REST_S)
        # The call may go on with another engine: nobody else would tell the operator.
        level = logging.WARNING if error.retryable else logging.ERROR
        log.log(level, "an engine failed", extra={"engine": self.name, "problem": str(error)})
        if refused:
            self._on_refused()

    def hedged(self) -> None:
        """It is asked because another engine is slow."""
        self._tally.hedged()

    def took_over(self) -> None:
        """It works in place of an engine that goes before it."""
        self._tally.took_over()

    def forget(self) -> None:
        """Nobody asks any more."""
        if self._resting_until is not None:
            self._tally.is_back()

    @property
    def hedge_s(self) -> float:
        """The wait after which a second engine is asked: the 95th percentile of late."""
        if len(self._waits) < _SAMPLES_NEEDED:
            return _HEDGE_FIRST_S
        return sorted(self._waits)[int(len(self._waits) * 0.95)]
