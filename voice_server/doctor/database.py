"""Whether the database can be reached, is up to date, and lets us act in the roles."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

import db
from db.embedded import running
from db.migrate import MigrationStatus, State, status
from voice_server.doctor.check import Check, failed, ok, skipped, warning
from voice_server.provider_settings import ProviderSettings
from voice_server.settings import Storage

_NOBODY: Final = str(UUID(int=0))
_KEYS_A_PAGE: Final = 200
_MOST_KEYS: Final = 10_000
MOST_NUMBERS: Final = 200


class Opened(msgspec.Struct, frozen=True):
    """A database that can be asked, None where not; and what was found on the way."""

    checks: tuple[Check, ...]
    pool: db.Pool | None = None
    remote: bool = False  # of DATABASE_URL


class Number(msgspec.Struct, frozen=True):
    """A row of `phone_numbers`; `agent_id` is "" and `active` False where nobody answers."""

    number: str
    agent_id: str
    active: bool


async def open_database(storage: Storage, stack: AsyncExitStack) -> Opened:
    """Connect and look around; `stack` disconnects. Changes nothing, also not the schema."""
    try:
        if storage.database_url is not None:
            url = storage.database_url.get_secret_value()
            return await _look(url, stack, storage.database_statement_cache, remote=True)
        folder = storage.data_dir / "postgres"
        if not (folder / "data").exists():
            what = "the embedded database will be made by the first start"
            return Opened((skipped("database", what),))
        server = await stack.enter_async_context(running(folder))
        return await _look(server.dsn, stack, None, remote=False)
    except db.EmbeddedServerError as error:
        return Opened((failed("database", str(error), "set DATABASE_URL to a Postgres of yours"),))


async def _look(
    dsn: str, stack: AsyncExitStack, statement_cache: int | None, *, remote: bool
) -> Opened:
    try:
        rows = await status(dsn)
    except db.StoreError as error:
        fix = "set DATABASE_URL to postgresql://USER:PASSWORD@HOST:PORT/NAME of a running server"
        return Opened((failed("database", str(error), fix),))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return Opened((failed("database", _told(error), _GRANT),))
    reached = ok("database", "reached" if remote else "the embedded one runs")
    found = (reached, migrations_check(rows))
    if not any(row.applied_at for row in rows):
        return Opened((*found, skipped("database roles", "made by the first migration")))
    try:
        pool = await db.open_pool(dsn, size=2, statement_cache=statement_cache)
    except db.StoreError as error:
        return Opened((*found, failed("database roles", str(error), _GRANT)))
    stack.push_async_callback(pool.close)
    return Opened((*found, await roles_check(pool)), pool, remote)


_GRANT: Final = (
    "run `voice-server db migrate` as the owner, or "
    "`GRANT anon, authenticated, service_role TO` the user of DATABASE_URL"
)


def _told(error: Exception) -> str:
    """What kind of trouble it is; the text of an error may hold parts of the URL or of rows."""
    state = getattr(error, "sqlstate", None)
    return f"refused with SQLSTATE {state}" if state else f"lost ({type(error).__name__})"


def migrations_check(rows: tuple[MigrationStatus, ...]) -> Check:
    """What is to be done about the schema."""
    by_state = {state: [row for row in rows if row.state is state] for state in State}
    if changed := by_state[State.CHANGED]:
        what = f"{_titles(changed)}: the file differs from what was applied"
        return failed("migrations", what, "reinstall this version, whose files were altered")
    if unknown := by_state[State.UNKNOWN]:
        what = f"{_titles(unknown)}: applied by a newer version of this server"
        return failed(
            "migrations", what, "install the newer version: `pip install -U voice-server`"
        )
    if pending := by_state[State.PENDING]:
        what = f"{len(pending)} of {len(rows)} are pending, from {_titles(pending[:1])} on"
        return warning("migrations", what, "run `voice-server db migrate`")
    return ok("migrations", f"all {len(rows)} are applied")


def _titles(rows: list[MigrationStatus]) -> str:
    return ", ".join(f"{row.number:04}_{row.name}" for row in rows)


async def roles_check(pool: db.Pool) -> Check:
    """Whether we can act as the server (proved by opening the pool) and as a tenant."""
    try:
        async with pool.tenant(_NOBODY) as connection:
            await connection.fetchval("SELECT 1 FROM user_profiles LIMIT 1")
    except (db.StoreError, asyncpg.PostgresError) as error:
        return failed("database roles", f"not usable as a tenant: {_told(error)}", _GRANT)
    return ok("database roles", "the server's and the tenants' can be taken on")


async def vault_check(settings: ProviderSettings, pool: db.Pool | None) -> tuple[Check, ...]:
    """Whether VOICE_SERVER_VAULT_KEYS opens what is stored."""
    ring_set = settings.vault_keys is not None
    if pool is None:
        if not ring_set:
            return (skipped("vault", "VOICE_SERVER_VAULT_KEYS is not set"),)
        return (ok("vault", "the master keys can be read; no database to try them on"),)
    try:
        rows = await _sealed(db.PostgresKeys(pool))
    except (db.StoreError, asyncpg.PostgresError) as error:
        fix = "see the checks of the database"
        return (failed("vault", f"user_api_keys cannot be read: {_told(error)}", fix),)
    if ring_set:
        return (await asyncio.to_thread(_tried, settings, rows),)
    if rows:
        what = f"{len(rows)} keys of tenants cannot be opened: VOICE_SERVER_VAULT_KEYS is not set"
        return (failed("vault", what, "set VOICE_SERVER_VAULT_KEYS to what they were sealed with"),)
    return (skipped("vault", "VOICE_SERVER_VAULT_KEYS is not set, and no tenant has a key"),)


async def _sealed(keys: db.PostgresKeys) -> list[db.SealedKey]:
    rows: list[db.SealedKey] = []
    page = await keys.page(None, _KEYS_A_PAGE)
    while page and len(rows) < _MOST_KEYS:
        rows += page
        page = await keys.page(page[-1].id, _KEYS_A_PAGE)
    return rows


def _tried(settings: ProviderSettings, rows: list[db.SealedKey]) -> Check:
    from voice_server.provider_settings import Provider
    from voice_server.vault import KeyRing, SealBroken

    assert settings.vault_keys is not None
    ring = KeyRing.parse(settings.vault_keys)
    broken = old = 0
    for row in rows:
        try:
            ring.open(row.sealed, row.user_id, Provider(row.provider))
            old += not ring.is_current(row.sealed)
        except (SealBroken, ValueError):  # ValueError: a provider of another version
            broken += 1
    if broken:
        what = f"{broken} of {len(rows)} keys of tenants do not open"
        fix = (
            "put the former master key back at the end of VOICE_SERVER_VAULT_KEYS, then "
            "`voice-server keys validate`; add again with `voice-server keys add` what stays broken"
        )
        return failed("vault", what, fix)
    if old:
        what = f"{old} of {len(rows)} keys of tenants are sealed under an older master key"
        return warning("vault", what, "run `voice-server keys rotate`")
    return ok("vault", f"{len(rows)} keys of tenants, all open")


async def numbers_of(pool: db.Pool) -> tuple[Number, ...]:
    """The numbers in use but for the demo tenant's, which nobody owns; at most 200.

    Raises what `Pool.server` does.
    """
    async with pool.server() as connection:
        rows: list[Any] = await connection.fetch(
            """
            SELECT phone.number, coalesce(phone.agent_id, '') AS agent_id,
                coalesce(agent.status = 'active' AND tenant.status = 'active', false) AS active
            FROM phone_numbers AS phone
            LEFT JOIN ai_agents AS agent ON agent.id = phone.agent_id
            LEFT JOIN user_profiles AS tenant ON tenant.id = phone.user_id
            WHERE phone.number <> $1 ORDER BY phone.created_at, phone.number LIMIT $2
            """,
            db.DEMO_NUMBER,
            MOST_NUMBERS,
        )
    return tuple(Number(row["number"], row["agent_id"], row["active"]) for row in rows)


async def ahead_of(pool: db.Pool) -> float | None:
    """How many seconds our clock is ahead of the database's."""
    try:
        async with pool.server() as connection:
            asked = time.time()
            told = await connection.fetchval("SELECT clock_timestamp()")
            answered = time.time()
    except (db.StoreError, asyncpg.PostgresError):
        return None
    return float((asked + answered) / 2 - told.timestamp())
