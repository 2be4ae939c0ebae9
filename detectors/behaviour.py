"""Indicators that lie in how a call goes rather than in what is said.

The timeline keeps counters and bounded sets alone, so that an utterance costs the same in the
first minute and in the hundredth.
"""

from __future__ import annotations

import re
from collections import deque
from zlib import crc32

from detectors.assessment import Finding, Segment
from detectors.fork import fork
from detectors.patterns import Utterance, evidence
from detectors.phrases import Tactic

# How much each indicator alone speaks for a scam, in [0, 1].
WEIGHTS = {
    "monologue": 0.15,
    "one_sided": 0.15,
    "talks_over_agent": 0.35,
    "talks_on": 0.2,  # as a recording does, but also somebody who hesitates and goes on
    "repeated_script": 0.4,
    "repeated_pressure": 0.4,
    "refuses_callback": 0.5,
    "evades_identity": 0.4,
}
_MONOLOGUE_WORDS = 60
_ONE_SIDED_WORDS, _ONE_SIDED_SHARE = 120, 0.9
_OVERLAP_MS, _OVERLAPS = 1_500, 2
# An agent that yields is never talked over for long: it is cut as soon as it begins. A person
# hears enough of a question to answer it; a recording goes on wherever it pauses.
_CUT_SHORT_MS, _CUTS_IN_A_ROW = 1_500, 3
_SHINGLE_WORDS, _SHINGLES_KEPT, _SHINGLES_NEEDED, _REPEATED_SHARE = 4, 2_048, 8, 0.6
_PRESSURE_SEGMENTS = 3
_PRESSURE = frozenset({Tactic.THREAT, Tactic.URGENCY, Tactic.ISOLATION, Tactic.SECRECY})

_ASKS_IDENTITY = re.compile(
    r"\b(?:who (?:is|are|am i)|whos|your name|what company|which company|where are you calling|"
    r"what organi[sz]ation|may i ask who|prove|verify (?:that )?you|identify yourself|"
    r"what is this (?:about|regarding))\b"
)
_OFFERS_CALLBACK = re.compile(
    r"\b(?:call (?:you|them|him|her) back|call back|ring (?:you )?back|number "
    r"(?:can|could) (?:i|we) (?:call|reach)|callback|call the (?:bank|office|company|police))\b"
)
_REFUSES = re.compile(
    r"\b(?:no (?:you )?(?:cannot|cant|need|time|sir|maam)|(?:cannot|cant|can not) (?:be called|"
    r"call (?:me|us) back|do that|wait|hang up)|(?:dont|do not) (?:hang up|call|disconnect|end)|"
    r"stay on|not possible|no time|has to be (?:now|done now)|if you hang up|outgoing only)\b"
)
_EVADES = re.compile(
    r"\b(?:not important|doesnt matter|does not matter|just (?:listen|do|answer)|"
    r"dont (?:worry|ask)|do not (?:worry|ask)|(?:listen|look) to me|why (?:are|do) you ask|"
    r"cant (?:tell|say|disclose|share)|cannot (?:tell|say|disclose|share)|not authori[sz]ed to|"
    r"no time for|that is confidential|thats confidential|i already told you|stop asking)\b"
)


