from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import pytest

from db import Pool, StoreError, StoreUnavailable, open_pool, running
from db.pool import statement_cache_for
from tests.db.server import empty_database, execute, fetch, shared_server
from tests.db.tenants import ANNA, BERT, add_tenants

DSNS = [
    ("postgresql://u:p@pooler.example.com:6543/postgres", 0),
    ("postgresql://u:p@pooler.example.com:5432/postgres", 256),
    ("postgresql://u:p@db.example.com/postgres", 256),
    ("postgresql://u:6543@db.example.com/postgres", 256),
    ("postgresql://u@/postgres?host=/run/pg&port=6543", 0),
    ("postgresql://u@/postgres?host=/run/pg", 256),
    ("postgresql://u:p@one.example.com:5432,two.example.com:6543/postgres", 0),
    ("postgresql://u:p%40x@[2001:db8::1]:6543/postgres", 0),
]


@pytest.mark.parametrize(("dsn", "size"), DSNS)
def test_statements_are_not_kept_behind_a_transaction_pooler(dsn: str, size: int) -> None:
    assert statement_cache_for(dsn) == size


async def test_the_server_works_as_service_role(pool: Pool) -> None:
    async with pool.server() as connection:
        assert await connection.fetchval("SELECT current_user") == "service_role"


async def test_a_tenant_is_who_the_claims_say(pool: Pool) -> None:
    async with pool.tenant(ANNA) as connection:
        row = await connection.fetchrow("SELECT current_user::text, auth.uid()::text, auth.role()")
    assert tuple(row) == ("authenticated", ANNA, "authenticated")


@pytest.mark.parametrize("cache", [0, 256])
async def test_a_connection_forgets_its_former_user(database: str, cache: int) -> None:
    pool = await open_pool(database, size=1, statement_cache=cache)
    await add_tenants(pool)
    for user in (ANNA, BERT, ANNA):
        async with pool.tenant(user) as connection:
            assert await connection.fetchval("SELECT user_id::text FROM ai_agents") == user
        async with pool.server() as connection:
            assert await connection.fetchval("SELECT auth.uid()") is None
            await connection.execute("SET LOCAL ROLE authenticated")
            assert await connection.fetch("SELECT FROM ai_agents") == []
    await pool.close()


@pytest.mark.parametrize("user_id", ["", "x", "' OR true --", '","role":"service_role'])
async def test_a_user_id_that_is_no_uuid_is_a_bug(pool: Pool, user_id: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        async with pool.tenant(user_id):
            pass


async def test_an_error_rolls_back(pool: Pool) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with pool.server() as connection:
            await connection.execute("UPDATE subscription_plans SET price_usd = 1")
            raise ZeroDivisionError
    async with pool.server() as connection:
        assert (
            await connection.fetchval("SELECT count(DISTINCT price_usd) FROM subscription_plans")
            == 4
        )


async def test_mistakes_in_a_query_pass_through(pool: Pool) -> None:
    with pytest.raises(asyncpg.UndefinedColumnError):
        async with pool.server() as connection:
            await connection.execute("SELECT nonsense")
    with pytest.raises(asyncpg.InterfaceError):
        async with pool.server() as connection:
            await connection.execute("SELECT $1::int", 1, 2)


async def test_a_query_that_takes_too_long_is_given_up(database: str) -> None:
    pool = await open_pool(database, command_timeout_s=0.05)
    with pytest.raises(StoreUnavailable):
        async with pool.server() as connection:
            await connection.execute("SELECT pg_sleep(5)")
    async with pool.server() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await pool.close()


async def test_waiting_for_a_free_connection_ends(database: str) -> None:
    pool = await open_pool(database, size=1, acquire_timeout_s=0.05)
    async with pool.server():
        with pytest.raises(StoreUnavailable, match=r"within 0\.05 s"):
            async with pool.server():
                pass
    await pool.close()


PASSING = ["40001", "40P01", "53300", "53100", "57014", "57P01", "25006", "55P03"]


@pytest.mark.parametrize("state", PASSING)
async def test_troubles_that_pass_are_worth_another_try(pool: Pool, state: str) -> None:
    with pytest.raises(StoreUnavailable, match=state) as caught:
        async with pool.server() as connection:
            await connection.execute(
                f"DO $$ BEGIN RAISE EXCEPTION 'said by a caller' USING ERRCODE = '{state}'; END $$"
            )
    assert "caller" not in str(caught.value)


async def test_a_connection_cut_by_the_server_is_replaced(database: str) -> None:
    pool = await open_pool(database, size=1)
    with pytest.raises(StoreUnavailable):  # noqa: PT012
        async with pool.server() as connection:
            pid = connection.get_server_pid()
            await execute(shared_server().dsn, f"SELECT pg_terminate_backend({pid}, 5000)")
            await connection.execute("SELECT 1")
    async with pool.server() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await pool.close()


async def test_a_migration_meanwhile_is_worth_another_try(pool: Pool, database: str) -> None:
    async with pool.server() as connection:
        await connection.fetch("SELECT * FROM prices")
    await execute(database, "ALTER TABLE prices ADD COLUMN note TEXT")
    for _ in range(4):  # until every pooled connection has heard of it
        try:
            async with pool.server() as connection:
                rows = await connection.fetch("SELECT * FROM prices")
        except StoreUnavailable:
            continue
        assert "note" in rows[0]
        return
    pytest.fail("the new column was never seen")


async def test_a_closed_pool_says_so(database: str) -> None:
    pool = await open_pool(database)
    await pool.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        async with pool.server():
            pass


async def test_a_cancelled_transaction_gives_its_connection_back(database: str) -> None:
    pool = await open_pool(database, size=1)

    async def hang() -> None:
        async with pool.server() as connection:
            await connection.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(hang())
    while not await _is_sleeping():  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with pool.server() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await pool.close()


async def _is_sleeping() -> bool:
    query = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    return bool(await fetch(shared_server().dsn, query))


async def test_opening_tells_what_is_wrong_without_the_password() -> None:
    with pytest.raises(StoreUnavailable, match="DATABASE_URL"):
        await open_pool("postgresql://u:secret@/x?host=/nowhere")
    with pytest.raises(StoreError, match="3D000") as caught:
        await open_pool(shared_server().dsn.replace("/postgres?", "/nowhere?"))
    assert "secret" not in str(caught.value)


async def test_a_login_that_may_not_act_as_the_server_is_told_how_to() -> None:
    dsn = await empty_database(shared_server().dsn)
    await execute(
        dsn,
        "DO $$ BEGIN CREATE ROLE plain LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    )
    with pytest.raises(StoreError, match="voice-server db migrate"):
        await open_pool(dsn.replace("postgres@", "plain@"))


async def test_the_pool_recovers_by_itself_when_a_killed_server_comes_back(
    scratch: Path,
) -> None:
    async with running(scratch, options={"fsync": "off"}) as server:
        await execute(
            server.dsn, "CREATE ROLE service_role NOLOGIN", "GRANT service_role TO postgres"
        )
        pool = await open_pool(server.dsn, acquire_timeout_s=1)
        former = server.pid
        assert former is not None
        os.kill(former, signal.SIGKILL)
        async with asyncio.timeout(20):
            while server.pid == former or not await _answers(pool):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await pool.close()


async def _answers(pool: Pool) -> bool:
    try:
        async with pool.server() as connection:
            return bool(await connection.fetchval("SELECT true"))
    except StoreUnavailable:
        return False
