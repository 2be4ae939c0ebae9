"""Estimates and what was told in the end: kept apart, never added up twice."""

from __future__ import annotations

import asyncio
import json
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import (
    VOICE_INBOUND,
    VOICE_OUTBOUND,
    NewDial,
    Pool,
    PostgresCallStore,
    PostgresDials,
    open_pool,
    tell_cost,
)
from db.rows import CallRow
from tests.db.server import empty_database, fetch, migrated_template, shared_server
from tests.db.tenants import ANNA, add_tenants, begun, cost, ended

STREAM = "twilio.media_stream.minutes"


@pytest.fixture
async def store(pool: Pool) -> PostgresCallStore:
    await add_tenants(pool)
    return PostgresCallStore(pool)


async def session(dsn: str, call_id: str = "call-1") -> tuple[Decimal, dict[str, Any]]:
    (row,) = await fetch(dsn, "SELECT cost_usd, metadata FROM call_sessions WHERE id = $1", call_id)
    return row["cost_usd"], json.loads(row["metadata"])


async def day(dsn: str) -> Any:
    (row,) = await fetch(
        dsn, "SELECT total_cost_micro_usd, total_cost_usd, api_calls, calls_made FROM usage_metrics"
    )
    return row


CALL: list[CallRow] = [
    begun(),
    cost(1, 8_500, item=VOICE_INBOUND),
    cost(2, 8_500, item=VOICE_INBOUND),
    cost(3, 4_400, item=STREAM),
]


async def test_what_is_told_takes_the_place_of_the_estimate_of_its_item(
    pool: Pool, store: PostgresCallStore, database: str
) -> None:
    await store.write([*CALL, ended()])
    usd, facts = await session(database)
    assert (usd, facts["cost_micro_usd"]) == (Decimal("0.0214"), 21_400)
    assert "told_micro_usd" not in facts

    assert await tell_cost(pool, "call-1", VOICE_INBOUND, 12_000)
    usd, facts = await session(database)
    assert usd == Decimal("0.0164")
    assert (facts["cost_micro_usd"], facts["booked_micro_usd"], facts["told_micro_usd"]) == (
        16_400,
        21_400,
        12_000,
    )
    assert (await day(database))["total_cost_micro_usd"] == 16_400
    booked = await fetch(database, "SELECT sum(micro_usd)::int AS all FROM call_costs")
    assert booked[0]["all"] == 21_400


async def test_telling_twice_changes_nothing_and_a_correction_moves_call_and_day(
    pool: Pool, store: PostgresCallStore, database: str
) -> None:
    await store.write([*CALL, ended()])
    for micro_usd in (12_000, 12_000, 30_000):
        await tell_cost(pool, "call-1", VOICE_INBOUND, micro_usd)
    assert (await session(database))[1]["cost_micro_usd"] == 34_400
    row = await day(database)
    assert (row["total_cost_micro_usd"], row["calls_made"]) == (34_400, 1)


async def test_what_is_told_before_the_end_counts_from_the_end_on(
    pool: Pool, store: PostgresCallStore, database: str
) -> None:
    await store.write(CALL)
    await tell_cost(pool, "call-1", VOICE_INBOUND, 12_000)
    assert await fetch(database, "SELECT FROM usage_metrics") == []
    await store.write([ended()])
    assert (await session(database))[1]["cost_micro_usd"] == 16_400
    assert (await day(database))["total_cost_micro_usd"] == 16_400


async def test_an_item_nobody_estimated_is_added(
    pool: Pool, store: PostgresCallStore, database: str
) -> None:
    await store.write([*CALL, ended()])
    await tell_cost(pool, "call-1", VOICE_OUTBOUND, 14_000)
    assert (await session(database))[1]["cost_micro_usd"] == 35_400


async def test_an_unknown_call_is_said_to_be_unknown(pool: Pool) -> None:
    assert not await tell_cost(pool, "nobody", VOICE_INBOUND, 1)


async def test_bookings_that_come_late_do_not_undo_what_was_told(
    pool: Pool, store: PostgresCallStore, database: str
) -> None:
    await store.write([*CALL, ended()])
    await tell_cost(pool, "call-1", VOICE_INBOUND, 12_000)
    await store.write([cost(9, 8_500, item=VOICE_INBOUND), cost(10, 5, item="x.y.tokens")])
    facts = (await session(database))[1]
    assert (facts["cost_micro_usd"], facts["booked_micro_usd"]) == (16_405, 29_905)


async def test_many_who_tell_at_once_leave_one_sum(
    pool: Pool, store: PostgresCallStore, database: str
) -> None:
    await store.write([*CALL, ended()])
    await asyncio.gather(
        *(tell_cost(pool, "call-1", VOICE_INBOUND, 12_000 + n) for n in range(8)),
        *(store.write([cost(20 + n, 1, item=f"a.b{n}.tokens")]) for n in range(8)),
    )
    facts = (await session(database))[1]
    assert (await day(database))["total_cost_micro_usd"] == facts["cost_micro_usd"]
    assert facts["cost_micro_usd"] == facts["told_micro_usd"] + 4_400 + 8


