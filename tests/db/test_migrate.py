from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from db import MigrationError, StoreUnavailable, migrate
from db.migrate import FOLDER, State, migrations, status
from tests.db.server import empty_database, execute, fetch, in_database, shared_server


@pytest.fixture
async def empty() -> str:
    return await empty_database(shared_server().dsn)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (x INTEGER);")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second (x INTEGER);")
    return tmp_path


async def test_applies_each_file_once_and_in_order(empty: str, folder: Path) -> None:
    assert [m.number for m in await migrate(empty, folder)] == [1, 2]
    assert await migrate(empty, folder) == ()

    (folder / "0003_third.sql").write_text("ALTER TABLE second ADD COLUMN y INTEGER;")
    assert [m.name for m in await migrate(empty, folder)] == ["third"]


async def test_many_at_once_apply_each_file_once(empty: str) -> None:
    done = await asyncio.gather(*(migrate(empty) for _ in range(6)))

    assert sum(len(applied) for applied in done) == len(migrations())


async def test_databases_of_one_cluster_can_be_migrated_at_the_same_time() -> None:
    # The roles of the shim belong to all of them.
    dsns = [await empty_database(shared_server().dsn) for _ in range(3)]
    await asyncio.gather(*(migrate(dsn) for dsn in dsns))

    for dsn in dsns:
        assert {row.state for row in await status(dsn)} == {State.APPLIED}


async def test_a_changed_file_is_refused_with_its_name(empty: str, folder: Path) -> None:
    await migrate(empty, folder)
    (folder / "0001_first.sql").write_text("CREATE TABLE first (x TEXT);")

    with pytest.raises(MigrationError, match=r"0001_first\.sql differs .* new migration"):
        await migrate(empty, folder)
    assert [row.state for row in await status(empty, folder)] == [State.CHANGED, State.APPLIED]


async def test_line_endings_of_a_checkout_are_no_change(empty: str, folder: Path) -> None:
    path = folder / "0001_first.sql"
    path.write_bytes(b"CREATE TABLE first (\n x INTEGER);\n")
    await migrate(empty, folder)
    path.write_bytes(b"CREATE TABLE first (\r\n x INTEGER);\r\n")

    assert await migrate(empty, folder) == ()


async def test_a_failing_file_leaves_nothing_of_itself(empty: str, folder: Path) -> None:
    (folder / "0003_bad.sql").write_text("CREATE TABLE third (x INTEGER); SELECT nonsense;")

    with pytest.raises(MigrationError, match=r"0003_bad: .*nonsense.*42703.*nothing of it"):
        await migrate(empty, folder)

    tables = await fetch(empty, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {row["tablename"] for row in tables} == {"first", "second"}
    (folder / "0003_bad.sql").write_text("CREATE TABLE third (x INTEGER);")
    assert [m.number for m in await migrate(empty, folder)] == [3]


async def test_an_older_version_does_not_touch_a_newer_database(empty: str, folder: Path) -> None:
    await migrate(empty, folder)
    (folder / "0002_second.sql").unlink()

    with pytest.raises(MigrationError, match="has migration 0002, this version ends at 0001"):
        await migrate(empty, folder)
    assert [row.state for row in await status(empty, folder)] == [State.APPLIED, State.UNKNOWN]


async def test_status_changes_nothing(empty: str) -> None:
    assert {row.state for row in await status(empty)} == {State.PENDING}
    assert await fetch(empty, "SELECT FROM pg_namespace WHERE nspname IN ('auth', 'private')") == []


async def test_a_project_that_has_auth_keeps_its_own(empty: str, folder: Path) -> None:
    await execute(
        empty,
        "CREATE SCHEMA auth",
        "CREATE FUNCTION auth.uid() RETURNS UUID LANGUAGE sql AS 'SELECT NULL::uuid'",
    )
    await migrate(empty, folder)

    functions = await fetch(
        empty, "SELECT proname FROM pg_proc WHERE pronamespace = 'auth'::regnamespace"
    )
    assert [row["proname"] for row in functions] == ["uid"]


async def test_a_uuid_function_that_exists_is_used(empty: str) -> None:
    await execute(
        empty,
        "CREATE FUNCTION public.uuid_generate_v4() RETURNS UUID LANGUAGE sql "
        "AS $$ SELECT '00000000-0000-4000-8000-000000000000'::uuid $$",
    )
    await migrate(empty)
    await execute(
        empty,
        "INSERT INTO user_profiles (role, full_name, email, phone) VALUES ('vendor','x','x','x')",
    )

    [row] = await fetch(empty, "SELECT id::text FROM user_profiles")
    assert row["id"] == "00000000-0000-4000-8000-000000000000"


BAD_NAMES = [
    (["0001_a.sql", "0003_c.sql"], r"0003_c\.sql: expected number 0002"),
    (["0001_a.sql", "0001_b.sql"], r"0001_b\.sql: expected number 0002"),
    (["1_a.sql"], r"1_a\.sql: name it like"),
    (["0001_A.sql"], r"0001_A\.sql: name it like"),
]


@pytest.mark.parametrize(("names", "problem"), BAD_NAMES)
def test_gaps_doubles_and_strange_names_are_refused(
    tmp_path: Path, names: list[str], problem: str
) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationError, match=problem):
        migrations(tmp_path)


def test_the_shipped_files_are_numbered_right() -> None:
    assert len(migrations()) == len(list(FOLDER.iterdir()))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://postgres@/postgres?host=/nowhere",
        "postgresql://postgres:secret@127.0.0.1:1/postgres",
        "nonsense://postgres:secret@x/postgres",
    ],
)
async def test_an_unreachable_database_is_told_without_the_password(dsn: str) -> None:
    with pytest.raises(StoreUnavailable, match="check DATABASE_URL") as caught:
        await migrate(dsn)
    assert "secret" not in str(caught.value)


async def test_a_database_that_does_not_exist_is_told() -> None:
    with pytest.raises(StoreUnavailable, match="3D000"):
        await status(in_database(shared_server().dsn, "nowhere"))
