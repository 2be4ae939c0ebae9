"""The scam shield at the call's side: detectors behind the port, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from detectors import ScamDetector, ScamModel
from detectors.assessment import Assessment, Segment
from voice_server.ports import CallFacts


class _Track:
    __slots__ = ("_detector", "_pool")

    def __init__(self, detector: ScamDetector, pool: ThreadPoolExecutor) -> None:
        self._detector = detector
        self._pool = pool

    async def assess(self, segments: Sequence[Segment]) -> Assessment:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._detector.feed, segments)


class ScamShield:
    """A `RiskScorer`: one model for all calls, one detector per call, one thread."""

    def __init__(self, model: ScamModel) -> None:
        self._model = model
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scam")

    def follow(self, facts: CallFacts) -> _Track:  # noqa: ARG002 - every call gets the same shield
        """Start watching one call."""
        return _Track(ScamDetector(self._model), self._pool)

    def close(self) -> None:
        """Stop the thread; assessments still waiting are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
