"""Joins the detectors' evidence into one risk, a confidence and a severity band.

Every kind of evidence is cut into pieces, and every piece has its own log odds per unit, so
that the first word of a recorded pitch may say more than the tenth minute of an honest call.
None is negative where more evidence is meant: more evidence never lowers the risk. Any one
detector may raise the alarm (HIGH); CRITICAL, which may end a call, needs two independent ones
and some words (`detectors.detector`).
Phrases and keywords read the same words with the same eyes and count as one. The risk itself is
never cut off, so that calls can be ranked by it.
"""

from __future__ import annotations

import math
from typing import assert_never

import msgspec

from detectors.assessment import Severity
from models.scam.manifest import Bands, Fusion

SURE = 1.5  # margin beyond which the classifier is sure
CALMEST = -1.0  # a classifier that hears nothing odd says no more than this
SOME_PHRASES = 1.5  # points of phrases: one that is hardly ever heard in honest calls, or some
MOST = 1.25  # points of keywords, and of behaviour: they are weak evidence however many there are
LONG_WORDS = 150
_OPENING_WORDS = 25.0  # words after which 63 % of the opening is over
_SILENCE_WORDS = 8.0
# From which points on a detector is said to speak for a scam.
_SPEAKS = {"pattern": 0.69, "keyword": 0.5, "behaviour": 0.35, "classifier": 0.0}
_WORDS_FOR_CONFIDENCE = 25.0  # the caller's words after which 63 % of the confidence is there
_TINY = 1e-12  # keeps the log odds of a risk of 0 or 1 finite
_CONTRADICTION = 0.6  # what remains of the confidence when rules and classifier disagree


class Evidence(msgspec.Struct, frozen=True):
    """What is known of a party at one moment.

    `margin` is the classifier's log odds, None while it has heard nothing; `pattern`, `keyword`
    and `behaviour` are points (`detectors.patterns.points`), 0 and up. `caller_words` are those
    that say something: no greetings, thanks or fillers.
    """

    margin: float | None
    pattern: float
    keyword: float
    behaviour: float
    caller_words: int
    english: float = 1.0  # how much the words are those of the language the detectors know
    other_words: int = 0  # said by everybody else


class Verdict(msgspec.Struct, frozen=True):
    """The fused view: risk and confidence in [0, 1], and who speaks for a scam."""

    risk: float
    confidence: float
    detectors: tuple[str, ...]


def fuse(evidence: Evidence, fusion: Fusion) -> Verdict:
    """Weigh the evidence. More points never lower the risk."""
    slopes = msgspec.structs.astuple(fusion)
    risk = sigmoid(sum(slope * term for slope, term in zip(slopes, terms(evidence), strict=True)))
    return Verdict(risk, _confidence(risk, evidence), speaking_detectors(evidence))


def terms(evidence: Evidence) -> tuple[float, ...]:
    """Cut the evidence into what the fields of `Fusion` multiply, in their order."""
    words = evidence.caller_words
    first = math.exp(-words / _OPENING_WORDS)
    margin = max(CALMEST, evidence.margin or 0.0)
    calm, odd, sure = min(margin, 0.0), min(max(margin, 0.0), SURE), max(margin - SURE, 0.0)
    some = min(evidence.pattern, SOME_PHRASES)
    more = max(evidence.pattern - SOME_PHRASES, 0.0)
    faded = (part for whole in (calm, odd, sure, some, more) for part in _faded(whole, first))
    return (
        1.0,
        *faded,
        min(evidence.keyword, MOST),
        min(evidence.behaviour, MOST),
        first,
        math.exp(-words / _SILENCE_WORDS),
        math.log2(1.0 + evidence.other_words),
        math.log2(max(1.0, words / LONG_WORDS)),
    )


def _faded(whole: float, first: float) -> tuple[float, float]:
    return whole * first, whole * (1.0 - first)


def speaking_detectors(evidence: Evidence) -> tuple[str, ...]:
    """Name the detectors whose evidence is worth mentioning, in a fixed order."""
    strength = {
        "pattern": evidence.pattern,
        "keyword": evidence.keyword,
        "behaviour": evidence.behaviour,
        "classifier": evidence.margin or 0.0,
    }
    return tuple(name for name, value in strength.items() if value > _SPEAKS[name])


def sigmoid(log_odds: float) -> float:
    """Turn log odds into a probability, without overflow."""
    return 1 / (1 + math.exp(-max(-60.0, min(log_odds, 60.0))))


def _log_odds(risk: float) -> float:
    return math.log(max(risk, _TINY) / max(1.0 - risk, _TINY))


class Band:
    """The severity band of a call, with hysteresis so that it does not flap.

    It rises at once; it falls only once the log odds are a margin below its beginning.
    """

    __slots__ = ("_bands", "severity")

    def __init__(self, bands: Bands) -> None:
        self._bands = bands
        self.severity = Severity.MINIMAL

    def move(self, risk: float, most: Severity = Severity.CRITICAL) -> Severity:
        """Take the newest risk and return the band it leaves the call in, at most `most`."""
        reached = self._reached(risk)
        if reached.rank < self.severity.rank:
            held = self._reached(sigmoid(_log_odds(risk) + self._bands.margin))
            reached = min(held, self.severity, key=lambda band: band.rank)
        self.severity = min(reached, most, key=lambda band: band.rank)
        return self.severity

    def _reached(self, risk: float) -> Severity:
        reached = Severity.MINIMAL
        for severity in Severity:
            if risk >= _begins(severity, self._bands):
                reached = severity
        return reached


def _begins(severity: Severity, bands: Bands) -> float:
    match severity:
        case Severity.MINIMAL:
            return 0.0
        case Severity.LOW:
            return bands.low
        case Severity.MEDIUM:
            return bands.medium
        case Severity.HIGH:
            return bands.high
        case Severity.CRITICAL:
            return bands.critical
        case _:
            assert_never(severity)


def _confidence(risk: float, evidence: Evidence) -> float:
    """How far to trust the risk: words heard and known, agreement, distance from the fence."""
    heard = 1 - math.exp(-evidence.caller_words / _WORDS_FOR_CONFIDENCE)
    rules_speak = evidence.pattern > _SPEAKS["pattern"]
    agreement = 1.0 if rules_speak == ((evidence.margin or 0.0) > 0) else _CONTRADICTION
    return heard * agreement * evidence.english * (0.5 + abs(risk - 0.5))
