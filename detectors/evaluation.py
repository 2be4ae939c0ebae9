"""Plays corpus conversations to detectors, utterance by utterance, as a live call would."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np

from detectors.assessment import Assessment, Segment, Severity
from detectors.detector import ScamDetector, ScamModel
from detectors.metrics import area_under_curve
from models.scam.corpus import Conversation, cut_text
from models.scam.words import WORDS_PER_SECOND

SECONDS = (5, 10, 15, 30)
_OURS = frozenset({"agent", "callee"})


class Heard(msgspec.Struct, frozen=True):
    """The detector's view after one utterance; `words` and `seconds` count both sides."""

    turn: int
    words: int
    seconds: float
    assessment: Assessment


class Outcome(msgspec.Struct, frozen=True):
    """What became of one conversation.

    `alarm_seconds` is when HIGH was first reached, None when never.
    """

    id: str
    source: str
    scam: bool
    final_risk: float
    highest_risk: float
    worst: Severity
    alarm_seconds: float | None


def as_segments(conversation: Conversation) -> Iterator[tuple[int, int, Segment]]:
    """Yield (turn, words so far, segment), timed at an even speaking rate."""
    words = number = 0
    for turn, said in enumerate(conversation.turns, start=1):
        speaker = "agent" if said.speaker in _OURS else "caller"
        for text in cut_text(said.text):
            began = _milliseconds(words)
            words += len(text.split())
            yield turn, words, Segment(number, speaker, text, began, _milliseconds(words))
            number += 1


def listen(model: ScamModel, conversation: Conversation) -> Iterator[Heard]:
    """Play one conversation to a fresh detector."""
    detector = ScamDetector(model)
    for turn, words, segment in as_segments(conversation):
        yield Heard(turn, words, words / WORDS_PER_SECOND, detector.feed([segment]))


def outcome(conversation: Conversation, heard: Iterable[Heard]) -> Outcome:
    """Sum up one conversation."""
    final = highest = 0.0
    worst = Severity.MINIMAL
    alarm: float | None = None
    for moment in heard:
        view = moment.assessment
        final, highest = view.risk, max(highest, view.risk)
        worst = max(worst, view.severity, key=lambda band: band.rank)
        if alarm is None and view.severity.rank >= Severity.HIGH.rank:
            alarm = moment.seconds
    return Outcome(
        conversation.id, conversation.source, conversation.is_scam, final, highest, worst, alarm
    )


class Row(msgspec.Struct, frozen=True):
    """Figures of one source and label; shares in [0, 1].

    `auc` is the area under the ROC curve of final risks against the benign calls of the same
    table, NaN for benign rows. `flagged_by` holds the shares flagged within `SECONDS`.
    """

    source: str
    scam: bool
    calls: int
    auc: float
    high: float
    critical: float
    flagged_by: tuple[float, ...]


def tabulate(outcomes: Sequence[Outcome]) -> list[Row]:
    """Sum up outcomes by source and label."""
    benign = np.array([each.final_risk for each in outcomes if not each.scam])
    rows: list[Row] = []
    for source, scam in sorted({(each.source, each.scam) for each in outcomes}):
        group = [each for each in outcomes if (each.source, each.scam) == (source, scam)]
        finals = np.array([each.final_risk for each in group])
        alarms = [math.inf if each.alarm_seconds is None else each.alarm_seconds for each in group]
        rows.append(
            Row(
                source=source,
                scam=scam,
                calls=len(group),
                auc=area_under_curve(finals, benign) if scam else math.nan,
                high=sum(alarm < math.inf for alarm in alarms) / len(group),
                critical=sum(each.worst is Severity.CRITICAL for each in group) / len(group),
                flagged_by=tuple(
                    sum(alarm <= limit for alarm in alarms) / len(group) for limit in SECONDS
                ),
            )
        )
    return rows


def _milliseconds(words: int) -> int:
    return round(words / WORDS_PER_SECOND * 1_000)
