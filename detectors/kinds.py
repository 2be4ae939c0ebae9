"""What a scam is called and how it works on its victim, told from phrases and learned heads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never

from detectors.heads import Leaning
from detectors.phrases import Phrase, Tactic

OTHER = "other"
ROBOCALL = "robocall"
# Kinds of the phrase table that are known to the outside by another name.
_KINDS = {
    "impersonation": "bank_impersonation",
    "government": "government_tax",
    "warranty": ROBOCALL,
    "loan": ROBOCALL,
    "health": ROBOCALL,
    "utility": OTHER,
}
_CODES = frozenset({"one_time_code", "code_just_sent"})
_CARDS = frozenset({"gift_card_payment", "gift_card"})
_BEHAVIOUR = {
    "refuses_callback": "isolation",
    "evades_identity": "authority",
    "repeated_pressure": "urgency",
}
_LEAST = 0.1  # a phrase that its context made harmless shows no tactic

TYPES = frozenset(
    {
        "bank_impersonation",
        "tech_support",
        "refund",
        "delivery",
        "investment",
        "job",
        "lottery",
        "family_emergency",
        "government_tax",
        ROBOCALL,
        OTHER,
    }
)
TACTICS = frozenset(
    {
        "urgency",
        "authority",
        "secrecy",
        "gift_card",
        "crypto",
        "wire",
        "remote_access",
        "credential_request",
        "one_time_code",
        "isolation",
        "threat",
        "reciprocity",
    }
)


def scam_type(points: Mapping[str, float]) -> str:
    """Name the kind most points were given for, one of `TYPES`; a topic beats the medium.

    `points` are by kind of the phrase table.
    """
    totals = _by_type(points)
    return max(totals, key=lambda name: (name != ROBOCALL, totals[name]), default=OTHER)


def blended_type(points: Mapping[str, float], leaning: Leaning) -> str:
    """Name the kind that heads and phrases together speak for most, one of `TYPES`.

    A kind without a head begins where the least likely of the others does.
    """
    totals = _by_type(points)
    least, weight = min(leaning.types.values()), leaning.kinds.phrase_weight
    return max(
        dict.fromkeys([*leaning.types, *totals]),
        key=lambda name: leaning.types.get(name, least) + weight * totals.get(name, 0.0),
    )


def _by_type(points: Mapping[str, float]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for kind, value in points.items():
        name = _KINDS.get(kind, kind)
        totals[name] = totals.get(name, 0.0) + value
    return totals


def learned_tactics(leaning: Leaning) -> tuple[str, ...]:
    """Name the tactics that heads hear, likeliest first."""
    least = leaning.kinds.tactic_odds
    heard = [name for name, odds in leaning.tactics.items() if odds >= least]
    return tuple(sorted(heard, key=lambda name: -leaning.tactics[name]))


def tactics(phrases: Iterable[tuple[Phrase, float]], behaviour: Iterable[str]) -> tuple[str, ...]:
    """Name the tactics of phrases with their weights and of indicators, strongest first."""
    strength: dict[str, float] = {}
    for phrase, weight in phrases:
        name = _tactic(phrase)
        if name and weight >= _LEAST:
            strength[name] = max(strength.get(name, 0.0), weight)
    for indicator in behaviour:
        if indicator in _BEHAVIOUR:
            strength.setdefault(_BEHAVIOUR[indicator], _LEAST)
    return tuple(sorted(strength, key=lambda name: (-strength[name], name)))


def _tactic(phrase: Phrase) -> str:
    match phrase.tactic:
        case Tactic.PAYMENT:
            return _payment(phrase.name)
        case Tactic.CREDENTIALS:
            return "one_time_code" if phrase.name in _CODES else "credential_request"
        case Tactic.ALARM:
            return "urgency"
        case Tactic.LURE | Tactic.ROBOCALL:
            return ""
        case (
            Tactic.AUTHORITY
            | Tactic.THREAT
            | Tactic.URGENCY
            | Tactic.SECRECY
            | Tactic.ISOLATION
            | Tactic.REMOTE_ACCESS
            | Tactic.RECIPROCITY
        ):
            return phrase.tactic.value
        case _:
            assert_never(phrase.tactic)


def _payment(name: str) -> str:
    if name in _CARDS:
        return "gift_card"
    return "crypto" if name == "crypto" else "wire"
