"""Plays a written conversation to a detector, as a recogniser would commit it, and keeps notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from detectors.assessment import Assessment, Segment, Severity
from detectors.conversation import ConversationDetector
from detectors.detector import ScamModel
from detectors.heads import HEADS
from detectors.metrics import Scored
from detectors.transcripts import Said, Talk
from models.scam.corpus import cut_text
from models.scam.words import WORDS_PER_SECOND

ALARM = Severity.HIGH


class Proof(msgspec.Struct, frozen=True):
    """A finding, placed in the turn it stands in: `start` and `end` count its characters."""

    turn: int
    speaker: str
    detector: str
    name: str
    weight: float
    start: int
    end: int
    excerpt: str


class Trace(msgspec.Struct, frozen=True):
    """What the detector made of one conversation.

    `steps` has one (turn, words so far, risk) after each utterance, committed or provisional,
    `seconds` the time at which each was known; turns count from 1, words are those of all
    speakers. `score` is the risk after the last committed utterance, `highest` the greatest;
    `severity`, `type` and `tactics` are those at the greatest; `learned` are the tactics among
    them for which there is only the word of a learned head. The alarm is the first utterance
    after which the severity is high; None = never.
    """

    id: str
    score: float
    severity: Severity
    highest: float
    confidence: float
    alarm_turn: int | None
    alarm_words: int | None
    alarm_seconds: float | None
    type: str
    tactics: tuple[str, ...]
    learned: tuple[str, ...]
    detectors: tuple[str, ...]
    steps: tuple[tuple[int, int, float], ...]
    seconds: tuple[float, ...]
    evidence: tuple[Proof, ...]
    source: str
    label: str
    cluster: str
    model_version: str

    @property
    def marked_tactics(self) -> str:
        """The tactics for people to read, the learned ones marked."""
        return ", ".join(
            f"{name} (learned)" if name in self.learned else name for name in self.tactics
        )

    @property
    def scored(self) -> Scored:
        """The form that figures are computed from; needs a label."""
        pairs = zip(self.seconds, self.steps, strict=True)
        return Scored(
            self.source,
            self.cluster or self.id,
            self.label == "scam",
            tuple((seconds, step[2]) for seconds, step in pairs),
        )


class Commit(msgspec.Struct, frozen=True):
    """An utterance as a recogniser hands it over, `known` seconds into the call.

    `offset` is where in its turn it begins. A provisional one will be replaced: its turn, and
    the number of its segment, are those of the next that is not.
    """

    turn: int
    words: int
    offset: int
    known: float
    segment: Segment
    provisional: bool


def commits(turns: Sequence[Said]) -> Iterator[Commit]:
    """Cut turns into utterances, timed evenly within each turn.

    A turn without times begins when the one before has ended, at an even speaking rate. A turn
    that a recogniser handed over at once is one utterance.
    """
    clock = 0.0
    words = number = 0
    turn = 1
    for said in turns:
        count = len(said.text.split())
        began = clock if said.start is None else said.start
        ended = began + count / WORDS_PER_SECOND if said.end is None else said.end
        at = done = 0
        for text in cut_text(said.text) if said.known is None else (said.text,):
            offset = said.text.index(text, at)
            at = offset + len(text)
            before, done = done, len(said.text[:at].split())
            first, last = (_moment(began, ended, place, count) for place in (before, done))
            known = last / 1_000 if said.known is None else said.known
            segment = Segment(number, said.party, text, first, last)
            yield Commit(turn, words + done, offset, known, segment, said.provisional)
            number += not said.provisional
        if not said.provisional:
            words += count
            turn += 1
            clock = max(clock, ended)


def play(model: ScamModel, talk: Talk) -> Trace:
    """Feed a conversation utterance by utterance to a fresh detector."""
    detector = ConversationDetector(model)
    heard: list[tuple[Commit, Assessment]] = [
        (commit, _read(detector, commit)) for commit in commits(talk.turns)
    ]
    last = detector.feed([])
    worst = max((view for _, view in heard), key=lambda view: view.risk, default=last)
    alarm = next((c for c, view in heard if view.severity.rank >= ALARM.rank), None)
    return Trace(
        id=talk.id,
        score=last.risk,
        severity=worst.severity,
        highest=worst.risk,
        confidence=worst.confidence,
        alarm_turn=alarm.turn if alarm else None,
        alarm_words=alarm.words if alarm else None,
        alarm_seconds=alarm.known if alarm else None,
        type=worst.scam_type,
        tactics=worst.tactics,
        learned=tuple(
            said.label
            for said in worst.predictions
            if said.model == HEADS and said.label in worst.tactics
        ),
        detectors=worst.detectors,
        steps=tuple((commit.turn, commit.words, view.risk) for commit, view in heard),
        seconds=tuple(commit.known for commit, _ in heard),
        evidence=_proofs([commit for commit, _ in heard if not commit.provisional], last),
        source=talk.source,
        label=talk.label,
        cluster=talk.cluster,
        model_version=last.model_version,
    )


def _read(detector: ConversationDetector, commit: Commit) -> Assessment:
    if commit.provisional:
        return detector.preview(commit.segment)
    return detector.feed([commit.segment])


def _proofs(said: Sequence[Commit], view: Assessment) -> tuple[Proof, ...]:
    return tuple(
        Proof(
            turn=said[finding.segment].turn,
            speaker=said[finding.segment].segment.speaker,
            detector=finding.detector,
            name=finding.name,
            weight=finding.weight,
            start=said[finding.segment].offset + finding.start,
            end=said[finding.segment].offset + finding.end,
            excerpt=finding.excerpt,
        )
        for finding in view.findings
    )


def _moment(began: float, ended: float, done: int, count: int) -> int:
    return round((began + (ended - began) * done / max(1, count)) * 1_000)
