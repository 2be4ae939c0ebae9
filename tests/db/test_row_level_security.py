"""Every table as Anna, Bert, an admin, a visitor and the server: what is seen, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from db import Pool, PostgresCallStore, PostgresOrders, open_pool
from tests.db.server import empty_database, execute, migrated_template, shared_server
from tests.db.tenants import (
    ADMIN,
    ANNA,
    BERT,
    NOBODY,
    add_tenants,
    begun,
    cost,
    detected,
    ended,
    line,
    new_order,
)

_REST = """
INSERT INTO user_api_keys (user_id, provider, api_key_encrypted, api_key_hash)
VALUES ('{user}', 'openai', 'sealed', 'hash');
INSERT INTO referrals (referral_code, created_by) VALUES ('code-{user}', '{user}');
INSERT INTO calling_campaigns (id, user_id, agent_id, name, phone_number)
VALUES ('campaign-{name}', '{user}', 'agent-{name}', 'c', '+12025550111');
INSERT INTO subscriptions (user_id, plan_id) VALUES ('{user}', 'basic');
INSERT INTO dial_intents (id, user_id, agent_id, to_number, from_number)
VALUES ('call-{name}', '{user}', 'agent-{name}', '+12025550177', '+1202555019{digit}');
INSERT INTO call_actual_costs (call_id, item, micro_usd)
VALUES ('call-{name}', 'twilio.voice_inbound.minutes', 90);
INSERT INTO call_recordings (id, call_id, user_id, status)
VALUES ('RE-{name}', 'call-{name}', '{user}', 'completed');
INSERT INTO call_transfers (call_id, attempt, carrier_call_id, direction, whisper)
VALUES ('call-{name}', 1, 'CA-{name}', 'inbound', 'A leak.');
"""


@pytest.fixture(scope="module")
def inhabited() -> str:
    """A database where Anna and Bert have a row in every table; tests roll back."""

    async def build(dsn: str) -> None:
        pool = await open_pool(dsn)
        await add_tenants(pool)
        for digit, (user, name) in enumerate(((ANNA, "anna"), (BERT, "bert"))):
            call_id = f"call-{name}"
            await PostgresCallStore(pool).write(
                [
                    begun(call_id, user),
                    line(1, "caller", "hello", call_id),
                    cost(2, 100, call_id),
                    detected(3, call_id, user_id=user),
                    ended(call_id, user),
                ]
            )
            await PostgresOrders(pool).book(new_order(vendor_id=user))
            await execute(dsn, _REST.format(user=user, name=name, digit=digit))
        await execute(dsn, "UPDATE subscription_plans SET is_active = false WHERE id = 'trial'")
        await pool.close()

    async def make() -> str:
        dsn = await empty_database(shared_server().dsn, template)
        await build(dsn)
        return dsn

    template = migrated_template()
    return asyncio.run(make())


@pytest.fixture
async def world(inhabited: str) -> AsyncIterator[Pool]:
    pool = await open_pool(inhabited, size=2)
    yield pool
    await pool.close()


class _RollBack(Exception):
    """Ends a transaction without a trace."""


@asynccontextmanager
async def acting(pool: Pool, user_id: str | None) -> AsyncIterator[Any]:
    """A transaction as a user, None = a visitor without a token; rolled back in the end."""
    with pytest.raises(_RollBack):  # noqa: PT012
        if user_id is None:
            async with pool.server() as connection:
                await connection.execute("SET LOCAL ROLE anon")
                yield connection
                raise _RollBack
        else:
            async with pool.tenant(user_id) as connection:
                yield connection
                raise _RollBack


# table: the column that names the owner in a row
OWNED = {
    "user_profiles": "id",
    "user_api_keys": "user_id",
    "orders": "vendor_id",
    "referrals": "created_by",
    "ai_agents": "user_id",
    "calling_campaigns": "user_id",
    "call_sessions": "user_id",
    "scam_detections": "user_id",
    "usage_metrics": "user_id",
    "subscriptions": "user_id",
    "phone_numbers": "user_id",
    "call_usage": "user_id",
    "dial_intents": "user_id",
    "call_recordings": "user_id",
}
BY_CALL = ["call_events", "call_costs", "call_actual_costs", "call_transfers"]
PUBLIC = {"subscription_plans": 3, "prices": 6}


@pytest.mark.parametrize("user", [ANNA, BERT])
@pytest.mark.parametrize(("table", "owner"), OWNED.items())
async def test_a_user_sees_exactly_the_own_rows(
    world: Pool, table: str, owner: str, user: str
) -> None:
    async with acting(world, user) as connection:
        rows = await connection.fetch(f"SELECT {owner}::text AS owner FROM {table}")
        assert rows
        assert {row["owner"] for row in rows} == {user}


@pytest.mark.parametrize(("user", "call_id"), [(ANNA, "call-anna"), (BERT, "call-bert")])
@pytest.mark.parametrize("table", BY_CALL)
async def test_a_user_sees_exactly_the_rows_of_own_calls(
    world: Pool, table: str, user: str, call_id: str
) -> None:
    async with acting(world, user) as connection:
        rows = await connection.fetch(f"SELECT call_id FROM {table}")
        assert rows
        assert {row["call_id"] for row in rows} == {call_id}


@pytest.mark.parametrize("table", [*OWNED, *BY_CALL])
async def test_an_admin_sees_the_rows_of_everybody(world: Pool, table: str) -> None:
    column = OWNED.get(table, "call_id")
    async with acting(world, ADMIN) as connection:
        owners = await connection.fetch(f"SELECT DISTINCT {column} FROM {table}")
        assert len(owners) >= 2


@pytest.mark.parametrize("table", [*OWNED, *BY_CALL, *PUBLIC])
async def test_the_server_sees_everything(world: Pool, table: str) -> None:
    async with world.server() as connection:
        count = await connection.fetchval(f"SELECT count(*) FROM {table}")
    assert count >= 2


@pytest.mark.parametrize("table", [*OWNED, *BY_CALL, "prices"])
async def test_a_visitor_is_refused(world: Pool, table: str) -> None:
    for statement in (f"SELECT 1 FROM {table}", f"DELETE FROM {table}"):
        async with acting(world, None) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


@pytest.mark.parametrize("table", [*OWNED, *BY_CALL])
async def test_an_authenticated_stranger_sees_nothing(world: Pool, table: str) -> None:
    column = OWNED.get(table, "call_id")
    async with acting(world, NOBODY) as connection:
        assert await connection.fetch(f"SELECT {column} FROM {table}") == []


@pytest.mark.parametrize("user", [None, ANNA])
async def test_active_plans_are_for_everybody_to_see(world: Pool, user: str | None) -> None:
    async with acting(world, user) as connection:
        assert await connection.fetchval("SELECT count(*) FROM subscription_plans") == 3


async def test_users_see_prices_and_admins_see_every_plan(world: Pool) -> None:
    async with acting(world, ANNA) as connection:
        assert await connection.fetchval("SELECT count(*) FROM prices") >= PUBLIC["prices"]
    async with acting(world, ADMIN) as connection:
        assert await connection.fetchval("SELECT count(*) FROM subscription_plans") == 4


WRITABLE = ["user_profiles", "orders", "ai_agents", "calling_campaigns", "phone_numbers"]


@pytest.mark.parametrize("table", WRITABLE)
async def test_a_user_changes_own_rows_and_not_those_of_others(world: Pool, table: str) -> None:
    owner = OWNED[table]
    async with acting(world, ANNA) as connection:
        own = await connection.execute(f"UPDATE {table} SET updated_at = now()")
        assert own == "UPDATE 1"
        other = await connection.execute(
            f"UPDATE {table} SET updated_at = now() WHERE {owner} = '{BERT}'"
        )
        assert other == "UPDATE 0"


@pytest.mark.parametrize("table", ["orders", "ai_agents", "calling_campaigns", "user_api_keys"])
async def test_a_user_removes_own_rows_and_not_those_of_others(world: Pool, table: str) -> None:
    owner = OWNED[table]
    async with acting(world, ANNA) as connection:
        other = await connection.execute(f"DELETE FROM {table} WHERE {owner} = '{BERT}'")
        assert other == "DELETE 0"
        assert await connection.execute(f"DELETE FROM {table}") == "DELETE 1"


READ_ONLY = [
    *("user_api_keys", "call_sessions", "call_events", "call_costs", "call_usage"),
    *("call_actual_costs", "call_transfers"),
    *("scam_detections", "usage_metrics", "dial_intents", "call_recordings"),
]


@pytest.mark.parametrize("user", [ANNA, ADMIN])
@pytest.mark.parametrize("table", READ_ONLY)
async def test_what_the_server_records_nobody_else_writes(
    world: Pool, table: str, user: str
) -> None:
    column = OWNED.get(table, "call_id")
    for statement in (
        f"UPDATE {table} SET {column} = {column}",
        f"INSERT INTO {table} DEFAULT VALUES",
    ):
        async with acting(world, user) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


@pytest.mark.parametrize(
    "table", ["referrals", "subscriptions", "subscription_plans", "prices", "phone_numbers"]
)
async def test_what_admins_manage_users_cannot(world: Pool, table: str) -> None:
    if table != "phone_numbers":
        async with acting(world, ANNA) as connection:
            column = {"prices": "item", "subscription_plans": "id"}.get(table, "id")
            changed = await connection.execute(f"UPDATE {table} SET {column} = {column}")
            assert changed == "UPDATE 0"
    async with acting(world, ANNA) as connection:
        assert await connection.execute(f"DELETE FROM {table}") == "DELETE 0"
    async with acting(world, ADMIN) as connection:
        await connection.execute("DELETE FROM subscriptions")
        assert not (await connection.execute(f"DELETE FROM {table}")).endswith(" 0") or (
            table == "subscriptions"
        )


INSERTS_FOR_OTHERS = [
    f"INSERT INTO ai_agents (id, user_id, name) VALUES ('mine', '{BERT}', 'x')",
    "INSERT INTO orders (order_id, customer_name, customer_phone, service_type, vendor_id) "
    f"VALUES ('o', 'x', 'x', 'other', '{BERT}')",
    "INSERT INTO orders (order_id, customer_name, customer_phone, service_type) "
    "VALUES ('o', 'x', 'x', 'other')",
    "INSERT INTO calling_campaigns (id, user_id, agent_id, name, phone_number) "
    f"VALUES ('c', '{BERT}', 'agent-bert', 'x', 'x')",
    f"INSERT INTO subscriptions (user_id, plan_id) VALUES ('{ANNA}', 'enterprise')",
    f"INSERT INTO phone_numbers (number, user_id) VALUES ('+12025550155', '{ANNA}')",
    f"INSERT INTO referrals (referral_code, created_by, usage_limit) VALUES ('r', '{ANNA}', 9999)",
    "INSERT INTO prices (item, micro_usd, per, effective_from) VALUES ('x', 0, 1, now())",
]
ESCALATIONS = [
    "UPDATE user_profiles SET role = 'admin'",
    "UPDATE user_profiles SET status = 'pending'",
    "UPDATE user_profiles SET orders_stats = '{\"total\": 1000}'",
    "UPDATE user_profiles SET email = 'ada@example.org'",
    "UPDATE user_profiles SET created_by_role = 'admin'",
    f"UPDATE user_profiles SET id = '{NOBODY}'",
    f"UPDATE ai_agents SET user_id = '{BERT}'",
    f"UPDATE orders SET vendor_id = '{BERT}'",
    "UPDATE calling_campaigns SET agent_id = 'agent-bert'",
    f"UPDATE calling_campaigns SET user_id = '{BERT}'",
    "UPDATE phone_numbers SET number = '+12025550166'",
    "SELECT api_key_encrypted FROM user_api_keys",
    "SELECT api_key_hash FROM user_api_keys",
    "SELECT * FROM user_api_keys",
    "SELECT * FROM private.migrations",
    "SELECT private.count_order(auth.uid(), 'completed', 100)",
    "TRUNCATE orders",
    "TRUNCATE subscription_plans CASCADE",
    "CREATE TABLE public.mine (x INTEGER)",
    *INSERTS_FOR_OTHERS,
]


@pytest.mark.parametrize("statement", ESCALATIONS)
async def test_a_vendor_cannot_climb(world: Pool, statement: str) -> None:
    async with acting(world, ANNA) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_a_number_cannot_be_routed_to_somebody_elses_agent(world: Pool) -> None:
    async with acting(world, ANNA) as connection:
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await connection.execute("UPDATE phone_numbers SET agent_id = 'agent-bert'")


async def test_a_stranger_cannot_make_a_profile_of_any_kind(world: Pool) -> None:
    for role in ("admin", "vendor"):
        async with acting(world, NOBODY) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(
                    "INSERT INTO user_profiles (id, role, full_name, email, phone) "
                    f"VALUES ('{NOBODY}', '{role}', 'x', 'x', 'x')"
                )


async def test_a_vendor_cannot_remove_the_own_profile(world: Pool) -> None:
    async with acting(world, ANNA) as connection:
        assert await connection.execute("DELETE FROM user_profiles") == "DELETE 0"


async def test_a_vendor_edits_the_harmless_columns_of_the_own_profile(world: Pool) -> None:
    async with acting(world, ANNA) as connection:
        done = await connection.execute(
            "UPDATE user_profiles SET full_name = 'Anna B', phone = '1', is_online = true, "
            "device_tokens = '{token}', preferences = '{\"theme\": \"dark\"}'"
        )
        assert done == "UPDATE 1"


async def test_a_vendor_chooses_which_own_agent_answers(world: Pool) -> None:
    async with acting(world, ANNA) as connection:
        await connection.execute(
            f"INSERT INTO ai_agents (id, user_id, name) VALUES ('second', '{ANNA}', 'x')"
        )
        done = await connection.execute("UPDATE phone_numbers SET agent_id = 'second'")
        assert done == "UPDATE 1"


async def test_a_vendor_starts_a_campaign_with_an_own_agent(world: Pool) -> None:
    async with acting(world, ANNA) as connection:
        await connection.execute(
            "INSERT INTO calling_campaigns (id, user_id, agent_id, name, phone_number) "
            f"VALUES ('new', '{ANNA}', 'agent-anna', 'x', '+12025550111')"
        )


async def test_a_vendor_sees_what_the_own_keys_are_worth(world: Pool) -> None:
    async with acting(world, ANNA) as connection:
        row = await connection.fetchrow("SELECT provider, is_valid, usage_count FROM user_api_keys")
        assert tuple(row) == ("openai", True, 0)


async def test_an_admin_blocks_a_vendor_and_makes_another_admin(world: Pool) -> None:
    async with acting(world, ADMIN) as connection:
        done = await connection.execute(
            f"UPDATE user_profiles SET status = 'blocked', role = 'admin' WHERE id = '{BERT}'"
        )
        assert done == "UPDATE 1"


async def test_an_admin_creates_and_removes_profiles(world: Pool) -> None:
    async with acting(world, ADMIN) as connection:
        await connection.execute(
            "INSERT INTO user_profiles (id, role, full_name, email, phone) "
            f"VALUES ('{NOBODY}', 'vendor', 'x', 'x', 'x')"
        )
        assert await connection.execute("DELETE FROM user_profiles") == "DELETE 4"


async def test_a_blocked_admin_is_no_admin(world: Pool) -> None:
    async with acting(world, ADMIN) as connection:
        await connection.execute(
            f"UPDATE user_profiles SET status = 'blocked' WHERE id = '{ADMIN}'"
        )
        assert await connection.fetchval("SELECT count(*) FROM orders") == 0


async def test_a_token_that_says_admin_makes_nobody_admin(world: Pool) -> None:
    async with acting(world, ANNA) as connection:
        await connection.execute(
            "SELECT set_config('request.jwt.claims', $1, true)",
            f'{{"sub": "{ANNA}", "role": "authenticated", "user_metadata": {{"role": "admin"}}}}',
        )
        assert await connection.fetchval("SELECT count(*) FROM ai_agents") == 1


async def test_without_claims_an_authenticated_session_sees_nothing(world: Pool) -> None:
    async with acting(world, ANNA) as connection:
        await connection.execute("SELECT set_config('request.jwt.claims', '', true)")
        for table, column in OWNED.items():
            assert await connection.fetch(f"SELECT {column} FROM {table}") == []
