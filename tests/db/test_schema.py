"""The schema document is kept to the letter; `document_schema.txt` is what it says, as facts."""

from __future__ import annotations

import os
import re
from pathlib import Path

import asyncpg
import pytest

from db.migrate import FOLDER, SHIM, migrate
from tests.db.catalog import facts
from tests.db.server import empty_database, execute, fetch, shared_server

_SNAPSHOT = Path(__file__).with_name("document_schema.txt")
_ROOT = Path(__file__).parents[2]

TABLES = {
    "user_profiles",
    "user_api_keys",
    "orders",
    "referrals",
    "ai_agents",
    "calling_campaigns",
    "call_sessions",
    "scam_detections",
    "subscription_plans",
    "usage_metrics",
}
OURS = {
    "subscriptions",
    "phone_numbers",
    "call_events",
    "call_costs",
    "call_actual_costs",
    "call_usage",
    "prices",
    "dial_intents",
    "call_recordings",
    "call_transfers",
}


def document_facts() -> set[str]:
    return set(_SNAPSHOT.read_text().splitlines())


@pytest.fixture
async def empty() -> str:
    return await empty_database(shared_server().dsn)


async def test_the_first_two_migrations_are_the_document_and_nothing_else(
    empty: str, tmp_path: Path
) -> None:
    for path in sorted(FOLDER.glob("000[12]_*.sql")):
        (tmp_path / path.name).write_text(path.read_text())
    await migrate(empty, tmp_path)

    assert await facts(empty) == document_facts()


async def test_the_whole_schema_still_has_everything_of_the_document(database: str) -> None:
    assert document_facts() - await facts(database) == set()


@pytest.mark.shared
async def test_the_snapshot_says_what_the_document_says(empty: str) -> None:
    shared = Path(os.environ.get("VOICE_SERVER_SHARED") or _ROOT.parent / "shared")
    documents = sorted((shared / "seed").glob("*.md"))
    if not documents:
        pytest.skip("no shared/seed folder: set VOICE_SERVER_SHARED")
    blocks = re.findall(r"```sql\n(.*?)```", documents[0].read_text(), flags=re.S)
    uuid = (
        "CREATE FUNCTION public.uuid_generate_v4() RETURNS UUID LANGUAGE sql "
        "AS 'SELECT gen_random_uuid()'"
    )
    await execute(empty, SHIM.read_text(), uuid, *blocks)

    assert await facts(empty) == document_facts()


async def test_all_tables_are_there_and_no_others(database: str) -> None:
    rows = await fetch(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {row["tablename"] for row in rows} == TABLES | OURS


async def test_row_security_is_on_everywhere(database: str) -> None:
    rows = await fetch(
        database,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind = 'r' AND NOT relrowsecurity",
    )
    assert rows == []


async def test_every_table_has_a_policy_for_users_and_one_for_admins(database: str) -> None:
    rows = await fetch(database, "SELECT tablename, policyname, roles, qual FROM pg_policies")
    for table in TABLES | OURS:
        quals = [row["qual"] or "" for row in rows if row["tablename"] == table]
        assert any("is_admin" in qual for qual in quals), table
        assert any("is_admin" not in qual and qual for qual in quals), table
    assert {role for row in rows for role in row["roles"]} == {"anon", "authenticated"}


async def test_policies_ask_who_it_is_once_per_statement(database: str) -> None:
    rows = await fetch(
        database, "SELECT policyname, concat(qual, with_check) AS text FROM pg_policies"
    )
    for row in rows:
        bare = row["text"].replace("SELECT auth.uid()", "").replace("SELECT private.is_admin()", "")
        assert "uid()" not in bare, row["policyname"]
        assert "is_admin()" not in bare, row["policyname"]


async def test_every_foreign_key_has_an_index(database: str) -> None:
    rows = await fetch(
        database,
        """
        SELECT conrelid::regclass::text AS table, conname FROM pg_constraint AS key
        WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND NOT EXISTS (
            SELECT FROM pg_index AS i
            WHERE i.indrelid = key.conrelid AND i.indpred IS NULL
                AND (i.indkey::int2[])[0:cardinality(key.conkey) - 1] @> key.conkey
        )
        """,
    )
    assert [tuple(row) for row in rows] == []


@pytest.mark.parametrize(
    "column",
    [
        "user_profiles.id",
        "user_api_keys.user_id",
        "orders.vendor_id",
        "referrals.created_by",
        "referrals.used_by",
        "ai_agents.user_id",
        "calling_campaigns.user_id",
        "call_sessions.user_id",
        "scam_detections.user_id",
        "usage_metrics.user_id",
        "subscriptions.user_id",
        "phone_numbers.user_id",
        "call_usage.user_id",
        "call_events.call_id",
        "call_costs.call_id",
    ],
)
async def test_every_column_that_policies_compare_leads_an_index(
    database: str, column: str
) -> None:
    table, name = column.split(".")
    rows = await fetch(
        database,
        """
        SELECT FROM pg_index AS i JOIN pg_attribute AS a
            ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = $1::text::regclass AND a.attname = $2 AND i.indpred IS NULL
        """,
        table,
        name,
    )
    assert rows


async def test_updated_at_follows_every_change(database: str) -> None:
    rows = await fetch(
        database,
        """
        SELECT table_name FROM information_schema.columns AS c
        WHERE table_schema = 'public' AND column_name = 'updated_at' AND NOT EXISTS (
            SELECT FROM pg_trigger WHERE tgrelid = c.table_name::regclass
                AND tgname = 'touch_updated_at'
        )
        """,
    )
    assert rows == []
    await execute(
        database,
        "INSERT INTO user_profiles (role, full_name, email, phone, updated_at) "
        "VALUES ('vendor', 'x', 'x', 'x', '2001-01-01')",
        "UPDATE user_profiles SET full_name = 'y'",
    )
    [row] = await fetch(database, "SELECT updated_at > '2020-01-01' AS moved FROM user_profiles")
    assert row["moved"]


async def test_definer_functions_look_nothing_up_in_foreign_schemas(database: str) -> None:
    rows = await fetch(
        database,
        """
        SELECT proname FROM pg_proc WHERE prosecdef
            AND pronamespace = 'private'::regnamespace
            AND NOT coalesce(proconfig @> ARRAY['search_path=""'], false)
        """,
    )
    assert rows == []


async def test_an_agents_number_must_belong_to_the_agents_owner(database: str) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await execute(
            database,
            """
            INSERT INTO user_profiles (id, role, full_name, email, phone) VALUES
                ('aaaaaaaa-0000-4000-8000-000000000001', 'vendor', 'a', 'a', 'a'),
                ('bbbbbbbb-0000-4000-8000-000000000001', 'vendor', 'b', 'b', 'b');
            INSERT INTO ai_agents (id, user_id, name)
            VALUES ('agent', 'aaaaaaaa-0000-4000-8000-000000000001', 'a');
            INSERT INTO phone_numbers (number, user_id, agent_id)
            VALUES ('+12025550100', 'bbbbbbbb-0000-4000-8000-000000000001', 'agent');
            """,
        )


@pytest.mark.parametrize(
    "number", ["12025550100", "+0123456789", "+1 202", "", "+1202555010012345"]
)
async def test_only_e164_numbers_can_be_owned(database: str, number: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await execute(
            database,
            "INSERT INTO phone_numbers (number, user_id) "
            f"VALUES ('{number}', 'aaaaaaaa-0000-4000-8000-000000000001')",
        )
