"""How an engine has been doing: whether to ask it at all, and how long its answers take."""

from __future__ import annotations

from collections import deque

_FAILURES = 3  # within the window: the engine is left alone
_WINDOW_S = 30.0
_REST_S = 15.0  # then one request may try whether it is back
_SAMPLES = 64
_SAMPLES_NEEDED = 8  # fewer say nothing about a 95th percentile
_HEDGE_FIRST_S = 0.8  # what is assumed until then


class Health:
    """One provider with one key. Time is an argument, in seconds on any steady clock.

    A circuit breaker: after some failures in a row of short time the engine rests, then a
    single request probes it. And a memory of the waits for first answers.
    """

    __slots__ = ("_failed_at", "_probing", "_resting_until", "_waits", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._failed_at: deque[float] = deque(maxlen=_FAILURES)
        self._resting_until: float | None = None
        self._probing = False
        self._waits: deque[float] = deque(maxlen=_SAMPLES)

    def is_open(self, now: float) -> bool:
        """Whether a request may be made; taking the offer while resting is the probe."""
        if self._resting_until is None:
            return True
        if now < self._resting_until or self._probing:
            return False
        self._probing = True
        return True

    def answered(self, wait_s: float) -> None:
        """A first answer came after so long: the engine lives."""
        self._waits.append(wait_s)
        self._failed_at.clear()
        self._resting_until, self._probing = None, False

    def failed(self, now: float, *, lasting: bool) -> None:
        """A request failed; `lasting` = it will fail again (credentials, quota)."""
        self._failed_at.append(now)
        self._probing = False
        many = len(self._failed_at) == _FAILURES and now - self._failed_at[0] < _WINDOW_S
        if lasting or many or self._resting_until is not None:
            self._resting_until = now + _REST_S

    def gave_up(self) -> None:
        """A request was abandoned before it could answer: that says nothing about the engine."""
        self._probing = False

    @property
    def hedge_s(self) -> float:
        """The wait after which a second engine is asked: the 95th percentile of late."""
        if len(self._waits) < _SAMPLES_NEEDED:
            return _HEDGE_FIRST_S
        return sorted(self._waits)[int(len(self._waits) * 0.95)]
