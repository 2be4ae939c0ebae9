"""What the scam detector sees and says: plain values that travel, are stored and replayed."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """Bands of risk, in the words of the `scam_detections` table."""

    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for minimal up to 4 for critical, to compare bands."""
        return _RANKS[self.value]


_RANKS = {"minimal": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}
_READ_WORDS_BY_RULE = frozenset({"pattern", "keyword"})


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """One utterance of either side, as it entered the transcript.

    `number` counts the segments of a call from 0; times are ms since the call began.
    """

    number: int
    speaker: str  # "caller" or "agent"
    text: str
    started_ms: int
    ended_ms: int


class Finding(msgspec.Struct, frozen=True, array_like=True):
    """One piece of evidence a person can check.

    `start` and `end` are character offsets into the text of segment `segment`;
    `weight` in [0, 1] is how much this finding alone speaks for a scam.
    """

    detector: str  # "pattern", "keyword", "behaviour" or "classifier"
    name: str  # stable identifier, e.g. "gift_card_payment"
    weight: float
    segment: int
    start: int
    end: int
    excerpt: str


class Prediction(msgspec.Struct, frozen=True, array_like=True):
    """What one model said: a label and its probability in [0, 1], at full precision."""

    model: str
    label: str
    probability: float


class Assessment(msgspec.Struct, frozen=True, array_like=True):
    """The detector's view of a call after segment `through`.

    `risk` and `confidence` lie in [0, 1]; `detectors` names those that speak for a scam.
    """

    risk: float
    confidence: float
    severity: Severity
    through: int
    scam_type: str  # "" while nothing points to a scam
    detectors: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    model_version: str = ""
    processing_us: int = 0
    tactics: tuple[str, ...] = ()  # those with evidence, strongest first; then the learned ones

    @property
    def witnesses(self) -> int:
        """How many independent detectors speak for a scam: policy may demand more than one."""
        return independent(self.detectors)


def independent(detectors: tuple[str, ...]) -> int:
    """Count independent detectors; phrases and keywords read the same words and are one."""
    names = set(detectors)
    return len(names - _READ_WORDS_BY_RULE) + bool(names & _READ_WORDS_BY_RULE)
