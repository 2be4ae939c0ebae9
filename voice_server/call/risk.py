"""What to do as the scam risk rises and falls."""

from __future__ import annotations

from enum import Enum

from detectors.assessment import Assessment, Segment, Severity
from voice_server.call.policy import Policy

_DETECTORS_TO_END = 2  # one detector alone never ends a call
_SEGMENTS_KEPT = 200


class RiskStep(Enum):
    """The answer to one assessment."""

    NONE = "none"
    RECORD = "record"  # the band changed: worth a row
    END = "end"  # close the call safely


class RiskWatch:
    """Numbers the segments, remembers the newest assessment and the worst band."""

    __slots__ = ("_count", "_policy", "_recorded", "newest", "segments", "worst")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._count = 0
        self._recorded: Severity | None = None
        self.newest: Assessment | None = None
        self.worst = Severity.MINIMAL
        self.segments: list[Segment] = []

    def segment(self, speaker: str, text: str, started_ms: int, ended_ms: int) -> Segment:
        """Number one more segment and remember it."""
        segment = Segment(self._count, speaker, text, started_ms, ended_ms)
        self._count += 1
        self.segments.append(segment)
        del self.segments[:-_SEGMENTS_KEPT]
        return segment

    def heed(self, assessment: Assessment) -> RiskStep:
        """Decide; assessments older than the newest are late and change nothing."""
        if self.newest is not None and assessment.through < self.newest.through:
            return RiskStep.NONE
        self.newest = assessment
        if assessment.severity.rank > self.worst.rank:
            self.worst = assessment.severity
        limit = self._policy.end_at
        if (
            limit is not None
            and assessment.severity.rank >= limit.rank
            and len(assessment.detectors) >= _DETECTORS_TO_END
        ):
            self._recorded = assessment.severity
            return RiskStep.END
        if assessment.severity is not self._recorded:
            self._recorded = assessment.severity
            return RiskStep.RECORD
        return RiskStep.NONE

    def evidence(self) -> tuple[Segment, ...]:
        """The segments that the newest assessment's findings point at."""
        if self.newest is None:
            return ()
        numbers = {finding.segment for finding in self.newest.findings}
        return tuple(segment for segment in self.segments if segment.number in numbers)
