"""Joins the detectors' evidence into one risk, a confidence and a severity band.

Every detector hands in points; points times a slope are log odds, and no detector may add
more than its limit. The limits are chosen so that the classifier alone cannot reach HIGH:
its thresholds do not transfer to kinds of calls it never saw, those of the phrases do. The
longer a caller talks, the more is said by chance: length takes some of the sum away.
CRITICAL, which may end a call, needs two independent detectors. Phrases and keywords read the
same words with the same eyes and count as one.
"""

from __future__ import annotations

import math
from typing import assert_never

import msgspec

from detectors.assessment import Severity, independent
from models.scam.manifest import Bands, Fusion

# From which points on a detector is said to speak for a scam.
_SPEAKS = {"pattern": 0.69, "keyword": 0.5, "behaviour": 0.35, "classifier": 0.0}
_LEAST = 0.001  # distance kept below a band that must not be reached
_WORDS_FOR_CONFIDENCE = 25.0  # the caller's words after which 63 % of the confidence is there
_CONTRADICTION = 0.6  # what remains of the confidence when rules and classifier disagree


class Evidence(msgspec.Struct, frozen=True):
    """What is known of a call at one moment.

    `margin` is the classifier's log odds, None while it has heard nothing; the others are
    points (`detectors.patterns.points`), 0 and up.
    """

    margin: float | None
    pattern: float
    keyword: float
    behaviour: float
    caller_words: int
    english: float = 1.0  # how much the words are those of the language the detectors know


class Verdict(msgspec.Struct, frozen=True):
    """The fused view: risk and confidence in [0, 1], and who speaks for a scam."""

    risk: float
    confidence: float
    detectors: tuple[str, ...]


def fuse(evidence: Evidence, fusion: Fusion, bands: Bands) -> Verdict:
    """Weigh the evidence. More points never lower the risk."""
    language = language_log_odds(evidence.margin, fusion)
    speaking = speaking_detectors(evidence, language)
    log_odds = (
        fusion.bias
        + max(-fusion.classifier_floor, min(language, fusion.classifier_limit))
        + min(fusion.pattern_slope * evidence.pattern, fusion.pattern_limit)
        + min(fusion.keyword_slope * evidence.keyword, fusion.keyword_limit)
        + min(fusion.behaviour_slope * evidence.behaviour, fusion.behaviour_limit)
        - fusion.silence * math.exp(-evidence.caller_words / fusion.silence_words)
        - fusion.length_slope * math.log2(max(1.0, evidence.caller_words / fusion.length_words))
    )
    risk = sigmoid(log_odds)
    if independent(speaking) < 2:
        risk = min(risk, bands.critical - _LEAST)
    return Verdict(risk, _confidence(risk, language, evidence), speaking)


def language_log_odds(margin: float | None, fusion: Fusion) -> float:
    """Return the calibrated log odds of the classifier, 0 while it has heard nothing."""
    if margin is None:
        return 0.0
    return fusion.classifier_slope * (margin - fusion.classifier_offset)


def speaking_detectors(evidence: Evidence, language: float) -> tuple[str, ...]:
    """Name the detectors whose evidence is worth mentioning, in a fixed order."""
    strength = {
        "pattern": evidence.pattern,
        "keyword": evidence.keyword,
        "behaviour": evidence.behaviour,
        "classifier": language,
    }
    return tuple(name for name, value in strength.items() if value > _SPEAKS[name])


def sigmoid(log_odds: float) -> float:
    """Turn log odds into a probability, without overflow."""
    return 1 / (1 + math.exp(-max(-60.0, min(log_odds, 60.0))))


class Band:
    """The severity band of a call, with hysteresis so that it does not flap.

    It rises at once; it falls only once the risk is a margin below its beginning.
    """

    __slots__ = ("_bands", "severity")

    def __init__(self, bands: Bands) -> None:
        self._bands = bands
        self.severity = Severity.MINIMAL

    def move(self, risk: float) -> Severity:
        """Take the newest risk and return the band it leaves the call in."""
        reached = self._reached(risk)
        if reached.rank < self.severity.rank:
            held = self._reached(risk + self._bands.margin)
            reached = min(held, self.severity, key=lambda band: band.rank)
        self.severity = reached
        return reached

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


def _confidence(risk: float, language: float, evidence: Evidence) -> float:
    """How far to trust the risk: words heard and known, agreement, distance from the fence."""
    heard = 1 - math.exp(-evidence.caller_words / _WORDS_FOR_CONFIDENCE)
    rules_speak = evidence.pattern > _SPEAKS["pattern"]
    agreement = 1.0 if rules_speak == (language > 0) else _CONTRADICTION
    return heard * agreement * evidence.english * (0.5 + abs(risk - 0.5))
