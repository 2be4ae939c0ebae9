from __future__ import annotations

import json

import pytest

from db import DEMO_NUMBER, Pool, PostgresAgentDirectory, seed_demo
from tests.db.server import execute, fetch
from tests.db.tenants import ANNA, add_tenants


@pytest.fixture
async def directory(pool: Pool) -> PostgresAgentDirectory:
    await add_tenants(pool)
    return PostgresAgentDirectory(pool)


async def test_a_number_leads_to_its_agent_with_the_documents_defaults(
    directory: PostgresAgentDirectory,
) -> None:
    agent = await directory.for_number("+12025550111")

    assert agent is not None
    assert (agent.agent_id, agent.user_id, agent.tenant_name) == ("agent-anna", ANNA, "Anna")
    assert json.loads(agent.behavior_config)["max_call_duration"] == 300_000
    assert json.loads(agent.llm_config)["model"] == "gpt-4o-mini"
    assert json.loads(agent.voice_config)["model_id"] == "eleven_flash_v2_5"
    assert agent.elevenlabs_config == "{}"


SILENCED = [
    "UPDATE ai_agents SET status = 'inactive'",
    "UPDATE ai_agents SET status = 'training'",
    "UPDATE user_profiles SET status = 'blocked'",
    "UPDATE user_profiles SET status = 'pending'",
    "UPDATE phone_numbers SET agent_id = NULL",
    "DELETE FROM ai_agents",
    "DELETE FROM user_profiles",
]


@pytest.mark.parametrize("statement", SILENCED)
async def test_nobody_answers_for_who_is_not_active(
    directory: PostgresAgentDirectory, database: str, statement: str
) -> None:
    await execute(database, statement)
    assert await directory.for_number("+12025550111") is None


@pytest.mark.parametrize("number", ["+12025550199", "", "anonymous", "12025550111"])
async def test_nobody_answers_a_number_nobody_owns(
    directory: PostgresAgentDirectory, number: str
) -> None:
    assert await directory.for_number(number) is None


async def test_the_demo_can_be_seeded_again_and_again(pool: Pool, database: str) -> None:
    first = await seed_demo(pool)
    assert await seed_demo(pool) == first
    assert first.phone_number == DEMO_NUMBER
    assert await PostgresAgentDirectory(pool).for_number(DEMO_NUMBER) == first
    assert len(await fetch(database, "SELECT FROM subscriptions")) == 1


async def test_seeding_keeps_what_was_edited(pool: Pool, database: str) -> None:
    await seed_demo(pool)
    await execute(database, "UPDATE ai_agents SET name = 'Max'")

    assert (await seed_demo(pool)).name == "Max"


async def test_seeding_brings_back_an_agent_that_was_removed(pool: Pool, database: str) -> None:
    first = await seed_demo(pool)
    await execute(database, "DELETE FROM ai_agents")

    assert await seed_demo(pool) == first
