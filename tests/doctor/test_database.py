"""What the doctor asks of the database, on a real one."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from pydantic import SecretStr

import db
from db.migrate import MigrationStatus
from db.migrate import State as Migrated
from tests.db.server import empty_database, execute, shared_server
from tests.db.tenants import ANNA, add_tenants
from tests.vault.rings import entry, ring, settings
from voice_server.doctor.check import Check, State
from voice_server.doctor.database import (
    Number,
    ahead_of,
    migrations_check,
    numbers_of,
    open_database,
    vault_check,
)
from voice_server.provider_settings import Provider
from voice_server.settings import Storage

pytestmark = pytest.mark.postgres
KEY = SecretStr("sk-a-tenants-secret")


async def looked_at(folder: Path, url: str | None) -> dict[str, Check]:
    given: dict[str, Any] = {"data_dir": folder, "DATABASE_URL": url}
    async with AsyncExitStack() as stack:
        opened = await open_database(Storage(**given), stack)
    return {check.name: check for check in opened.checks}


def login(url: str, user: str) -> str:
    """The same database, as another user."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}@"))


async def test_a_migrated_database_is_fine(database: str, tmp_path: Path) -> None:
    found = await looked_at(tmp_path, database)
    assert {name: check.state for name, check in found.items()} == {
        "database": State.OK,
        "migrations": State.OK,
        "database roles": State.OK,
    }


async def test_pending_migrations_are_told_and_not_applied(database: str, tmp_path: Path) -> None:
    await execute(
        database,
        "DELETE FROM private.migrations "
        "WHERE number = (SELECT max(number) FROM private.migrations)",
    )
    for _ in range(2):
        check = (await looked_at(tmp_path, database))["migrations"]
        assert check.state is State.WARNING
        assert check.what.startswith("1 of ")
        assert "voice-server db migrate" in check.fix


async def test_an_empty_database_has_everything_pending(tmp_path: Path) -> None:
    url = await empty_database(shared_server().dsn)
    found = await looked_at(tmp_path, url)
    assert found["migrations"].state is State.WARNING
    assert found["database roles"].state is State.SKIPPED


@pytest.mark.parametrize(
    ("state", "expected", "word"),
    [(Migrated.CHANGED, State.FAILED, "reinstall"), (Migrated.UNKNOWN, State.FAILED, "newer")],
)
def test_a_schema_that_is_not_ours_is_told(state: Migrated, expected: State, word: str) -> None:
    rows = (MigrationStatus(1, "tables", Migrated.APPLIED, None),)
    check = migrations_check((*rows, MigrationStatus(2, "more", state, None)))
    assert check.state is expected
    assert "0002_more" in check.what
    assert word in check.fix


@pytest.mark.parametrize(
    "url",
    ["postgresql://anna:hush@127.0.0.1:9/voice", "postgresql://anna:hush@127.0.0.1:bad/voice"],
)
async def test_an_unreachable_database_is_told_without_its_password(
    tmp_path: Path, url: str
) -> None:
    check = (await looked_at(tmp_path, url))["database"]
    assert check.state is State.FAILED
    assert "DATABASE_URL" in check.fix
    assert "hush" not in str(check)


async def test_a_user_without_the_roles_is_told(database: str, tmp_path: Path) -> None:
    await execute(
        database,
        "DO $$ BEGIN CREATE ROLE outsider LOGIN; EXCEPTION WHEN duplicate_object THEN END $$",
        "GRANT USAGE ON SCHEMA private TO outsider",
        "GRANT SELECT ON private.migrations TO outsider",
    )
    try:
        check = (await looked_at(tmp_path, login(database, "outsider")))["database roles"]
    finally:
        await execute(database, "DROP OWNED BY outsider", "DROP ROLE outsider")
    assert check.state is State.FAILED
    assert "GRANT" in check.fix


async def test_a_user_who_may_not_see_the_migrations_is_told(database: str, tmp_path: Path) -> None:
    await execute(database, "CREATE ROLE stranger LOGIN")
    try:
        check = (await looked_at(tmp_path, login(database, "stranger")))["database"]
    finally:
        await execute(database, "DROP ROLE stranger")
    assert check.state is State.FAILED
    assert "42501" in check.what


async def test_an_embedded_database_is_not_made_by_looking(tmp_path: Path) -> None:
    found = await looked_at(tmp_path, None)
    assert found["database"].state is State.SKIPPED
    assert os.listdir(tmp_path) == []


async def test_the_numbers_in_use_are_those_of_real_tenants(pool: db.Pool) -> None:
    await db.seed_demo(pool)
    await add_tenants(pool)
    async with pool.server() as connection:
        await connection.execute("UPDATE ai_agents SET status = 'inactive' WHERE id = 'agent-bert'")
    assert set(await numbers_of(pool)) == {
        Number("+12025550111", "agent-anna", True),
        Number("+12025550122", "agent-bert", False),
    }


async def test_the_databases_clock_is_ours_here(pool: db.Pool) -> None:
    assert await ahead_of(pool) == pytest.approx(0, abs=1)


async def sealed(pool: db.Pool, name: str) -> None:
    await add_tenants(pool)
    master = ring(name)
    await db.PostgresKeys(pool).put(
        ANNA,
        Provider.OPENAI,
        sealed=master.seal(KEY, ANNA, Provider.OPENAI),
        fingerprint=master.fingerprint(KEY, ANNA, Provider.OPENAI),
        validated=True,
    )


@pytest.mark.parametrize(
    ("names", "state", "fix"),
    [
        (["new"], State.OK, ""),
        (["newer", "new"], State.WARNING, "keys rotate"),
        (["other"], State.FAILED, "VOICE_SERVER_VAULT_KEYS"),
        ([], State.FAILED, "VOICE_SERVER_VAULT_KEYS"),
    ],
)
async def test_the_vault_opens_what_is_stored(
    pool: db.Pool, names: list[str], state: State, fix: str
) -> None:
    await sealed(pool, "new")
    text = ",".join(map(entry, names)) or None
    (check,) = await vault_check(settings(vault_keys=text), pool)
    assert check.state is state
    assert fix in check.fix
    assert "sk-" not in str(check)


async def test_a_server_without_a_vault_needs_none(pool: db.Pool) -> None:
    for where in (pool, None):
        (check,) = await vault_check(settings(), where)
        assert check.state is State.SKIPPED
