"""Brings a database's schema up to date: numbered SQL files, each once, in order.

No library found does this for asyncpg with a lock and checksums (asyncpg-trek and
pogo-migrate have neither), and the need is one table and one loop.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from db.errors import MigrationError, StoreUnavailable
from db.pool import statement_cache_for

FOLDER = Path(__file__).parent / "migrations"
SHIM = Path(__file__).parent / "supabase_shim.sql"

_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_LOCK = 0x766F6963655F6462  # any number, but the same in every process ("voice_db")
_CONNECT_TIMEOUT_S = 10.0
_LOCK_TIMEOUT_MS = 15_000  # a busy table delays a migration, a migration never queues up calls


class State(StrEnum):
    """Where a migration stands in a database."""

    APPLIED = "applied"
    PENDING = "pending"
    CHANGED = "changed"  # applied, but the file has another content
    UNKNOWN = "unknown"  # applied, but there is no such file


class Migration(msgspec.Struct, frozen=True):
    """One file of the migrations folder."""

    number: int
    name: str
    sql: str
    checksum: str  # SHA-256 of the text, hexadecimal


class MigrationStatus(msgspec.Struct, frozen=True):
    """One migration in one database; `applied_at` is None while it is pending."""

    number: int
    name: str
    state: State
    applied_at: datetime | None


def migrations(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """The files of a folder by number; raises `MigrationError` on a gap or a strange name."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name}: name it like 0001_what_it_does.sql")
        sql = path.read_text(encoding="utf-8")
        digest = hashlib.sha256(sql.encode()).hexdigest()
        found.append(Migration(int(match[1]), match[2], sql, digest))
    for expected, migration in enumerate(found, start=1):
        if migration.number != expected:
            raise MigrationError(
                f"{migration.number:04}_{migration.name}.sql: expected number {expected:04}; "
                "numbers run from 0001 without gaps and without doubles"
            )
    return tuple(found)


async def migrate(dsn: str, folder: Path = FOLDER) -> tuple[Migration, ...]:
    """Apply what is pending and return it; safe to run from many processes at once.

    Each migration is one transaction: it is there as a whole or not at all. Raises
    `MigrationError` when an applied file was changed, when this version is older than the
    database, or when the SQL fails; `StoreUnavailable` when the database cannot be reached.
    """
    wanted = migrations(folder)
    connection = await _connect(dsn)
    try:
        await _prepare(connection)
        applied = []
        for migration in wanted:
            if await _apply(connection, migration, wanted):
                applied.append(migration)
        return tuple(applied)
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        raise StoreUnavailable("the database was lost while migrating; run it again") from error
    finally:
        await connection.close()


async def status(dsn: str, folder: Path = FOLDER) -> tuple[MigrationStatus, ...]:
    """Where each migration stands; changes nothing."""
    wanted = migrations(folder)
    connection = await _connect(dsn)
    try:
        applied = await _applied(connection)
    finally:
        await connection.close()
    known = [_status_of(migration, applied.get(migration.number)) for migration in wanted]
    extra = [
        MigrationStatus(number, row["name"], State.UNKNOWN, row["applied_at"])
        for number, row in sorted(applied.items())
        if number > len(wanted)
    ]
    return (*known, *extra)


def _status_of(migration: Migration, row: Any) -> MigrationStatus:
    if row is None:
        return MigrationStatus(migration.number, migration.name, State.PENDING, None)
    state = State.APPLIED if row["checksum"] == migration.checksum else State.CHANGED
    return MigrationStatus(migration.number, migration.name, state, row["applied_at"])


async def _connect(dsn: str) -> Any:
    try:
        return await asyncpg.connect(
            dsn, timeout=_CONNECT_TIMEOUT_S, statement_cache_size=statement_cache_for(dsn)
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        state = getattr(error, "sqlstate", None) or type(error).__name__
        raise StoreUnavailable(
            f"cannot connect to the database ({state}): check DATABASE_URL"
        ) from None


async def _applied(connection: Any) -> dict[int, Any]:
    if await connection.fetchval("SELECT to_regclass('private.migrations') IS NULL"):
        return {}
    rows = await connection.fetch(
        "SELECT number, name, checksum, applied_at FROM private.migrations"
    )
    return {row["number"]: row for row in rows}


async def _lock(connection: Any) -> None:
    # Held to the end of the transaction, so it also works behind a transaction pooler.
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")


async def _prepare(connection: Any) -> None:
    """Lay the ground: the shim on a plain Postgres, and the table that remembers."""
    async with connection.transaction():
        await _lock(connection)
        if await connection.fetchval("SELECT to_regnamespace('auth') IS NULL"):
            await connection.execute(SHIM.read_text(encoding="utf-8"))
        await connection.execute(
            """
            CREATE SCHEMA IF NOT EXISTS private;
            CREATE TABLE IF NOT EXISTS private.migrations (
                number INTEGER PRIMARY KEY,
                name TEXT NOT NULL,
                checksum TEXT NOT NULL,
                applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
            );
            """
        )


async def _apply(connection: Any, migration: Migration, wanted: tuple[Migration, ...]) -> bool:
    title = f"{migration.number:04}_{migration.name}"
    async with connection.transaction():
        await _lock(connection)
        applied = await _applied(connection)
        _refuse_foreign(applied, wanted)
        if migration.number in applied:
            return False
        try:
            await connection.execute(migration.sql)
        except asyncpg.PostgresError as error:
            raise MigrationError(
                f"{title}: {error.args[0]} (SQLSTATE {error.sqlstate}); "
                "nothing of it was applied, the migrations before it stand"
            ) from None
        await connection.execute(
            "INSERT INTO private.migrations (number, name, checksum) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.checksum,
        )
    return True


def _refuse_foreign(applied: dict[int, Any], wanted: tuple[Migration, ...]) -> None:
    for migration in wanted:
        row = applied.get(migration.number)
        if row is not None and row["checksum"] != migration.checksum:
            raise MigrationError(
                f"{migration.number:04}_{migration.name}.sql differs from what was applied; "
                "restore the file and put the change into a new migration"
            )
    newest = max(applied, default=0)
    if newest > len(wanted):
        raise MigrationError(
            f"the database has migration {newest:04}, this version ends at {len(wanted):04}; "
            "install the newer version of the server"
        )
