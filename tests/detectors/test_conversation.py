"""Who is watched, and who speaks for a conversation."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from detectors.assessment import Assessment, Segment, Severity
from detectors.conversation import TRACKS_LIMIT, ConversationDetector
from detectors.detector import ScamDetector, ScamModel
from tests.detectors.speech import BOOKING, ROBOCALL, conversation


def said_by(speaker: str, *lines: str, first: int = 0) -> list[Segment]:
    return [
        msgspec.structs.replace(segment, number=segment.number + first)
        for segment in conversation(*lines, speaker=speaker)
    ]


def timeless(view: Assessment) -> Assessment:
    return msgspec.structs.replace(view, processing_us=0)


def views(model: ScamModel, segments: Sequence[Segment]) -> list[Assessment]:
    detector = ConversationDetector(model)
    return [timeless(detector.feed([segment])) for segment in segments]


@pytest.mark.parametrize("speaker", ["caller", "callee", "customer", "unknown", "dr. green"])
def test_whoever_is_not_our_agent_is_watched(model: ScamModel, speaker: str) -> None:
    detector = ConversationDetector(model)
    view = detector.feed(said_by(speaker, *ROBOCALL))
    assert view.severity is Severity.CRITICAL
    assert detector.watched == (speaker,)


def test_our_agent_is_not_watched(model: ScamModel) -> None:
    detector = ConversationDetector(model)
    view = detector.feed(said_by("agent", *ROBOCALL))
    assert detector.watched == ()
    assert (view.risk, view.severity, view.findings) == (0.0, Severity.MINIMAL, ())


@pytest.mark.parametrize("lines", [ROBOCALL, BOOKING])
def test_with_one_party_it_says_what_a_single_detector_says(
    model: ScamModel, lines: tuple[str, ...]
) -> None:
    segments = conversation(*lines)
    if segments[0].speaker == "agent":
        segments = segments[1:]  # a detector that joins late hears one segment of what was before
    single = ScamDetector(model)
    assert views(model, segments) == [timeless(single.feed([s])) for s in segments]


def test_the_party_that_joins_late_hears_what_it_answers(model: ScamModel) -> None:
    segments = conversation(*BOOKING)
    single = ScamDetector(model)
    assert views(model, segments)[1:] == [timeless(single.feed([s])) for s in segments][1:]


def test_the_riskiest_party_speaks_for_the_conversation(model: ScamModel) -> None:
    scam = said_by("callee", *ROBOCALL)
    victim = said_by("caller", "oh no", "is that so", "what do i have to do", first=3)
    alone = views(model, scam)[-1]
    both = views(model, [*scam, *victim])[-1]
    assert both.risk == pytest.approx(alone.risk, abs=0.1)
    assert both.through == 5
    assert {finding.segment for finding in both.findings} <= {0, 1, 2}


def test_a_victims_words_do_not_count_against_the_other_party(model: ScamModel) -> None:
    honest = said_by("caller", "good morning this is the library your book has arrived")
    fear = said_by("callee", "is this about the warrant for my arrest", "or my bitcoin", first=1)
    detector = ConversationDetector(model)
    detector.feed([*honest, *fear])
    own = ScamDetector(model).feed(honest)
    assert own.severity is Severity.MINIMAL
    assert detector.watched == ("caller", "callee")


def test_feeding_at_once_and_one_by_one_gives_the_same_view(model: ScamModel) -> None:
    segments = [*said_by("caller", *ROBOCALL[:2]), *said_by("callee", ROBOCALL[2], first=2)]
    at_once = ConversationDetector(model).feed(segments)
    assert timeless(at_once) == views(model, segments)[-1]


def test_nothing_new_leaves_the_view_as_it_was(model: ScamModel) -> None:
    detector = ConversationDetector(model)
    assert detector.feed([]).through == -1
    view = detector.feed(said_by("caller", *ROBOCALL))
    assert detector.feed([]) is view


def test_a_crowd_costs_no_more_than_four_parties(model: ScamModel) -> None:
    detector = ConversationDetector(model)
    for number in range(20):
        detector.feed([Segment(number, f"person {number}", "good morning", number, number + 1)])
    assert len(detector.watched) == TRACKS_LIMIT
    late = detector.feed(said_by("person 19", *ROBOCALL, first=20))
    assert late.severity is Severity.CRITICAL


def test_the_time_of_all_parties_is_counted(model: ScamModel) -> None:
    assert ConversationDetector(model).feed(said_by("caller", *ROBOCALL)).processing_us > 0
