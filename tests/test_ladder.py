"""The ladder of the scam shield, rung by rung: what the phone, the journal and the tables tell.

One scammer calls agents of several tenants, side by side in virtual time, on one server; each
tenant has chosen other rungs. The SMS goes to a simulated carrier.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.db.server import empty_database, execute, fetch, migrated_template, shared_server
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.history import ToolUsed
from voice_server.ports import ReplyRequest
from voice_server.runtime.journal import Entry, Journal
from voice_server.runtime.replay import replay
from voice_server.testing.box import Box, CallResult, open_box
from voice_server.testing.caller import caller_for
from voice_server.testing.lab.twilio import TwilioLab, open_twilio
from voice_server.testing.virtual import VirtualLoop, hold_time

pytestmark = [pytest.mark.weights, pytest.mark.postgres]

SCAMMER = Path(__file__).parent / "callers" / "scam_refund.wav"
PROTECTED, HUMAN = "+12025550190", "+12025550191"
NO_RUNG = dict.fromkeys(("scam_warn_at", "scam_verify_at", "scam_block_at", "scam_end_at"))
RUNGS: dict[str, dict[str, Any]] = {
    "off": {"scam_detection_enabled": False},
    "observe": NO_RUNG,
    "warn": NO_RUNG | {"scam_warn_at": "high"},
    "verify": NO_RUNG | {"scam_verify_at": "medium"},
    "block": NO_RUNG | {"scam_block_at": "high"},
    "hand_over": NO_RUNG | {"scam_hand_over_at": "high"},
    "end": NO_RUNG | {"scam_end_at": "critical"},
}
TOOL = "look_up_order"


class Clerk:
    """A language model that looks an order up for anybody, in every turn."""

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[Any, None]:
        if isinstance(request.history[-1], ToolUsed):
            yield e.ReplyText(request.turn, "Let me see what I can find.")
        else:
            key = f"{request.turn}"
            yield e.ToolRequested(request.turn, key, TOOL, json.dumps({"order_id": "ORD-1"}))
        yield e.ReplyEnded(request.turn)


class Seen(msgspec.Struct):
    """All that is left of one call."""

    result: CallResult
    entries: list[tuple[int, Entry]]
    lines: list[str]
    detections: list[Any]
    conversation: dict[str, Any]
    scams_counted: int
    messages: list[dict[str, str]]

    def commands(self, kind: type) -> list[tuple[int, tuple[Any, ...]]]:
        """When the call gave commands of a kind, and their essences."""
        tag = kind.__struct_config__.tag
        return [
            (at, essence)
            for at, entry in self.entries
            for essence in entry.commands
            if essence[0] == tag
        ]

    def first(self, severity: str) -> int:
        """When the detector first said so; alarms of words in the making count."""
        return min(
            at
            for at, entry in self.entries
            if isinstance(entry.event, e.RiskAssessed)
            and entry.event.assessment.severity == severity
        )

    @property
    def severities(self) -> list[str]:
        return [row["severity_level"] for row in self.detections]


def tenant(number: int) -> tuple[str, str, str]:
    """The ids of a tenant and its agent, and its number."""
    return f"aaaaaaaa-0000-4000-8000-{number:012}", f"agent-{number}", f"+1202555{number:04}"


async def prepare(dsn: str) -> None:
    for number, config in enumerate(RUNGS.values()):
        user, agent, phone = tenant(number)
        await execute(
            dsn,
            "INSERT INTO user_profiles (id, role, full_name, email, phone) VALUES "
            f"('{user}', 'vendor', 'Tenant {number}', '{number}@example.com', '{PROTECTED}')",
            "INSERT INTO ai_agents (id, user_id, name, behavior_config) VALUES "
            f"('{agent}', '{user}', 'Robin', '{json.dumps(config)}')",
            "INSERT INTO phone_numbers (number, user_id, agent_id) VALUES "
            f"('{phone}', '{user}', '{agent}')",
            "INSERT INTO subscriptions (user_id, plan_id, status) VALUES "
            f"('{user}', 'trial', 'trialing')",
        )


async def seen(dsn: str, number: int, result: CallResult, lab: TwilioLab) -> Seen:
    user, _, phone = tenant(number)
    with hold_time():
        detections = await fetch(
            dsn,
            "SELECT * FROM scam_detections WHERE call_session_id = $1 "
            "ORDER BY created_at, (ml_predictions -> -1 ->> 'sequence')::int",
            result.call_id,
        )
        (session,) = await fetch(dsn, "SELECT * FROM call_sessions WHERE id = $1", result.call_id)
        (day,) = await fetch(dsn, "SELECT * FROM usage_metrics WHERE user_id = $1", user)
    now, entries = 0, []
    for entry in Journal(Path(result.journal)):
        now += entry.after_ms
        entries.append((now, entry))
    told = replay(Path(result.journal))
    assert told.difference is None
    return Seen(
        result=result,
        entries=entries,
        lines=[line.text for line in told.lines if line.speaker == "agent"],
        detections=detections,
        conversation=json.loads(session["conversation_data"]),
        scams_counted=day["scam_detections"],
        messages=[message for message in lab.messages if message["From"] == phone],
    )


async def call_all(dsn: str, folder: Path, engines: Any) -> dict[str, Seen]:
    async with open_twilio() as lab:
        carrier = {"TWILIO_ACCOUNT_SID": lab.account_sid, "twilio_api_url": lab.url}
        async with open_box(
            folder,
            engines=engines,
            language_model=Clerk(),
            database_url=dsn,
            human_number=HUMAN,
            **carrier,
        ) as box:
            lab.auth_token = box.auth_token
            results = await asyncio.gather(*(ring(box, number) for number in range(len(RUNGS))))
            return {
                name: await seen(dsn, number, result, lab)
                for number, (name, result) in enumerate(zip(RUNGS, results, strict=True))
            }


async def ring(box: Box, number: int) -> CallResult:
    result, report = await box.call(caller_for(SCAMMER), to_number=tenant(number)[2])
    assert report.errors == report.wire_problems == ()
    return result


@pytest.fixture(scope="module")
def calls(engines, tmp_path_factory) -> Iterator[dict[str, Seen]]:
    dsn = asyncio.run(empty_database(shared_server().dsn, migrated_template()))
    asyncio.run(prepare(dsn))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        yield runner.run(call_all(dsn, tmp_path_factory.mktemp("ladder"), engines))


def test_without_the_shield_nothing_is_looked_at(calls):
    call = calls["off"]
    assert not [entry for _, entry in call.entries if isinstance(entry.event, e.RiskAssessed)]
    assert call.detections == []
    assert call.scams_counted == 0
    assert call.result.outcome != "scam"


def test_who_wants_no_rung_is_only_told_afterwards(calls):
    call = calls["observe"]
    assert call.messages == []
    assert call.commands(c.Warn) == call.commands(c.RefuseTool) == []
    assert call.result.outcome not in ("scam", "handed_over")
    assert call.result.severity == "critical"
    assert call.scams_counted == 1


def test_the_protected_person_gets_one_sms_while_the_scammer_still_talks(calls):
    call = calls["warn"]
    (message,) = call.messages
    assert message["To"] == PROTECTED
    ((at, essence),) = call.commands(c.Warn)
    assert at == call.first(essence[1][2])
    assert at < call.entries[-1][0] - 5_000
    said = message["Body"]
    assert "looks like a scam" in said
    assert "0143" in said
    assert "+12025550143" not in said
    assert "gift" not in said.replace("gift card", "")  # signs by name, none of the caller's words


def test_nobody_else_gets_an_sms(calls):
    assert {name: len(call.messages) for name, call in calls.items() if call.messages} == {
        "warn": 1
    }


def test_the_suspect_is_asked_who_calls_once(calls):
    call = calls["verify"]
    asked = [line for line in call.lines if line.startswith("Before we go on: which company")]
    assert len(asked) == 1
    assert call.result.outcome != "scam"
    others = [line for name in ("observe", "warn", "end") for line in calls[name].lines]
    assert not any("which company" in line for line in others)


def test_a_sensitive_tool_runs_until_the_alarm_and_never_after(calls):
    call = calls["block"]
    alarm = min(call.first("high"), call.first("critical"))
    ran = [at for at, essence in call.commands(c.RunTool) if essence[2] == TOOL]
    refused = [at for at, _ in call.commands(c.RefuseTool)]
    assert refused
    assert all(at <= alarm for at in ran)
    assert all(at >= alarm for at in refused)
    assert calls["observe"].commands(c.RefuseTool) == []
    assert len(calls["observe"].commands(c.RunTool)) > len(ran)


def test_a_suspect_may_be_handed_to_a_human(calls):
    call = calls["hand_over"]
    assert call.result.outcome == "handed_over"
    assert any(line.startswith("I'll put you through to a colleague") for line in call.lines)
    ((_, hang_up),) = call.commands(c.HangUp)
    assert hang_up[1] == ["handed_over", "scam"]


def test_a_scam_is_ended_with_words_that_hurt_nobody(calls):
    call = calls["end"]
    assert call.result.outcome == "scam"
    assert call.lines[-1].startswith("I can't help with this request")
    ((at, hang_up),) = call.commands(c.HangUp)
    assert hang_up[1] == ["scam", "scam"]
    assert at > call.first("critical")


@pytest.mark.parametrize("name", [name for name in RUNGS if name != "off"])
def test_what_was_seen_is_kept_whole_and_as_it_was(calls, name):
    call = calls[name]
    assert "high" in call.severities or "critical" in call.severities
    for row in call.detections:
        fused = json.loads(row["ml_predictions"])[-1]
        assert row["model_version"].startswith("scam-")
        assert row["processing_time_ms"] == round(fused["processing_us"] / 1_000)
        assert 0 < fused["processing_us"] < 5_000_000
        assert abs(float(row["risk_score"]) - fused["probability"]) <= 0.005
        assert abs(float(row["confidence_score"]) - fused["confidence"]) <= 0.005
        texts = {s["number"]: s["text"] for s in json.loads(row["transcript_segments"])}
        found = [*json.loads(row["patterns_detected"]), *json.loads(row["behavioral_indicators"])]
        for finding in found:
            text = texts[finding["segment"]]
            assert text[finding["start"] : finding["end"]].startswith(
                finding["excerpt"].removesuffix("…")
            )
    assert [json.loads(row["ml_predictions"])[-1]["final"] for row in call.detections] == [
        *[False] * (len(call.detections) - 1),
        True,
    ]


@pytest.mark.parametrize("name", [name for name in RUNGS if name != "off"])
def test_a_row_is_a_change_of_band_the_decision_to_end_or_the_last(calls, name):
    *bands, _ = calls[name].severities
    assert sum(a == b for a, b in pairwise(bands)) <= (name == "end")
    assert len(bands) + 1 == len(calls[name].commands(c.RecordRisk))


@pytest.mark.parametrize("name", [name for name in RUNGS if name != "off"])
def test_the_call_and_the_day_know_of_it_too(calls, name):
    call = calls[name]
    alerts = call.conversation["scam_alerts"]
    worrying = [band for band in call.severities if band in ("medium", "high", "critical")]
    assert [alert["severity"] for alert in alerts] == worrying
    assert {alert["id"] for alert in alerts} <= {str(row["id"]) for row in call.detections}
    assert call.scams_counted == 1
