from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import db
from benchmarks.harness import CALLED, describe
from voice_server.call import Policy

FIELDS = {"command", "ws_path", "webhook_path", "public_url", "endpoint_ms", "env", "cwd"}


PATIENT = ("local", "floor", "floor-no-vad", "floor-no-media", "floor-bare")
REMOTE = ("openai", "anthropic", "hedged")


@pytest.mark.parametrize("name", [*PATIENT, *REMOTE])
def test_a_description_is_json_that_the_harness_takes(name: str, tmp_path: Path) -> None:
    server: dict[str, Any] = json.loads(json.dumps(describe(tmp_path)[name]))
    policy = Policy()
    assert set(server) == FIELDS
    assert server["endpoint_ms"] == (policy.commit_ms if name in REMOTE else policy.end_of_turn_ms)
    assert server["env"]["VOICE_SERVER_PORT"] == "{port}"
    assert server["env"]["VOICE_SERVER_PUBLIC_URL"] == server["public_url"]


def test_every_server_has_a_description(tmp_path: Path) -> None:
    assert set(describe(tmp_path)) == {*PATIENT, *REMOTE}


@pytest.mark.parametrize("name", REMOTE)
def test_remote_engines_are_the_harness_s_simulators(name: str, tmp_path: Path) -> None:
    urls = {
        name: value.format(http="http://127.0.0.1:1", port=2)
        for name, value in describe(tmp_path)[name]["env"].items()
        if name.endswith("_API_URL")
    }
    assert len(urls) == 4
    assert all(url.startswith("http://127.0.0.1:1") for url in urls.values())


def test_local_engines_see_no_key_that_the_harness_gives(tmp_path: Path) -> None:
    env = describe(tmp_path)["local"]["env"]
    assert [key for key, value in env.items() if key.endswith("_API_KEY") and not value] == [
        "ELEVENLABS_API_KEY",
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
    ]


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
