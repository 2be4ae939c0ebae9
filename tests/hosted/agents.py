"""A server whose calls go to a simulated hosted agent, chosen by the agent's row alone."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from tests.db.server import fetch
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID
from voice_server.testing.virtual import hold_time

_numbers = itertools.count(2_025_557_000)


async def number_of(dsn: str, **config: Any) -> str:
    """The number of a new agent of the demo tenant whose row names a hosted agent."""
    number = f"+1{next(_numbers)}"
    config = {"agent_id": AGENT_ID} | config
    with hold_time():
        await fetch(
            dsn,
            "INSERT INTO ai_agents (id, user_id, name, elevenlabs_config) "
            "SELECT $1, user_id, 'Robin', $2::text::jsonb FROM phone_numbers "
            "WHERE label = 'Demo line'",
            f"hosted-{number}",
            msgspec.json.encode(config).decode(),
        )
        await fetch(
            dsn,
            "INSERT INTO phone_numbers (number, user_id, agent_id) "
            "SELECT $1, user_id, id FROM ai_agents WHERE id = $2",
            number,
            f"hosted-{number}",
        )
    return number


async def session(dsn: str, call_id: str) -> dict[str, Any]:
    """The row of a call that is over."""
    with hold_time():
        [row] = await fetch(dsn, "SELECT * FROM call_sessions WHERE id = $1", call_id)
    return dict(row)
