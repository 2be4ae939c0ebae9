"""A look at words in the making leaves no trace, and says what the words would say."""

from __future__ import annotations

from collections import deque

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.assessment import Assessment, Segment, Severity
from detectors.conversation import ConversationDetector
from detectors.detector import ScamDetector, ScamModel
from detectors.fork import fork
from tests.detectors.speech import BOOKING, HARMLESS, ROBOCALL, conversation
from tests.detectors.test_scenarios import HONEST, SCAMS

FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
CALLS = st.sampled_from([*SCAMS.values(), *HONEST.values(), BOOKING, ROBOCALL])
SPOKEN = st.sampled_from([*ROBOCALL, *HARMLESS, "buy gift cards and read me the numbers", ""])


class Shelf:
    """An owner of each kind of state that detectors keep."""

    __slots__ = ("count", "inner", "line", "names", "numbers", "seen")
    __copy__ = fork

    def __init__(self, inner: Shelf | None) -> None:
        self.count = 1
        self.inner = inner
        self.line = deque([1])
        self.names = {"a": 1}
        self.numbers = np.zeros(3, np.uint8)
        self.seen = {1}

    def change(self) -> None:
        self.count += 1
        self.line.append(2)
        self.names["b"] = 2
        self.numbers[0] = 9
        self.seen.add(2)
        if self.inner is not None:
            self.inner.change()

    def told(self) -> list[object]:
        inner = self.inner.told() if self.inner is not None else []
        mine = [self.count, list(self.line), dict(self.names), self.numbers.tolist(), self.seen]
        return [*map(repr, mine), inner]


def test_a_fork_and_its_original_change_apart() -> None:
    one = Shelf(Shelf(None))
    twin, before = fork(one), one.told()
    assert twin.told() == before
    twin.change()
    assert one.told() == before
    one.change()
    one.change()
    assert twin.told() != one.told()


def timeless(view: Assessment) -> Assessment:
    return msgspec.structs.replace(view, processing_us=0)


@pytest.mark.parametrize("kind", [ScamDetector, ConversationDetector])
@FEW
@given(lines=CALLS, tails=st.lists(SPOKEN, max_size=3))
def test_looks_in_between_change_nothing(
    model: ScamModel,
    kind: type[ScamDetector | ConversationDetector],
    lines: tuple[str, ...],
    tails: list[str],
) -> None:
    plain, looked_at = kind(model), kind(model)
    for segment in conversation(*lines):
        for text in tails:
            looked_at.preview(Segment(segment.number, "caller", text, 0, 900))
        assert timeless(looked_at.feed([segment])) == timeless(plain.feed([segment]))


@pytest.mark.parametrize("kind", [ScamDetector, ConversationDetector])
@FEW
@given(lines=CALLS)
def test_a_look_says_what_the_words_would_say(
    model: ScamModel, kind: type[ScamDetector | ConversationDetector], lines: tuple[str, ...]
) -> None:
    detector = kind(model)
    for segment in conversation(*lines):
        seen = timeless(detector.preview(segment))
        assert seen == timeless(detector.feed([segment]))


def test_an_alarm_that_was_taken_back_leaves_no_band_behind(model: ScamModel) -> None:
    detector = ConversationDetector(model)
    alarm = detector.preview(Segment(0, "caller", " ".join(ROBOCALL), 0, 9_000))
    assert alarm.severity.rank >= Severity.HIGH.rank
    calm = detector.feed([Segment(0, "caller", HARMLESS[0], 0, 900)])
    assert (calm.severity, calm.findings) == (Severity.MINIMAL, ())


def test_a_party_heard_in_a_look_alone_is_not_watched(model: ScamModel) -> None:
    detector = ConversationDetector(model)
    detector.preview(Segment(0, "stranger", ROBOCALL[0], 0, 900))
    assert detector.watched == ()
    assert detector.evidence() == ()


@pytest.mark.parametrize("name", SCAMS)
def test_a_scam_in_the_making_is_seen_no_later_than_when_it_is_said(
    model: ScamModel, name: str
) -> None:
    """Word by word, as partial transcripts come."""
    detector, alarmed, committed = ConversationDetector(model), None, None
    for segment in conversation(*SCAMS[name]):
        words = segment.text.split()
        for count in range(1, len(words) + 1):
            tail = msgspec.structs.replace(segment, text=" ".join(words[:count]))
            if alarmed is None and detector.preview(tail).severity.rank >= Severity.HIGH.rank:
                alarmed = segment.number
        view = detector.feed([segment])
        if committed is None and view.severity.rank >= Severity.HIGH.rank:
            committed = segment.number
    assert committed is None or (alarmed is not None and alarmed <= committed)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_call_raises_no_alarm_at_any_word(model: ScamModel, name: str) -> None:
    detector = ConversationDetector(model)
    for segment in conversation(*HONEST[name]):
        words = segment.text.split()
        for count in range(1, len(words) + 1):
            tail = msgspec.structs.replace(segment, text=" ".join(words[:count]))
            assert detector.preview(tail).severity.rank < Severity.HIGH.rank
        detector.feed([segment])
