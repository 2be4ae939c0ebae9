"""What to do as the scam risk rises and falls."""

from __future__ import annotations

from enum import StrEnum

from detectors.assessment import Assessment, Segment, Severity
from voice_server.call.policy import Policy

PREVIEW_MS = 1_000  # words in the making are shown to the detector at most so often
_SEGMENTS_KEPT = 200


class RiskStep(StrEnum):
    """What an assessment calls for, mildest first. Each but `RECORD` is taken once a call."""

    RECORD = "record"  # the band changed: worth a row
    WARN = "warn"  # tell the person the agent protects
    VERIFY = "verify"  # have the agent ask who calls and for a number to call back
    BLOCK = "block"  # sensitive tools are refused from here on
    HAND_OVER = "hand_over"  # a human takes the line
    END = "end"  # close the call safely


# How many independent detectors must speak for a step: one alone never ends a call. These two
# steps cannot be taken back, so that they wait for committed words as well.
_VOTES = {
    RiskStep.WARN: 1,
    RiskStep.VERIFY: 1,
    RiskStep.BLOCK: 1,
    RiskStep.HAND_OVER: 2,
    RiskStep.END: 2,
}


class RiskWatch:
    """Numbers the segments, remembers the newest assessment and the worst band."""

    __slots__ = (
        "_challenge",
        "_count",
        "_limits",
        "_previewed_at",
        "_recorded",
        "_sensitive_tools",
        "_tail",
        "blocked_tools",
        "newest",
        "segments",
        "worst",
    )

    def __init__(self, policy: Policy) -> None:
        self._limits = {  # the steps still to be taken
            RiskStep.WARN: policy.warn_at,
            RiskStep.VERIFY: policy.verify_at if policy.scam_challenge else None,
            RiskStep.BLOCK: policy.block_at,
            RiskStep.HAND_OVER: policy.hand_over_at,
            RiskStep.END: policy.end_at,
        }
        self._sensitive_tools = frozenset(policy.sensitive_tools)
        self._challenge = False
        self._count = 0
        self._previewed_at = -PREVIEW_MS
        self._tail: Segment | None = None  # what the newest assessment rests on beside `segments`
        self._recorded: Severity | None = None
        self.blocked_tools: frozenset[str] = frozenset()
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

    def preview(
        self, speaker: str, text: str, started_ms: int, ended_ms: int, now: int
    ) -> Segment | None:
        """The segment that words in the making may become; None when it is too soon for a look."""
        if now - self._previewed_at < PREVIEW_MS:
            return None
        self._previewed_at = now
        return Segment(self._count, speaker, text, started_ms, ended_ms)

    def heed(self, assessment: Assessment, tail: Segment | None = None) -> tuple[RiskStep, ...]:
        """Decide; assessments older than the newest are late and change nothing.

        Words in the making only raise the band: what they seem to take back, the recogniser may
        give again.
        """
        known = self.newest
        if known is not None and assessment.through < known.through:
            return ()
        if tail is not None:
            band = known.severity if known is not None else Severity.MINIMAL
            if tail.number < self._count or assessment.severity.rank <= band.rank:
                return ()
        self.newest, self._tail = assessment, tail
        if assessment.severity.rank > self.worst.rank:
            self.worst = assessment.severity
        due = [
            step
            for step, limit in self._limits.items()
            if _reached(assessment, step, limit) and (tail is None or _VOTES[step] == 1)
        ]
        for step in due:
            del self._limits[step]
        self._challenge |= RiskStep.VERIFY in due
        if RiskStep.BLOCK in due:
            self.blocked_tools = self._sensitive_tools
        if assessment.severity is self._recorded and RiskStep.END not in due:
            return tuple(due)
        self._recorded = assessment.severity
        return (RiskStep.RECORD, *due)

    def take_challenge(self) -> bool:
        """Whether the agent should question the caller now; True only once."""
        due, self._challenge = self._challenge, False
        return due

    def evidence(self) -> tuple[Segment, ...]:
        """The segments that the newest assessment's findings point at."""
        if self.newest is None:
            return ()
        numbers = {finding.segment for finding in self.newest.findings}
        seen = {segment.number: segment for segment in self.segments}
        if self._tail is not None:
            seen[self._tail.number] = self._tail
        return tuple(segment for number, segment in seen.items() if number in numbers)


def _reached(assessment: Assessment, step: RiskStep, limit: Severity | None) -> bool:
    return (
        limit is not None
        and assessment.severity.rank >= limit.rank
        and assessment.witnesses >= _VOTES[step]
    )
