"""Counts for the operator how an engine does."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from voice_server.errors import EngineBroken, KeyRefused, ServiceError, ServiceRejected
from voice_server.telemetry import EngineMetrics


class Tally:
    """One engine of one provider; all accounts at the provider count together."""

    __slots__ = ("_failures", "_fallbacks", "_hedges", "_labels", "_resting")

    def __init__(self, metrics: EngineMetrics, provider: str, engine: str) -> None:
        self._labels = (provider, engine)
        self._failures = metrics.failures
        self._hedges = metrics.hedges.labels(provider, engine)
        self._fallbacks = metrics.fallbacks.labels(provider, engine)
        self._resting = metrics.resting.labels(provider, engine)

    def failed(self, error: ServiceError) -> None:
        """A request failed."""
        self._failures.labels(*self._labels, _kind(error)).inc()

    def hedged(self) -> None:
        """It is asked because another one is slow."""
        self._hedges.inc()

    def took_over(self) -> None:
        """It answers in place of one that goes before it."""
        self._fallbacks.inc()

    def rests(self) -> None:
        """An account is left alone from here on."""
        self._resting.inc()

    def is_back(self) -> None:
        """It need not be left alone any longer."""
        self._resting.dec()


UNCOUNTED = Tally(EngineMetrics(CollectorRegistry()), "", "")  # where no operator looks


def _kind(error: ServiceError) -> str:
    match error:
        case KeyRefused():
            return "key_refused"
        case ServiceRejected():
            return "rejected"
        case EngineBroken():
            return "bug"
        case _:
            return "unavailable"
