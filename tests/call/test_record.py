"""The books of a call."""

from __future__ import annotations

import pytest

from detectors.assessment import Segment, Severity
from tests.call.scenes import view
from voice_server.call import commands as c
from voice_server.call.agent_turn import AgentTurn
from voice_server.call.caller import CallerSide
from voice_server.call.outcome import SCAM, SCAM_HAND_OVER, SILENCE, Outcome
from voice_server.call.phase import Phase
from voice_server.call.policy import Policy, Rate
from voice_server.call.record import CallRecord

TARIFF = (Rate("tts", 3, 2), Rate("line", 8_500, 1), Rate("trunk", 100, 1))


def published(
    record: CallRecord, phase: Phase = Phase.LISTENING, outcome: Outcome | None = None
) -> c.Publish:
    return record.publish(700, phase, CallerSide(Policy()), 3, outcome)


def test_a_line_is_stored_and_shown_to_the_detector():
    record = CallRecord(Policy())
    assert record.line("caller", "Hello?", "", 100, 900) == [
        c.Record("caller", "Hello?", "", 100, 900),
        c.AssessRisk(Segment(0, "caller", "Hello?", 100, 900)),
    ]
    assert published(record).state.lines[0].text == "Hello?"


def test_what_nobody_heard_is_stored_and_not_shown_to_the_detector():
    record = CallRecord(Policy())
    assert record.line("agent", "", "We can fix that.", 100, 900) == [
        c.Record("agent", "", "We can fix that.", 100, 900)
    ]
    (_, assess) = record.line("agent", "We can", "fix that.", 100, 900)
    assert isinstance(assess, c.AssessRisk)
    assert (assess.segment.number, assess.segment.text) == (0, "We can")


def test_without_the_shield_nothing_is_shown_to_the_detector():
    record = CallRecord(Policy(detect_scams=False))
    assert record.line("caller", "Hello?", "", 0, 1) == [c.Record("caller", "Hello?", "", 0, 1)]


def test_keys_are_stored_and_not_shown_to_the_detector():
    record = CallRecord(Policy())
    assert record.keys("55#", 400) == [c.Record("caller", "55#", "", 400, 400)]
    assert published(record).state.line_count == 1


def test_an_assessment_of_a_new_band_is_stored_with_its_evidence():
    record = CallRecord(Policy())
    record.line("caller", "Buy gift cards.", "", 0, 1)
    high = view(Severity.HIGH)
    evidence = (Segment(0, "caller", "Buy gift cards.", 0, 1),)
    assert record.assessed(high) == (None, [c.RecordRisk(high, evidence, False), c.Warn(high)])
    assert record.assessed(view(Severity.HIGH, 1)) == (None, [])


def test_a_band_below_the_warning_is_stored_and_nobody_is_warned():
    medium = view(Severity.MEDIUM)
    assert CallRecord(Policy()).assessed(medium) == (None, [c.RecordRisk(medium, (), False)])


@pytest.mark.parametrize(
    ("policy", "band", "closing"),
    [
        (Policy(scam_closing="Bye."), Severity.CRITICAL, ("Bye.", SCAM)),
        (
            Policy(hand_over_at=Severity.HIGH, scam_hand_over="Wait."),
            Severity.HIGH,
            ("Wait.", SCAM_HAND_OVER),
        ),
        (Policy(hand_over_at=Severity.HIGH), Severity.CRITICAL, (Policy().scam_closing, SCAM)),
    ],
)
def test_the_last_steps_close_the_call_in_their_own_words(
    policy: Policy, band: Severity, closing: tuple[str, Outcome]
):
    assessment = view(band)
    answer, commands = CallRecord(policy).assessed(assessment)
    assert answer == closing
    assert commands[0] == c.RecordRisk(assessment, (), final=False)


@pytest.mark.parametrize(
    ("asked", "transcript", "text", "speech", "waits"),
    [
        (1_000, 1_300, 1_700, 2_200, (300, 700, 1_200)),
        (1_000, 1_000, 1_000, 1_000, (0, 0, 0)),
        (1_000, -1, 1_000, 1_400, (-1, 0, 400)),  # a greeting has no transcript
        (1_000, 900, 1_200, 1_400, (-1, 200, 400)),  # that transcript was of words before
        (1_000, 1_300, -1, 1_400, (300, -1, 400)),
    ],
)
def test_a_turn_is_measured_from_the_end_of_the_callers_speech(
    asked: int, transcript: int, text: int, speech: int, waits: tuple[int, int, int]
):
    record = CallRecord(Policy())
    turn = AgentTurn(3, asked)
    turn.text_at, turn.speech_at = text, speech
    assert record.measured(turn, transcript) == c.Measure(3, *waits)
    assert published(record).state.latency_ms == waits[-1]


def test_consumption_is_booked_at_its_price_and_shown():
    record = CallRecord(Policy(tariff=TARIFF))
    assert record.consumed("tts", 3) == [c.Book("tts", 3, 5)]
    assert record.consumed("tts", 1) == [c.Book("tts", 1, 1)]
    assert record.consumed("free", 9) == [c.Book("free", 9, 0)]
    assert published(record).state.cost_micro_usd == 6


@pytest.mark.parametrize(
    ("connected_ms", "minutes"), [(1, 1), (60_000, 1), (60_001, 2), (300_000, 5)]
)
def test_the_carriers_started_minutes_are_booked_at_the_end(connected_ms: int, minutes: int):
    record = CallRecord(Policy(tariff=TARIFF, carrier_items=("line", "trunk")))
    assert record.closing(connected_ms) == [
        c.Book("line", minutes, minutes * 8_500),
        c.Book("trunk", minutes, minutes * 100),
    ]


def test_a_call_that_never_connected_costs_no_minute():
    assert CallRecord(Policy(tariff=TARIFF, carrier_items=("line",))).closing(0) == []


def test_the_last_assessment_is_stored_as_final():
    record = CallRecord(Policy())
    low = view(Severity.LOW)
    record.assessed(low)
    assert record.closing(0) == [c.RecordRisk(low, (), final=True)]


@pytest.mark.parametrize(
    ("phase", "voice", "speaking"),
    [
        (Phase.LISTENING, False, "nobody"),
        (Phase.LISTENING, True, "caller"),
        (Phase.THINKING, False, "nobody"),
        (Phase.SPEAKING, False, "agent"),
        (Phase.SPEAKING, True, "caller"),  # talking over the agent
    ],
)
def test_a_snapshot_says_who_speaks(phase: Phase, voice: bool, speaking: str):
    caller = CallerSide(Policy())
    for at in range(0, 400 if voice else 0, 20):
        caller.hear(60, at)
    state = CallRecord(Policy()).publish(700, phase, caller, 3, None).state
    assert (state.speaking, state.phase) == (speaking, phase.value)


def test_a_snapshot_of_the_end_tells_the_outcome_and_others_do_not():
    record = CallRecord(Policy())
    assert published(record).state.outcome == ""
    assert published(record, Phase.ENDED, SILENCE).state.outcome == "silent"


def test_a_snapshot_shows_what_the_caller_seems_to_say_and_the_newest_risk():
    record, caller = CallRecord(Policy()), CallerSide(Policy())
    caller.seems_to_say("Buy g")
    record.assessed(view(Severity.MEDIUM))
    state = record.publish(700, Phase.LISTENING, caller, 3, None).state
    assert (state.partial, state.severity, state.turn, state.at_ms) == (
        "Buy g",
        Severity.MEDIUM,
        3,
        700,
    )
