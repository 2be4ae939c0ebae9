"""The detector of one call, with the shipped model."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.assessment import Assessment, Segment, Severity, independent
from detectors.detector import FINDINGS_LIMIT, TEXT_LIMIT, ScamDetector, ScamModel
from tests.detectors.speech import BOOKING, HARMLESS, ROBOCALL, conversation

GIFT_CARDS = (
    "A: Hello, how can I help you today?",
    "i am calling from the fraud department of your bank your account has been compromised",
    "A: Who is calling, please?",
    "that is not important you must act now",
    "A: Can I call you back?",
    "no do not hang up buy google play gift cards and read me the numbers on the back",
)
SPOKEN = st.sampled_from(
    [line.removeprefix("A: ") for line in (*BOOKING, *ROBOCALL, *GIFT_CARDS, *HARMLESS)]
)
SHARED_MODEL = settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def timeless(assessment: Assessment) -> Assessment:
    return msgspec.structs.replace(assessment, processing_us=0)


def assess(model: ScamModel, *lines: str) -> Assessment:
    return ScamDetector(model).feed(conversation(*lines))


def test_a_robocall_is_critical_with_evidence_a_person_can_check(model: ScamModel) -> None:
    segments = conversation(*ROBOCALL)
    view = ScamDetector(model).feed(segments)
    assert view.severity is Severity.CRITICAL
    assert view.scam_type == "government_tax"
    assert {"pattern", "classifier"} <= set(view.detectors)
    assert view.through == 2
    assert {"ssn_suspended", "press_to_act", "arrest_warrant"} <= {f.name for f in view.findings}
    for finding in view.findings:
        text = segments[finding.segment].text
        assert text[finding.start : finding.end].startswith(finding.excerpt.removesuffix("…"))
        assert 0 < finding.weight <= 1


def test_a_service_booking_stays_minimal(model: ScamModel) -> None:
    view = assess(model, *BOOKING)
    assert view.severity is Severity.MINIMAL
    assert view.scam_type == ""
    assert view.detectors == ()


def test_behaviour_speaks_when_the_caller_evades_the_agent(model: ScamModel) -> None:
    view = assess(model, *GIFT_CARDS)
    assert view.severity is Severity.CRITICAL
    assert "behaviour" in view.detectors
    assert {"evades_identity", "refuses_callback"} <= {finding.name for finding in view.findings}


def test_the_assessment_names_its_model_and_time(model: ScamModel) -> None:
    view = assess(model, *ROBOCALL)
    assert view.model_version == model.manifest.model_version
    assert model.manifest.sha256[:12] in view.model_version
    assert view.processing_us > 0
    assert {prediction.model for prediction in view.predictions} == {
        "classifier",
        "fusion",
        "heads",
    }
    (fused,) = [p.probability for p in view.predictions if p.model == "fusion"]
    assert fused == view.risk


def test_the_agents_own_words_never_raise_an_alarm(model: ScamModel) -> None:
    spoken = [line for line in (*ROBOCALL, *GIFT_CARDS)]
    view = ScamDetector(model).feed(
        [msgspec.structs.replace(s, speaker="agent") for s in conversation(*spoken * 5)]
    )
    assert view.severity is Severity.MINIMAL
    assert view.findings == ()
    assert [prediction.model for prediction in view.predictions] == ["fusion"]


@SHARED_MODEL
@given(lines=st.lists(SPOKEN, max_size=12))
def test_agent_text_alone_never_raises_the_risk(model: ScamModel, lines: list[str]) -> None:
    detector = ScamDetector(model)
    before = detector.feed(conversation("i would like to book a plumber"))
    after = detector.feed(conversation("A: Certainly.", *(f"A: {line}" for line in lines)))
    assert after.risk <= before.risk


@SHARED_MODEL
@given(lines=st.lists(SPOKEN, min_size=1, max_size=15), cuts=st.sets(st.integers(1, 14)))
def test_feeding_in_any_portions_gives_the_same_view(
    model: ScamModel, lines: list[str], cuts: set[int]
) -> None:
    segments = conversation(*lines)
    whole = ScamDetector(model).feed(segments)
    detector, view, at = ScamDetector(model), None, 0
    for cut in [*sorted(cut for cut in cuts if cut < len(segments)), len(segments)]:
        view = detector.feed(segments[at:cut])
        at = cut
    assert view is not None
    # the band remembers the way it came; everything else is a function of what was said
    assert timeless(view) == timeless(whole)


@SHARED_MODEL
@given(extra=st.lists(st.sampled_from(HARMLESS), min_size=1, max_size=10))
def test_harmless_additions_hardly_raise_the_risk(model: ScamModel, extra: list[str]) -> None:
    for lines in (BOOKING, ROBOCALL[:1], ("",)):
        base = assess(model, *lines).risk
        assert assess(model, *lines, *extra).risk <= base + 0.2


@SHARED_MODEL
@given(extra=st.lists(st.sampled_from(HARMLESS), min_size=1, max_size=10))
def test_small_talk_does_not_talk_a_scam_away(model: ScamModel, extra: list[str]) -> None:
    assert assess(model, *ROBOCALL, *extra).severity.rank >= Severity.HIGH.rank


@SHARED_MODEL
@given(lines=st.lists(SPOKEN, min_size=1, max_size=15))
def test_critical_always_has_two_independent_detectors(model: ScamModel, lines: list[str]) -> None:
    detector = ScamDetector(model)
    for segment in conversation(*lines):
        view = detector.feed([segment])
        if view.severity is Severity.CRITICAL:
            assert independent(view.detectors) >= 2


@pytest.mark.parametrize("text", ["", " ", "...", "12 34", "ok", "Пожалуйста", "你好", "\x00"])
def test_silence_and_single_words_are_no_scam(model: ScamModel, text: str) -> None:
    assert assess(model, text).severity is Severity.MINIMAL


def test_nothing_new_gives_the_previous_view(detector: ScamDetector) -> None:
    assert detector.feed([]).through == -1
    view = detector.feed(conversation(*ROBOCALL))
    assert detector.feed([]) == view


def test_a_very_long_segment_is_read_up_to_its_limit(model: ScamModel) -> None:
    text = "hello there " * TEXT_LIMIT + " ".join(ROBOCALL)
    assert assess(model, text).severity.rank <= Severity.LOW.rank


def test_a_very_long_benign_call_never_alarms(detector: ScamDetector) -> None:
    for _ in range(200):
        assert detector.feed(conversation(*BOOKING)).severity.rank <= Severity.LOW.rank


def operations(detector: ScamDetector, line: str) -> int:
    """Count the calls made, Python's and C's, while one utterance is taken."""
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    segments = conversation(line)
    sys.setprofile(count)
    try:
        detector.feed(segments)
    finally:
        sys.setprofile(None)
    return counted


def test_an_utterance_costs_the_same_in_the_first_minute_and_in_the_last(
    detector: ScamDetector,
) -> None:
    for line in (*ROBOCALL, *HARMLESS):
        detector.feed(conversation(line))
    early = operations(detector, HARMLESS[1])
    for number in range(300):
        detector.feed(conversation(f"{HARMLESS[number % len(HARMLESS)]} number{number}"))
    assert operations(detector, HARMLESS[1]) <= 1.05 * early


def test_evidence_stays_bounded(detector: ScamDetector) -> None:
    for _ in range(30):
        view = detector.feed(conversation(*ROBOCALL, *GIFT_CARDS))
    assert len(view.findings) <= FINDINGS_LIMIT


def test_a_victims_report_is_no_scam(model: ScamModel) -> None:
    view = assess(
        model,
        "somebody called me and said my social security number was suspended",
        "he told me to buy gift cards i think it was a scam",
    )
    assert view.severity.rank <= Severity.MEDIUM.rank


def test_one_model_serves_many_calls_in_many_threads(model: ScamModel) -> None:
    expected = timeless(assess(model, *ROBOCALL))
    with ThreadPoolExecutor(4) as pool:
        views = list(pool.map(lambda _: assess(model, *ROBOCALL), range(40)))
    assert all(timeless(view) == expected for view in views)


def test_a_band_does_not_flap_while_a_caller_rambles_on(detector: ScamDetector) -> None:
    bands = [detector.feed([s]).severity.rank for s in conversation(*ROBOCALL, *HARMLESS * 3)]
    turns = sum(later < sooner for sooner, later in pairwise(bands))
    assert turns <= 1


def test_segments_of_another_speaker_name_count_as_the_agents(model: ScamModel) -> None:
    segments = [Segment(0, "agent", line, 0, 1) for line in ROBOCALL]
    assert ScamDetector(model).feed(segments).risk < 0.15
