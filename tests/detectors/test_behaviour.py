"""Indicators from the course of a call."""

from __future__ import annotations

import pytest

from detectors.assessment import Finding, Segment
from detectors.behaviour import WEIGHTS, Timeline
from detectors.patterns import Utterance
from detectors.phrases import Tactic
from tests.detectors.speech import BOOKING, conversation

CALM: frozenset[Tactic] = frozenset()
SCRIPT = "we are calling about the warranty of your vehicle which is about to run out very soon now"


def watch(segments: list[Segment], tactics: frozenset[Tactic] = CALM) -> list[Finding]:
    timeline = Timeline()
    found: list[Finding] = []
    for segment in segments:
        if segment.speaker == "agent":
            timeline.agent_spoke(Utterance(segment))
        else:
            found += timeline.caller_spoke(Utterance(segment), tactics)
    return found


def names(segments: list[Segment], tactics: frozenset[Tactic] = CALM) -> set[str]:
    return {finding.name for finding in watch(segments, tactics)}


def test_an_ordinary_booking_shows_no_indicator() -> None:
    assert names(conversation(*BOOKING)) == set()


def test_talking_on_and_on_is_a_monologue() -> None:
    assert names(conversation(*["word " * 20] * 3)) == {"monologue"}


def test_an_answer_in_between_ends_a_monologue() -> None:
    assert "monologue" not in names(conversation(*["word " * 20, "A: I see."] * 4))


@pytest.mark.parametrize(
    ("question", "answer", "indicator"),
    [
        ("Can I call you back later?", "no you cannot it has to be now", "refuses_callback"),
        ("I'll call the bank myself.", "do not hang up sir", "refuses_callback"),
        ("What number can I call?", "stay on the line please", "refuses_callback"),
        ("Who is calling, please?", "that is not important", "evades_identity"),
        ("Which company are you with?", "just listen to me", "evades_identity"),
        ("What is this about?", "I cannot disclose that", "evades_identity"),
    ],
)
def test_an_evasive_answer_to_the_agent_is_an_indicator(
    question: str, answer: str, indicator: str
) -> None:
    assert indicator in names(conversation(f"A: {question}", answer))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Can I call you back later?", "sure my number is five five five"),
        ("Who is calling, please?", "this is anna from the dental office"),
        ("When shall we come?", "that is not important any day is fine"),
        ("Anything else?", "no that is all do not hang up yet i have one more question"),
    ],
)
def test_a_straight_answer_is_none(question: str, answer: str) -> None:
    assert names(conversation(f"A: {question}", answer)) == set()


def test_a_question_is_answered_once() -> None:
    lines = ("A: Who is calling, please?", "this is anna", "that is not important by the way")
    assert names(conversation(*lines)) == set()


def test_a_script_that_starts_again_is_recognised() -> None:
    assert "repeated_script" in names(conversation(SCRIPT, "A: Hello?", SCRIPT))


def test_a_short_answer_given_twice_is_no_script() -> None:
    assert names(conversation("yes that is right", "A: Sure?", "yes that is right")) == set()


def test_pressure_in_three_utterances_is_repeated_pressure() -> None:
    pressed = frozenset({Tactic.THREAT})
    assert names(conversation("a", "A: b", "c"), pressed) == set()
    assert names(conversation("a", "A: b", "c", "A: d", "e"), pressed) == {"repeated_pressure"}
    assert names(conversation(*"abcde"), frozenset({Tactic.LURE})) == set()


def test_a_voice_that_talks_on_over_the_agent_twice_is_noticed() -> None:
    over = [
        Segment(0, "agent", "hello who is there", 0, 3_000),
        Segment(1, "caller", "press one", 500, 3_500),
        Segment(2, "agent", "i did not get that", 4_000, 7_000),
        Segment(3, "caller", "press one", 4_200, 8_000),
    ]
    assert names(over) == {"talks_over_agent"}
    assert names(over[:3]) == set()


def test_a_short_interruption_is_not_talking_over() -> None:
    barge_in = [
        part
        for start in (0, 10_000, 20_000)
        for part in (
            Segment(0, "agent", "which day suits you", start, start + 3_000),
            Segment(1, "caller", "tuesday", start + 2_500, start + 3_500),
        )
    ]
    assert names(barge_in) == set()


def exchanges(*attempts: tuple[int, bool]) -> list[Segment]:
    """The agent tries to speak for so many ms, and is cut by a caller or heard out."""
    segments: list[Segment] = []
    clock = 0
    for spoken_ms, cut in attempts:
        end = clock + spoken_ms
        segments.append(Segment(len(segments), "agent", "may i ask", clock, end))
        begin = end - 140 if cut else end + 400
        text = f"part {clock} of what was recorded long ago"
        segments.append(Segment(len(segments), "caller", text, begin, begin + 4_000))
        clock = begin + 4_900
    return segments


def test_a_voice_that_goes_on_whenever_the_agent_begins_is_noticed() -> None:
    assert names(exchanges((700, True), (400, True), (900, True))) == {"talks_on"}


@pytest.mark.parametrize(
    "attempts",
    [
        [(700, True), (400, True)],  # twice may happen to anybody
        [(700, True), (400, True), (3_000, False), (500, True)],  # listened in between
        [(2_400, True)] * 6,  # impatient, but knows the question
        [(900, False)] * 6,  # short answers of ours, heard out
        [(700, True), (400, True), (900, False), (700, True), (400, True)],
    ],
)
def test_an_impatient_or_hesitant_person_does_not_seem_to_be_a_recording(
    attempts: list[tuple[int, bool]],
) -> None:
    assert names(exchanges(*attempts)) == set()


def test_one_attempt_of_the_agent_is_counted_once() -> None:
    agent, caller, *_ = exchanges((700, True))
    assert names([agent, caller, caller, caller]) == set()


def test_a_caller_who_hardly_lets_the_agent_speak_is_one_sided() -> None:
    lines = ["A: Hello?"] + ["word " * 30, "A: Yes."] * 5
    assert "one_sided" in names(conversation(*lines))
    assert "one_sided" not in names(conversation(*["word " * 30] * 5))


def test_each_indicator_is_reported_once_and_points_at_its_utterance() -> None:
    found = watch(conversation(*["word " * 70] * 4))
    assert [finding.name for finding in found] == ["monologue"]
    assert found[0].segment == 0
    assert found[0].weight == WEIGHTS["monologue"]
    assert len(found[0].excerpt) <= 80


@pytest.mark.parametrize("text", ["", "   ", "?!", "…"])
def test_silence_changes_nothing(text: str) -> None:
    assert names(conversation(*[text] * 50)) == set()


def test_memory_stays_bounded_in_an_endless_call() -> None:
    timeline = Timeline()
    for number in range(1_500):
        text = f"alpha{number} beta{number} gamma{number} delta{number} epsilon{number}"
        timeline.caller_spoke(Utterance(Segment(number, "caller", text, 0, 1)), CALM)
    assert timeline.remembered <= 2_048
