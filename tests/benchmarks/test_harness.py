from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import db
from benchmarks.harness import CALLED, describe
from voice_server.call import Policy

FIELDS = {"command", "ws_path", "webhook_path", "public_url", "endpoint_ms", "env", "cwd"}


@pytest.mark.parametrize("name", ["local", "floor", "floor-no-vad", "floor-no-media", "floor-bare"])
def test_a_description_is_json_that_the_harness_takes(name: str, tmp_path: Path) -> None:
    server: dict[str, Any] = json.loads(json.dumps(describe(tmp_path)[name]))
    assert set(server) == FIELDS
    assert server["endpoint_ms"] == Policy().end_of_turn_ms
    assert server["env"]["VOICE_SERVER_PORT"] == "{port}"
    assert server["env"]["VOICE_SERVER_PUBLIC_URL"] == server["public_url"]


@pytest.mark.postgres
async def test_the_demo_agent_answers_the_harness_once_the_number_is_added(pool: db.Pool) -> None:
    await db.seed_demo(pool)
    directory = db.PostgresAgentDirectory(pool)
    assert await directory.for_number(CALLED) is None
    async with pool.server() as connection:
        await connection.execute(
            "INSERT INTO phone_numbers (number, user_id, agent_id) VALUES ($1, $2, $3)",
            CALLED,
            db.DEMO_USER_ID,
            db.DEMO_AGENT_ID,
        )
    agent = await directory.for_number(CALLED)
    assert agent is not None
    assert agent.agent_id == db.DEMO_AGENT_ID
