"""Knows who answers which number."""

from __future__ import annotations

from typing import Any

from db.pool import Pool
from db.rows import AgentRow

DEMO_NUMBER = "+12025550100"  # of the range that is kept free for fiction
DEMO_AGENT_ID = "demo-receptionist"
DEMO_USER_ID = "d0000000-0000-4000-8000-000000000001"

_COLUMNS = """
    agent.id, agent.user_id, tenant.full_name, tenant.phone AS tenant_phone, agent.name,
    agent.status, phone.number, agent.voice_config, agent.llm_config, agent.behavior_config,
    agent.elevenlabs_config
"""
_BEHIND_NUMBER = f"""
    SELECT {_COLUMNS} FROM phone_numbers AS phone
    JOIN ai_agents AS agent ON agent.id = phone.agent_id
    JOIN user_profiles AS tenant ON tenant.id = phone.user_id
    WHERE phone.number = $1
"""
_ACTIVE = "AND agent.status = 'active' AND tenant.status = 'active'"


class PostgresAgentDirectory:
    """Looks agents up by the number that was called."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def for_number(self, number: str) -> AgentRow | None:
        """The active agent of an E.164 number, None when nobody answers it.

        Agents of tenants that are not active (pending, blocked) do not answer. Raises
        `StoreUnavailable`.
        """
        async with self._pool.server() as connection:
            row = await connection.fetchrow(_BEHIND_NUMBER + _ACTIVE, number)
        return None if row is None else _agent(row)

    async def by_id(self, agent_id: str) -> AgentRow | None:
        """An active agent of an active tenant with the number it calls from, "" if it has none.

        Of several numbers it is the one that was added first. Raises `StoreUnavailable`.
        """
        async with self._pool.server() as connection:
            row = await connection.fetchrow(
                f"""
                SELECT {_COLUMNS} FROM ai_agents AS agent
                JOIN user_profiles AS tenant ON tenant.id = agent.user_id
                LEFT JOIN LATERAL (
                    SELECT number FROM phone_numbers AS owned
                    WHERE owned.agent_id = agent.id AND owned.user_id = agent.user_id
                    ORDER BY owned.created_at, owned.number LIMIT 1
                ) AS phone ON true
                WHERE agent.id = $1 {_ACTIVE}
                """,
                agent_id,
            )
        return None if row is None else _agent(row)


async def seed_demo(pool: Pool) -> AgentRow:
    """Make sure that a demo tenant with an agent and a number exists; keeps what was edited."""
    async with pool.server() as connection:
        await connection.execute(
            """
            INSERT INTO user_profiles (id, role, full_name, email, phone, services)
            VALUES ($1, 'vendor', 'Harbour Home Services', 'demo@example.com', $2, $3)
            ON CONFLICT (id) DO NOTHING
            """,
            DEMO_USER_ID,
            DEMO_NUMBER,
            ["plumbing", "electrical", "cleaning", "repairs", "maintenance"],
        )
        await connection.execute(
            """
            INSERT INTO ai_agents (id, user_id, name, description)
            VALUES ($2, $1, 'Robin', 'Answers the phone and takes service orders')
            ON CONFLICT (id) DO NOTHING
            """,
            DEMO_USER_ID,
            DEMO_AGENT_ID,
        )
        await connection.execute(
            """
            INSERT INTO phone_numbers (number, user_id, agent_id, label)
            VALUES ($3, $1, $2, 'Demo line')
            ON CONFLICT (number) DO UPDATE SET agent_id = excluded.agent_id
            WHERE phone_numbers.agent_id IS NULL AND phone_numbers.user_id = excluded.user_id
            """,
            DEMO_USER_ID,
            DEMO_AGENT_ID,
            DEMO_NUMBER,
        )
        await connection.execute(
            """
            INSERT INTO subscriptions (user_id, plan_id, status) VALUES ($1, 'trial', 'trialing')
            ON CONFLICT (user_id) WHERE status <> 'cancelled' DO NOTHING
            """,
            DEMO_USER_ID,
        )
        row = await connection.fetchrow(_BEHIND_NUMBER, DEMO_NUMBER)
    return _agent(row)


def _agent(row: Any) -> AgentRow:
    return AgentRow(
        agent_id=row["id"],
        user_id=str(row["user_id"]),
        tenant_name=row["full_name"],
        name=row["name"],
        status=row["status"],
        phone_number=row["number"] or "",
        voice_config=row["voice_config"] or "{}",
        llm_config=row["llm_config"] or "{}",
        behavior_config=row["behavior_config"] or "{}",
        elevenlabs_config=row["elevenlabs_config"] or "{}",
        tenant_phone=row["tenant_phone"],
    )
