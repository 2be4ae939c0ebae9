"""What is asked once per call or per page uses its index when the tables are full."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from tests.db.server import empty_database, execute, migrated_template, shared_server
from tests.db.tenants import ANNA

_FILL = """
INSERT INTO user_profiles (id, role, full_name, email, phone)
SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'vendor', 'v', n::text, '1'
FROM generate_series(1, 400) AS n;
INSERT INTO user_profiles (id, role, full_name, email, phone)
VALUES ('{anna}', 'vendor', 'Anna', 'anna', '1');
INSERT INTO ai_agents (id, user_id, name)
SELECT 'agent-' || row_number() OVER (), id, 'a' FROM user_profiles;
INSERT INTO phone_numbers (number, user_id, agent_id)
SELECT '+1202' || lpad(row_number() OVER ()::text, 7, '0'), user_id, id FROM ai_agents;
INSERT INTO call_sessions
    (id, user_id, agent_id, twilio_call_id, from_number, to_number, created_at)
SELECT 'call-' || n, agent.user_id, agent.id, 'CA' || n, '1', '2', now() - n * interval '1 s'
FROM generate_series(1, 50) AS m
CROSS JOIN (SELECT *, row_number() OVER () AS k FROM ai_agents) AS agent
CROSS JOIN LATERAL (SELECT m * 1000 + agent.k AS n) AS numbered;
INSERT INTO call_events (call_id, sequence, kind)
SELECT id, s, 'line' FROM call_sessions CROSS JOIN generate_series(1, 3) AS s;
INSERT INTO call_costs (call_id, sequence, item, quantity, micro_usd)
SELECT id, s, 'x', 1, 1 FROM call_sessions CROSS JOIN generate_series(1, 2) AS s;
INSERT INTO scam_detections
    (conversation_id, user_id, call_session_id, risk_score, severity_level, confidence_score)
SELECT id, user_id, id, 0, 'low', 1 FROM call_sessions;
INSERT INTO call_usage (call_id, user_id, date)
SELECT id, user_id, created_at::date FROM call_sessions;
INSERT INTO usage_metrics (user_id, date)
SELECT id, '2026-01-01'::date + d FROM user_profiles CROSS JOIN generate_series(1, 30) AS d;
INSERT INTO orders
    (order_id, customer_name, customer_phone, service_type, vendor_id, idempotency_key)
SELECT 'ORD-' || n, 'c', n::text, 'other', user_id, n::text
FROM (SELECT user_id, row_number() OVER () AS n FROM call_sessions LIMIT 8000) AS numbered;
INSERT INTO dial_intents
    (id, user_id, agent_id, to_number, from_number, state, status, carrier_call_id, finished_at,
    settled_at, price_micro_usd)
SELECT id, user_id, agent_id, '+12025550177', '+12025550111', 'finished', 'completed',
    twilio_call_id, now(), now(), 14000 FROM call_sessions;