BOOKED: list[tuple[list[tuple[str, int]], int]] = [
    ([], 0),
    ([("local.tts.characters", 80), ("local.llm.turns", 1), ("local.stt.milliseconds", 900)], 0),
    ([("twilio.voice_inbound.minutes", 3), ("twilio.media_stream.minutes", 3)], 0),
    ([("serpapi.search.requests", 1), ("serpapi.search.requests", 2)], 3),
    ([("twilio.sms.segments", 3), ("twilio.sms.segments", 1)], 2),
    ([("elevenlabs.tts.eleven_flash_v2_5.characters", 40)] * 4, 4),
    ([("elevenlabs.stt.scribe_v2_realtime.milliseconds", 100)] * 50, 1),
    # Two replies: the second one wrote and read the cache, and was cut before its first word.
    (
        [
            ("openai.gpt-6-luna.input_tokens", 900),
            ("openai.gpt-6-luna.output_tokens", 30),
            ("openai.gpt-6-luna.input_tokens", 100),
            ("openai.gpt-6-luna.cached_input_tokens", 800),
            ("openai.gpt-6-luna.estimated_replies", 1),
        ],
        2,
    ),
    # Models whose names hold dots are models, and each is asked for itself.
    ([("openai.gpt-5.4.input_tokens", 1), ("openai.gpt-5.4-mini.input_tokens", 1)], 2),
    # Where a service counts its requests, nothing else of it is counted.
    (
        [
            ("a.b.requests", 2),
            ("a.b.characters", 10),
            ("a.b.characters", 10),
            ("a.b.characters", 1),
        ],
        2,
    ),
    ([("serpapi.search.requests", 0)], 0),
]


@pytest.mark.parametrize(("bookings", "times"), BOOKED)
async def test_the_day_counts_how_often_remote_services_were_asked(
    store: PostgresCallStore, database: str, bookings: list[tuple[str, int]], times: int
) -> None:
    rows: list[CallRow] = [begun()]
    rows += [
        cost(at, 1, item=item, quantity=quantity)
        for at, (item, quantity) in enumerate(bookings, start=1)
    ]
    await store.write([*rows, ended()])
    await store.write([*rows, ended()])
    assert (await day(database))["api_calls"] == times


ITEMS = [VOICE_INBOUND, STREAM, "openai.gpt-6-luna.output_tokens", "serpapi.search.requests"]
costs = st.lists(st.tuples(st.sampled_from(ITEMS), st.integers(0, 10**9)), max_size=12)
tells = st.dictionaries(st.sampled_from(ITEMS), st.integers(0, 10**9))


@given(calls=st.lists(st.tuples(costs, tells, st.booleans()), min_size=1, max_size=4))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_calls_and_days_add_up_to_the_micro_dollar(
    calls: list[tuple[list[tuple[str, int]], dict[str, int], bool]],
) -> None:
    template = migrated_template()

    async def run() -> None:
        dsn = await empty_database(shared_server().dsn, template)
        pool = await open_pool(dsn, size=1)
        await add_tenants(pool)
        store = PostgresCallStore(pool)
        total = 0
        for number, (booked, told, early) in enumerate(calls):
            call_id = f"call-{number}"
            await store.write([begun(call_id)])
            rows = [
                cost(at, micro, call_id, item=item)
                for at, (item, micro) in enumerate(booked, start=1)
            ]
            await store.write([*rows, ended(call_id)] if early else rows)
            for item, micro in told.items():
                await tell_cost(pool, call_id, item, micro)
            await store.write([ended(call_id)])
            best = sum(told.values()) + sum(micro for item, micro in booked if item not in told)
            total += best
            assert (await session(dsn, call_id))[1]["cost_micro_usd"] == best
        row = await day(dsn)
        assert row["total_cost_micro_usd"] == total
        dollars = Decimal(total) / 1_000_000
        assert row["total_cost_usd"] == dollars.quantize(Decimal("0.0001"), ROUND_HALF_UP)
        await pool.close()

    asyncio.run(run())


async def test_a_tenant_sees_what_was_told_of_own_calls_only(
    pool: Pool, store: PostgresCallStore
) -> None:
    await store.write([*CALL, ended()])
    await tell_cost(pool, "call-1", VOICE_INBOUND, 12_000)
    for user_id, seen in ((ANNA, 1), ("bbbbbbbb-0000-4000-8000-000000000002", 0)):
        async with pool.tenant(user_id) as connection:
            assert await connection.fetchval("SELECT count(*) FROM call_actual_costs") == seen


async def test_the_carriers_price_of_a_call_we_placed_replaces_its_estimate(
    pool: Pool, database: str
) -> None:
    await add_tenants(pool)
    dials = PostgresDials(pool)
    await dials.intend(NewDial("call-1", ANNA, "agent-anna", "+12025550188", "+12025550111"))
    await PostgresCallStore(pool).write(
        [cost(1, 28_000, item=VOICE_OUTBOUND), cost(2, 8_800, item=STREAM), ended()]
    )
    await dials.price("call-1", 26_000)
    await dials.price("call-1", 26_000)
    facts = (await session(database))[1]
    assert (facts["cost_micro_usd"], facts["booked_micro_usd"]) == (34_800, 36_800)
    told = await dials.get("call-1")
    assert told is not None
    assert told.price_micro_usd == 26_000
