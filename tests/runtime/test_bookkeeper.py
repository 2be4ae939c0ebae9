"""From commands to rows."""

from __future__ import annotations

import json

import msgspec
import pytest

from db.rows import (
    CallRow,
    CostBooked,
    LineSaid,
    ScamDetected,
    SessionEnded,
    StatusChanged,
    TurnMeasured,
)
from detectors.assessment import Assessment, Finding, Prediction, Segment, Severity
from tests.runtime.fakes import FACTS
from voice_server.call import Call, Policy
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.runtime.bookkeeper import Bookkeeper

EPOCH = 1_700_000_000_000
SEGMENT = Segment(0, "caller", "Buy gift cards.", 100, 900)
VIEW = Assessment(
    risk=0.123456789,
    confidence=0.75,
    severity=Severity.HIGH,
    through=0,
    scam_type="gift_card",
    detectors=("pattern", "classifier"),
    findings=(
        Finding("pattern", "gift_card_payment", 0.9, 0, 4, 14, "gift cards"),
        Finding("keyword", "gift card", 0.3, 0, 4, 13, "gift card"),
        Finding("keyword", "gift card", 0.3, 0, 4, 13, "gift card"),
        Finding("keyword", "buy", 0.1, 0, 0, 3, "buy"),
        Finding("behaviour", "pressure", 0.4, 0, 0, 3, "Buy"),
        Finding("classifier", "scam", 0.8, 0, 0, 15, "Buy gift cards."),
    ),
    predictions=(Prediction("scam-1", "scam", 0.987654321),),
    model_version="1.2",
    processing_us=420,
    tactics=("gift_card", "urgency"),
)


def books() -> tuple[Bookkeeper, list[CallRow]]:
    rows: list[CallRow] = []
    return Bookkeeper(FACTS, rows.append, EPOCH), rows


def test_each_command_becomes_its_row_and_rows_are_numbered():
    keeper, rows = books()
    keeper.write(c.Record("agent", "Hello.", " And more.", 10, 500), 510)
    keeper.write(c.Book("local.tts.characters", 6, 12), 520)
    keeper.write(c.Measure(1, -1, 20, 300), 530)
    keeper.write(c.RecordRisk(VIEW, (SEGMENT,), final=True), 540)
    assert rows[:3] == [
        LineSaid("call-1", 1, "agent", "Hello.", " And more.", 10, 500),
        CostBooked("call-1", 2, "local.tts.characters", 6, 12, EPOCH + 520),
        TurnMeasured("call-1", 3, 1, -1, 20, 300),
    ]
    assert isinstance(rows[3], ScamDetected)
    assert rows[3].sequence == 4


def test_a_detection_fills_every_column_truthfully():
    keeper, rows = books()
    keeper.write(c.RecordRisk(VIEW, (SEGMENT,), final=False), 540)
    [row] = rows
    assert isinstance(row, ScamDetected)
    assert (row.call_id, row.user_id, row.at) == ("call-1", "tenant-1", EPOCH + 540)
    assert (row.risk, row.severity, row.confidence) == (0.123456789, "high", 0.75)
    assert (row.model_version, row.processing_us, row.final) == ("1.2", 420, False)
    assert row.keywords == ("gift card", "buy")
    assert json.loads(row.patterns_json) == [
        {
            "name": "gift_card_payment",
            "weight": 0.9,
            "segment": 0,
            "start": 4,
            "end": 14,
            "excerpt": "gift cards",
        }
    ]
    assert [one["name"] for one in json.loads(row.behaviour_json)] == ["pressure"]
    assert json.loads(row.predictions_json) == [
        {"model": "scam-1", "label": "scam", "probability": 0.987654321},
        {"model": "kinds", "label": "gift_card", "tactics": ["gift_card", "urgency"]},
    ]
    assert json.loads(row.segments_json) == [
        {
            "number": 0,
            "speaker": "caller",
            "text": "Buy gift cards.",
            "started_ms": 100,
            "ended_ms": 900,
        }
    ]


def test_what_other_calls_tell_stands_with_the_behaviour():
    keeper, rows = books()
    known = Finding("crosscall", "flagged_number", 0.5, 0, 0, 0, "2 earlier calls")
    view = msgspec.structs.replace(VIEW, findings=(known,))
    keeper.write(c.RecordRisk(view, (SEGMENT,), final=False), 540)
    assert [one["name"] for one in json.loads(rows[0].behaviour_json)] == ["flagged_number"]


def test_a_detection_without_findings_has_empty_lists():
    keeper, rows = books()
    keeper.write(c.RecordRisk(Assessment(0.0, 0.0, Severity.MINIMAL, 0, ""), (), final=True), 1)
    [row] = rows
    assert isinstance(row, ScamDetected)
    texts = (row.patterns_json, row.behaviour_json, row.predictions_json, row.segments_json)
    assert texts == ("[]",) * 4
    assert row.keywords == ()


def test_an_answer_is_a_status():
    keeper, rows = books()
    keeper.answered(30)
    assert rows == [StatusChanged("call-1", "answered", "in-progress", EPOCH + 30)]


def ended_call(*events: e.Event) -> Call:
    call = Call(Policy(greeting=""))
    for event in events:
        call.handle(event, 1_000)
    assert call.outcome is not None
    return call


GONE = e.MediaStopped(e.StopCause.CALLER_HUNG_UP)
STARTED = e.MediaStarted()


@pytest.mark.parametrize(
    ("events", "answered_at", "status", "outcome", "duration_ms"),
    [
        ((STARTED, GONE), 1_000, "completed", "abandoned", 4_000),
        ((STARTED, GONE), 0, "completed", "abandoned", 5_000),
        ((GONE,), -1, "failed", "abandoned", 0),
        ((e.PartFailed(e.Part.TRANSCRIBER, 0, False),), -1, "failed", "failed", 0),
        ((STARTED, e.RiskAssessed(VIEW), GONE), 1_000, "completed", "abandoned", 4_000),
    ],
)
def test_the_last_row_tells_how_the_call_ended(events, answered_at, status, outcome, duration_ms):
    keeper, rows = books()
    call = ended_call(*events)
    keeper.ended(call, answered_at=answered_at, now=5_000, journal="a.journal")
    [row] = rows
    assert isinstance(row, SessionEnded)
    assert (row.status, row.outcome, row.duration_ms) == (status, outcome, duration_ms)
    assert row.at == EPOCH + 5_000
    assert row.answered_at == (EPOCH + answered_at if answered_at >= 0 else 0)
    assert (row.journal, row.user_id, row.turns) == ("a.journal", "tenant-1", 0)
    assert row.reason == call.outcome.reason.value
    if any(isinstance(event, e.RiskAssessed) for event in events):
        assert (row.severity, row.risk) == ("high", VIEW.risk)
    else:
        assert (row.severity, row.risk) == ("minimal", 0.0)


def test_the_last_row_names_the_conversation_with_a_hosted_agent():
    keeper, rows = books()
    call = ended_call(STARTED, e.ConversationOpened("conv_1"), GONE)
    keeper.ended(call, answered_at=0, now=5_000, journal="")
    assert [row.conversation_id for row in rows] == ["conv_1"]


def test_rows_can_wait_on_disk_as_json():
    keeper, rows = books()
    keeper.write(c.RecordRisk(VIEW, (SEGMENT,), final=True), 540)
    keeper.write(c.Record("caller", "ünïcode \u2028", "", 0, 1), 2)
    for row in rows:
        assert msgspec.json.decode(msgspec.json.encode(row), type=CallRow) == row