INSERT INTO call_transfers (call_id, attempt, carrier_call_id, direction, whisper)
SELECT id, 1, twilio_call_id, 'inbound', '' FROM call_sessions;
INSERT INTO prices (item, micro_usd, per, effective_from)
SELECT 'item-' || i, 1, 1, '2020-01-01'::timestamptz + d * interval '1 day'
FROM generate_series(1, 50) AS i CROSS JOIN generate_series(1, 20) AS d;
"""


@pytest.fixture(scope="module")
def full() -> str:
    """A database with 20,000 calls of 401 tenants."""
    template = migrated_template()

    async def build() -> str:
        dsn = await empty_database(shared_server().dsn, template)
        await execute(dsn, _FILL.format(anna=ANNA), "VACUUM ANALYZE")
        return dsn

    return asyncio.run(build())


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def plan_of(dsn: str, query: str, user_id: str | None) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            role = "authenticated" if user_id else "service_role"
            claims = json.dumps({"sub": user_id}) if user_id else ""
            await connection.execute(
                "SELECT set_config('role', $1, true), set_config('request.jwt.claims', $2, true)",
                role,
                claims,
            )
            text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}")
    finally:
        await connection.close()
    return list(nodes(json.loads(text)[0]["Plan"]))


SERVER = [
    (
        "SELECT FROM phone_numbers AS phone JOIN ai_agents AS agent ON agent.id = phone.agent_id "
        "JOIN user_profiles AS tenant ON tenant.id = phone.user_id "
        "WHERE phone.number = '+12020000007' AND agent.status = 'active'",
        {"phone_numbers_pkey", "ai_agents_pkey|ai_agents_id_user_id_key", "user_profiles_pkey"},
    ),
    (
        "SELECT id FROM call_sessions WHERE id = ANY('{call-1001,call-1002}') "
        "ORDER BY id FOR NO KEY UPDATE",
        {"call_sessions_pkey"},
    ),
    (
        "SELECT * FROM call_sessions WHERE twilio_call_id = 'CA1007'",
        {"idx_call_sessions_twilio_call"},
    ),
    (
        f"SELECT * FROM call_sessions WHERE user_id = '{ANNA}' AND created_at < 'infinity' "
        "ORDER BY created_at DESC, id DESC LIMIT 50",
        {"idx_call_sessions_user_created"},
    ),
    (
        "SELECT * FROM call_events WHERE call_id = 'call-1001' AND kind = 'line'",
        {"call_events_pkey"},
    ),
    ("SELECT sum(micro_usd) FROM call_costs WHERE call_id = 'call-1001'", {"call_costs_pkey"}),
    (
        "SELECT * FROM scam_detections WHERE call_session_id = 'call-1001' ORDER BY created_at",
        {"idx_scam_detections_call_session"},
    ),
    ("SELECT * FROM call_usage WHERE call_id = ANY('{call-1001}')", {"call_usage_pkey"}),
    (
        f"SELECT * FROM orders WHERE vendor_id = '{ANNA}' AND idempotency_key = '7'",
        {"orders_vendor_id_idempotency_key_key|idx_orders_vendor_status"},
    ),
    ("SELECT * FROM orders WHERE order_id = 'ORD-7'", {"orders_order_id_key"}),
    ("SELECT * FROM orders WHERE customer_phone = '7'", {"idx_orders_customer_phone"}),
    (
        "SELECT id FROM dial_intents WHERE settled_at IS NULL AND (state NOT IN "
        "('placed', 'finished') OR checked_at <= now()) AND checked_at <= now() "
        "ORDER BY checked_at LIMIT 50 FOR UPDATE SKIP LOCKED",
        {"idx_dial_intents_unsettled"},
    ),
    (
        "SELECT id FROM dial_intents WHERE settled_at IS NOT NULL AND price_micro_usd IS NULL "
        "AND carrier_call_id IS NOT NULL AND checked_at <= now() ORDER BY checked_at LIMIT 50",
        {"idx_dial_intents_unpriced"},
    ),
    (
        "SELECT id FROM dial_intents WHERE carrier_call_id = 'CA1007'",
        {"dial_intents_carrier_call_id_key"},
    ),
    (
        "SELECT call_id FROM call_transfers WHERE due_at <= now() ORDER BY due_at LIMIT 50 "
        "FOR UPDATE SKIP LOCKED",
        {"idx_call_transfers_due"},
    ),
    (
        "UPDATE call_transfers SET ended_s = 1 WHERE carrier_call_id = 'CA1007' RETURNING 1",
        {"idx_call_transfers_carrier"},
    ),
    ("DELETE FROM call_sessions WHERE id = 'call-1001'", {"call_sessions_pkey"}),
]


@pytest.mark.parametrize(("query", "indexes"), SERVER)
async def test_the_server_finds_what_it_asks_for_by_index(
    full: str, query: str, indexes: set[str]
) -> None:
    plan = await plan_of(full, query, None)

    assert [node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"] == []
    used = {node["Index Name"] for node in plan if "Index Name" in node}
    for wanted in indexes:
        assert used & set(wanted.split("|")), (wanted, used)


TENANT = [
    "user_profiles",
    "orders",
    "ai_agents",
    "call_sessions",
    "scam_detections",
    "usage_metrics",
    "phone_numbers",
    "call_usage",
]


@pytest.mark.parametrize("table", TENANT)
async def test_a_query_that_names_its_tenant_uses_an_index_under_row_security(
    full: str, table: str
) -> None:
    # Naming the tenant is a must: an admin's policy is joined by OR, which no index answers.
    owner = {"user_profiles": "id", "orders": "vendor_id"}.get(table, "user_id")
    plan = await plan_of(full, f"SELECT 1 FROM {table} WHERE {owner} = '{ANNA}'", ANNA)

    assert [node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"] == []


async def test_the_user_is_looked_up_once_per_query_not_per_row(full: str) -> None:
    plan = await plan_of(full, "SELECT count(*) FROM call_sessions", ANNA)

    assert any(node.get("Parent Relationship") == "InitPlan" for node in plan)
    assert not any(node.get("Parent Relationship") == "SubPlan" for node in plan)


async def test_reading_the_lines_of_one_call_as_its_owner_touches_no_other_call(full: str) -> None:
    plan = await plan_of(full, "SELECT data FROM call_events WHERE call_id = 'call-1001'", ANNA)

    scans = {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}
    assert scans == set()
