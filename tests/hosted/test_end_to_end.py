"""Whole calls through a hosted agent, chosen by the agent's row alone; then it fails."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.db.server import fetch
from tests.engines.lab import CALLER, Providers, providers
from tests.hosted.agents import number_of, session
from voice_server.runtime.replay import ReplayedCall, replay
from voice_server.testing.box import Box, CallResult
from voice_server.testing.caller import caller_for
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID, GREETING, LabAgent
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.mind import ReceptionistMind
from voice_server.testing.virtual import hold_time

pytestmark = [pytest.mark.weights, pytest.mark.postgres, pytest.mark.slow]

SCAM = CALLER.with_name("scam_refund.wav")
MINUTES = "elevenlabs.agents.milliseconds"
LLM = "elevenlabs.agents_llm.micro_usd"
LONGEST_WAIT_MS = 2_000


class Story(msgspec.Struct):
    """One call and what is left of it."""

    result: CallResult
    told: ReplayedCall
    row: dict[str, Any]
    costs: dict[str, tuple[int, int]]  # quantity and micro-dollars, by item

    @property
    def heard(self) -> str:
        """What the caller heard of us."""
        return " ".join(line.text for line in self.told.lines if line.speaker == "agent")

    @property
    def waits_ms(self) -> list[int]:
        """From the end of what the caller had to say to the next words of ours."""
        lines = self.told.lines
        ours = [line.started_ms for line in lines if line.speaker == "agent"]
        ends = [
            before.ended_ms
            for before, after in pairwise(lines)
            if (before.speaker, after.speaker) == ("caller", "agent")
        ]
        return [min(at - end for at in ours if at > end) for end in ends]


async def call(opened: Box, dsn: str, number: str, wav: Path = CALLER) -> Story:
    """Let the caller call, and read everything back."""
    result, report = await opened.call(caller_for(wav), to_number=number)
    assert report.errors == report.wire_problems == ()
    return Story(
        result,
        replay(Path(result.journal)),
        await session(dsn, result.call_id),
        await costs_of(opened, dsn, result.call_id),
    )


async def costs_of(opened: Box, dsn: str, call_id: str) -> dict[str, tuple[int, int]]:
    """What is booked by now: quantity and micro-dollars, by item."""
    await opened.server.outbox.flush()
    with hold_time():
        rows = await fetch(
            dsn,
            "SELECT item, sum(quantity)::bigint AS quantity, sum(micro_usd)::bigint AS cost "
            "FROM call_costs WHERE call_id = $1 GROUP BY item",
            call_id,
        )
    return {row["item"]: (row["quantity"], row["cost"]) for row in rows}


def test_a_caller_books_with_the_hosted_agent_and_everything_is_in_the_books(
    virtual, box, postgres
):
    async def scene() -> None:
        async with providers() as labs, box(**labs.settings) as opened:
            number = await number_of(postgres, overrides=["first_message"])
            story = await call(opened, postgres, number)
            [opening] = labs.speech.house.openings
            assert LLM not in story.costs
            await asyncio.sleep(30)  # until the service knows
            late = await costs_of(opened, postgres, story.result.call_id)
            assert late[LLM] == (labs.metered[LLM],) * 2
            whole = await session(postgres, story.result.call_id)
            assert whole["cost_usd"] > story.row["cost_usd"]
        assert (story.result.status, story.result.outcome) == ("completed", "booked")
        assert story.result.order_id
        assert story.row["elevenlabs_conversation_id"].startswith("conv_")

        greeting = opening["conversation_config_override"]["agent"]["first_message"]
        assert story.heard.startswith(greeting)
        assert opening["dynamic_variables"]["call_id"] == story.result.call_id
        lines = msgspec.json.decode(story.row["conversation_data"])
        assert "leaking" in lines["transcripts"][0]["text"]
        assert "You're booked" in " ".join(one["text"] for one in lines["agent_responses"])

        ms, cost = story.costs[MINUTES]
        assert ms == pytest.approx(labs.metered[MINUTES], abs=5)
        assert cost == pytest.approx(ms * 80_000 / 60_000, abs=10)  # 0.08 dollars a minute
        others = {item for item in labs.metered if ".tts." not in item}  # phrases kept ready
        assert others == {MINUTES, LLM}
        assert len([ms for ms in story.told.latencies_ms if ms >= 0]) >= 8
        assert max(story.waits_ms) <= LONGEST_WAIT_MS

    virtual(scene())


def test_a_scam_through_the_hosted_agent_is_found_and_ended(virtual, box, postgres):
    async def scene() -> None:
        async with providers() as labs, box(**labs.settings) as opened:
            story = await call(opened, postgres, await number_of(postgres), SCAM)
            updates = labs.speech.house.updates
        assert story.result.outcome == "scam"
        assert story.heard.startswith(GREETING)
        with hold_time():
            detected = await fetch(
                postgres,
                "SELECT severity_level FROM scam_detections WHERE call_session_id = $1",
                story.result.call_id,
            )
        assert "critical" in {row["severity_level"] for row in detected}
        assert any("which company are you calling from" in one for one in updates)

    virtual(scene())


def test_a_public_agent_needs_no_key_of_elevenlabs(virtual, box, postgres):
    async def scene() -> None:
        agents = {AGENT_ID: LabAgent(ReceptionistMind(), public=True)}
        async with providers(agents=agents) as labs:
            settings = {k: v for k, v in labs.settings.items() if k != "ELEVENLABS_API_KEY"}
            async with box(**settings) as opened:
                story = await call(opened, postgres, await number_of(postgres))
        assert story.result.outcome == "booked"
        assert story.row["elevenlabs_conversation_id"]

    virtual(scene())


IN_MID_CALL = 180_000  # bytes the caller has sent: 22 s, in the middle of a sentence
FAULTS: dict[str, dict[str, Any]] = {
    "a wrong key": {"speech_key": "wrong"},
    "refused at start": {"agent_faults": FaultPlan(otherwise=Fault.UNAUTHORIZED)},
    "out of quota at start": {"agent_faults": FaultPlan(otherwise=Fault.QUOTA)},
    "silent at start": {"agent_faults": FaultPlan(otherwise=Fault.SLOW_FIRST_BYTE)},
    "dropped in mid-call": {"agent_faults": FaultPlan({1: Injection(Fault.DROP, IN_MID_CALL)})},
    "closed in mid-call": {"agent_faults": FaultPlan({1: Injection(Fault.CLOSE, IN_MID_CALL)})},
    "stalled in mid-call": {
        "agent_faults": FaultPlan({1: Injection(Fault.STALL, IN_MID_CALL, 300.0)})
    },
    "no telephone audio": {
        "agents": {AGENT_ID: LabAgent(ReceptionistMind(), audio_format="pcm_16000")}
    },
}


def begins(labs: Providers) -> bool:
    return bool(labs.speech.house.openings) and MINUTES in labs.metered


@pytest.mark.parametrize("fault", FAULTS)
def test_the_ordinary_engines_go_on_when_the_agent_does_not(virtual, box, postgres, fault):
    async def scene() -> None:
        async with providers(**FAULTS[fault]) as labs, box(**labs.settings) as opened:
            story = await call(opened, postgres, await number_of(postgres))
        assert (story.result.status, story.result.outcome) == ("completed", "booked")
        begun = "mid-call" in fault
        assert begins(labs) is begun
        assert bool(story.row["elevenlabs_conversation_id"]) is begun
        assert max(story.waits_ms) <= LONGEST_WAIT_MS

    virtual(scene())


def test_a_row_that_names_no_usable_agent_is_a_warning_and_not_a_dead_call(
    virtual, box, postgres, caplog
):
    async def scene() -> None:
        async with providers() as labs, box(**labs.settings) as opened:
            number = await number_of(postgres, agent_id="no id at all", overrides="all")
            story = await call(opened, postgres, number)
        assert story.result.outcome == "booked"
        assert labs.speech.house.openings == []
        told = [getattr(record, "warning", "") for record in caplog.records]
        assert any("elevenlabs_config.agent_id" in one for one in told)

    virtual(scene())
