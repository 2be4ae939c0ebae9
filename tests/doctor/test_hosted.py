"""What the doctor finds out about hosted agents."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import db
from tests.db.tenants import add_tenants
from tests.vault.rings import settings as providers_at
from voice_server.doctor.check import Check, State
from voice_server.doctor.hosted import HostedRow, hosted_checks, hosted_rows
from voice_server.limits import Limits
from voice_server.testing.lab.elevenlabs import open_elevenlabs
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID, CLIENT_EVENTS, LabAgent
from voice_server.testing.lab.mind import Said, always

SHORT = Limits(first_byte_s=0.3, between_s=0.3, total_s=0.6)


def row(**config: Any) -> HostedRow:
    told = {"agent_id": AGENT_ID} | config
    return HostedRow("agent-anna", msgspec.json.encode(told).decode())


async def found(key: str = "", given: HostedRow | None = None, **set_up: Any) -> Check:
    agents = {AGENT_ID: LabAgent(always(Said("Hi.")), **set_up)}
    async with open_elevenlabs(agents=agents) as lab:
        settings = providers_at(ELEVENLABS_API_KEY=key or lab.key, elevenlabs_api_url=lab.url)
        (check,) = await hosted_checks(settings, (given or row(),), SHORT)
    assert check.name == "hosted agent of agent-anna"
    return check


async def test_an_agent_that_is_set_up_can_take_calls():
    check = await found(given=row(overrides=["first_message", "voice_id"]))
    assert check.state is State.OK


@pytest.mark.parametrize(
    ("given", "set_up", "state", "fix"),
    [
        (row(), {"audio_format": "pcm_16000"}, State.FAILED, "mu-law"),
        (
            row(overrides=["first_message"]),
            {"overrides": ("language",)},
            State.FAILED,
            "security settings",
        ),
        (row(), {"client_events": ("audio", "ping")}, State.FAILED, "client events"),
        (
            row(),
            {"client_events": tuple(e for e in CLIENT_EVENTS if e != "agent_tool_response")},
            State.WARNING,
            "client events",
        ),
        (row(agent_id="agent_else"), {}, State.WARNING, "keys list"),
        (row(agent_id="?"), {}, State.FAILED, "elevenlabs_config"),
        (row(language=7), {}, State.FAILED, "elevenlabs_config"),
    ],
)
async def test_what_is_wrong_comes_with_its_fix(given, set_up, state, fix):
    check = await found(given=given, **set_up)
    assert check.state is state
    assert fix in check.fix


async def test_a_key_that_may_not_look_is_a_warning():
    check = await found(key="wrong")
    assert check.state is State.WARNING
    assert "401" in check.what


async def test_a_service_that_cannot_be_reached_is_told():
    settings = providers_at(ELEVENLABS_API_KEY="k", elevenlabs_api_url="http://127.0.0.1:9")
    (check,) = await hosted_checks(settings, (row(),), SHORT)
    assert check.state is State.FAILED
    assert "VOICE_SERVER_ELEVENLABS_API_URL" in check.fix


async def test_nothing_is_asked_without_agents_or_without_a_key():
    for settings, rows in ((providers_at(ELEVENLABS_API_KEY="k"), ()), (providers_at(), (row(),))):
        (check,) = await hosted_checks(settings, rows, SHORT)
        assert check.state is State.SKIPPED


@pytest.mark.postgres
async def test_the_agents_looked_at_are_the_active_ones_with_a_hosted_one(pool: db.Pool):
    await add_tenants(pool)
    assert await hosted_rows(pool) == ()
    async with pool.server() as connection:
        await connection.execute(
            """UPDATE ai_agents SET elevenlabs_config = '{"agent_id": "agent_1"}'::jsonb"""
        )
        await connection.execute("UPDATE ai_agents SET status = 'inactive' WHERE id = 'agent-bert'")
    assert await hosted_rows(pool) == (HostedRow("agent-anna", '{"agent_id": "agent_1"}'),)