class Timeline:
    """Watches the segments of one call; each indicator is reported when it first holds."""

    __slots__ = (
        "_agent_end_ms",
        "_agent_last",
        "_agent_spoke",
        "_attempt",
        "_caller_run",
        "_caller_words",
        "_cut_short",
        "_order",
        "_overlaps",
        "_pressured",
        "_raised",
        "_shingles",
        "_words",
    )
    __copy__ = fork

    def __init__(self) -> None:
        self._agent_spoke = False
        self._agent_end_ms = 0
        self._agent_last = ""
        self._words = self._caller_words = self._caller_run = 0
        self._attempt: Segment | None = None  # the agent's, that nobody has answered yet
        self._overlaps = self._cut_short = self._pressured = 0
        self._raised: set[str] = set()
        self._shingles: set[int] = set()
        self._order: deque[int] = deque()

    @property
    def remembered(self) -> int:
        """How many runs of words are kept to recognise a script; at most 2,048."""
        return len(self._shingles)

    @property
    def other_words(self) -> int:
        """How many words everybody but the caller has said."""
        return self._words - self._caller_words

    def agent_spoke(self, utterance: Utterance) -> None:
        """Take what our side said: it only sets the scene for what the caller does next."""
        self._agent_spoke = True
        self._agent_end_ms = max(self._agent_end_ms, utterance.segment.ended_ms)
        self._attempt = utterance.segment
        self._agent_last = utterance.plain[len(" ".join((*utterance.carried, ""))) :]
        self._words += len(utterance.words)
        self._caller_run = 0

    def caller_spoke(self, utterance: Utterance, tactics: frozenset[Tactic]) -> list[Finding]:
        """Take what the remote party said, with the tactics just found in it."""
        count = len(utterance.words)
        if not count:
            return []
        self._words += count
        self._caller_words += count
        self._caller_run += count
        self._overlaps += self._overlap_ms(utterance.segment) >= _OVERLAP_MS
        self._judge_attempt(utterance.segment)
        self._pressured += bool(tactics & _PRESSURE)
        answer = utterance.plain
        question, self._agent_last = self._agent_last, ""
        holds = {
            "monologue": self._caller_run >= _MONOLOGUE_WORDS,
            "one_sided": self._is_one_sided(),
            "talks_over_agent": self._overlaps >= _OVERLAPS,
            "talks_on": self._cut_short >= _CUTS_IN_A_ROW,
            "repeated_script": self._repeats(utterance),
            "repeated_pressure": self._pressured >= _PRESSURE_SEGMENTS,
            "refuses_callback": bool(_OFFERS_CALLBACK.search(question) and _REFUSES.search(answer)),
            "evades_identity": bool(_ASKS_IDENTITY.search(question) and _EVADES.search(answer)),
        }
        return [
            self._report(name, utterance)
            for name, held in holds.items()
            if held and name not in self._raised
        ]

    def _report(self, name: str, utterance: Utterance) -> Finding:
        self._raised.add(name)
        text = utterance.segment.text
        return evidence(utterance.segment, "behaviour", name, WEIGHTS[name], 0, len(text))

    def _overlap_ms(self, segment: Segment) -> int:
        """How long the caller went on while the agent was speaking."""
        return min(self._agent_end_ms, segment.ended_ms) - segment.started_ms

    def _judge_attempt(self, segment: Segment) -> None:
        """Count how often in a row the agent was cut as soon as it began to speak."""
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        cut = segment.started_ms < attempt.ended_ms
        short = attempt.ended_ms - attempt.started_ms < _CUT_SHORT_MS
        self._cut_short = self._cut_short + 1 if cut and short else 0

    def _is_one_sided(self) -> bool:
        return (
            self._agent_spoke
            and self._words >= _ONE_SIDED_WORDS
            and self._caller_words >= _ONE_SIDED_SHARE * self._words
        )

    def _repeats(self, utterance: Utterance) -> bool:
        """Whether most of this was said before: a recording that starts again, a script."""
        words = [word.plain for word in utterance.words]
        shingles = {
            crc32(" ".join(words[at : at + _SHINGLE_WORDS]).encode())
            for at in range(len(words) - _SHINGLE_WORDS + 1)
        }
        known = len(shingles & self._shingles)
        for shingle in shingles - self._shingles:
            self._shingles.add(shingle)
            self._order.append(shingle)
        while len(self._order) > _SHINGLES_KEPT:
            self._shingles.discard(self._order.popleft())
        return len(shingles) >= _SHINGLES_NEEDED and known >= _REPEATED_SHARE * len(shingles)
