"""Finds phrases and keywords of scams in one utterance, with the place they stand at.

Phrases that straddle two utterances are found too: the last words of the previous one are
looked at again, and only matches that end in new words count.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from detectors.assessment import Finding, Segment
from detectors.keywords import KEYWORDS
from detectors.phrases import COMBINATIONS, PHRASES, Combination, Phrase, Tactic
from models.scam.words import Word, plain_text, spoken_words

EXCERPT_CHARS = 80
CARRIED_WORDS = 8

# An honest warning ("we will never ask you to give your PIN"), a victim's report ("someone
# called me and said ...") and a caller's own trouble ("my computer has a virus") use the same
# phrases as scams; what remains of a weight in each case.
_WARNED, _REPORTED, _OWN = 0.15, 0.25, 0.4
_COMBINING = 0.2  # least weight of a phrase that can be part of a combination
_WARNING = re.compile(
    r"\b(?:(?:never|wont|will not|would not|wouldnt) (?:\w+ ){0,4}"
    r"|(?:dont|do not|should not|shouldnt|no need to) (?:\w+ )?)$"
)
_OWNED = re.compile(r"\b(?:my|our|her|his|their) (?:\w+ )?$")
_REPORT = re.compile(
    r"\b(?:(?:someone|somebody|they|he|she|guy|man|woman|lady|caller|scammers?) (?:\w+ ){0,3}"
    r"(?:called|claiming|claimed|saying|said|told|asked|pretending|pretended) "
    r"|i (?:just )?(?:got|received|had|keep getting) (?:a|an|this|some|these) (?:\w+ ){0,3}"
    r"(?:calls?|emails?|messages?|texts?|letter|voicemail)\b"
    r"|(?:is|was) (?:it|this|that) (?:\w+ ){0,2}(?:scam|fraud|legit|legitimate|real)\b"
    r"|think (?:it|this|that) (?:is|was|might be|could be|may be) (?:a )?(?:scam|fraud)\b"
    r"|(?:been|got|was|almost) scammed\b|scam calls?\b|the scammers?\b"
    r"|(?:tele)?phone scams?\b|(?:criminals|fraudsters|scammers|crooks) \w+"
    r"|(?:those|these) (?:\w+ )?calls\b)"
)
_GUARDED = frozenset({Tactic.CREDENTIALS, Tactic.PAYMENT, Tactic.REMOTE_ACCESS, Tactic.SECRECY})
_COMPILED = tuple(
    (phrase, re.compile(rf"\b(?:{phrase.expression.replace(' .. ', r' (?:[^ ]+ ){0,5}')})\b"))
    for phrase in PHRASES
)


class Match(msgspec.Struct, frozen=True, array_like=True):
    """A phrase of the table, heard; `finding.weight` has honest contexts taken into account."""

    phrase: Phrase
    finding: Finding


class Utterance:
    """The words of one segment, behind the last words of the one before."""

    __slots__ = ("_boundary", "_starts", "carried", "plain", "segment", "words")

    def __init__(self, segment: Segment, carried: Sequence[str] = ()) -> None:
        self.segment = segment
        self.words: list[Word] = spoken_words(segment.text)
        self.carried = tuple(carried)
        lead = " ".join((*self.carried, ""))
        self._boundary = len(lead)
        self.plain = lead + plain_text(self.words)
        self._starts: list[int] = []
        at = self._boundary
        for word in self.words:
            self._starts.append(at)
            at += len(word.plain) + 1

    def tail(self) -> tuple[str, ...]:
        """Return the words that the next utterance of this speaker carries along."""
        return (*self.carried, *(word.plain for word in self.words))[-CARRIED_WORDS:]

    def is_new(self, end: int) -> bool:
        """Whether a match that ends at `end` of the plain text reaches into this segment."""
        return end > self._boundary

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Map a span of the plain text to characters of the segment's own text."""
        first = max(0, bisect_right(self._starts, start) - 1)
        last = bisect_right(self._starts, end - 1) - 1
        return self.words[first].start, self.words[last].end


def tells_of_a_call(utterance: Utterance) -> bool:
    """Whether the speaker reports what somebody else said, or asks whether it was a scam."""
    return _REPORT.search(utterance.plain) is not None


def find_phrases(utterance: Utterance, *, reported: bool = False) -> list[Match]:
    """Return each phrase of the table at most once, where it is first heard.

    `reported` = the speaker is telling what somebody else said.
    """
    if not utterance.words:
        return []
    matches: list[Match] = []
    for phrase, expression in _COMPILED:
        for found in expression.finditer(utterance.plain):
            if utterance.is_new(found.end()):
                weight = _weight_in_context(phrase, utterance.plain, found, reported)
                start, end = utterance.place(found.start(), found.end())
                finding = evidence(utterance.segment, "pattern", phrase.name, weight, start, end)
                matches.append(Match(phrase, finding))
                break
    return matches


def find_combinations(
    known: Iterable[tuple[Tactic, float]],
) -> Iterator[Combination]:
    """Yield the combinations of tactics that hold among the phrases heard so far.

    Phrases that their context made harmless do not count.
    """
    tactics = {tactic for tactic, weight in known if weight >= _COMBINING}
    for combination in COMBINATIONS:
        if tactics & combination.first and tactics & combination.second:
            yield combination


def find_keywords(utterance: Utterance) -> Iterator[Finding]:
    """Yield each keyword of the segment once; the name is the word itself."""
    seen: set[str] = set()
    for word in utterance.words:
        weight = KEYWORDS.get(word.plain)
        if weight is not None and word.plain not in seen:
            seen.add(word.plain)
            yield evidence(utterance.segment, "keyword", word.plain, weight, word.start, word.end)


def evidence(
    segment: Segment, detector: str, name: str, weight: float, start: int, end: int
) -> Finding:
    """Make a finding whose excerpt is the text of [start, end), at most 80 characters."""
    excerpt = segment.text[start:end]
    if len(excerpt) > EXCERPT_CHARS:
        excerpt = excerpt[: EXCERPT_CHARS - 1] + "…"
    return Finding(detector, name, weight, segment.number, start, end, excerpt)


def points(weight: float) -> float:
    """Turn a weight in [0, 1) into points that add up: independent evidence multiplies."""
    return -math.log1p(-min(weight, 0.99))


def sum_within_tactics(weights: Iterable[tuple[Tactic, float]]) -> float:
    """Add points over tactics; within one, each further phrase counts half the one before."""
    by_tactic: dict[Tactic, list[float]] = {}
    for tactic, weight in weights:
        by_tactic.setdefault(tactic, []).append(points(weight))
    return sum(
        value * 0.5**place
        for values in by_tactic.values()
        for place, value in enumerate(sorted(values, reverse=True))
    )


def _weight_in_context(phrase: Phrase, plain: str, found: re.Match[str], reported: bool) -> float:
    weight = phrase.weight * (_REPORTED if reported else 1.0)
    before = plain[: found.start()]
    if phrase.tactic in _GUARDED and _WARNING.search(before[-60:]):
        return weight * _WARNED
    if "your" not in found.group() and _OWNED.search(before[-40:]):
        return weight * _OWN
    return weight
