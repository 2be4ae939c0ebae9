from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import (
    Pool,
    PostgresCallRecords,
    PostgresCallStore,
    RowRejected,
    StoreUnavailable,
    open_pool,
)
from db.calls import instant
from db.rows import CallRow, StatusChanged, TurnMeasured
from tests.db.server import execute, fetch
from tests.db.tenants import (
    ANNA,
    BERT,
    START,
    add_tenants,
    begun,
    cost,
    detected,
    ended,
    line,
    whole_call,
)


@pytest.fixture
async def store(pool: Pool) -> PostgresCallStore:
    await add_tenants(pool)
    return PostgresCallStore(pool)


async def snapshot(dsn: str) -> dict[str, Any]:
    """All that the store writes, without the times of writing."""
    tables = ["call_sessions", "call_events", "call_costs", "scam_detections"]
    tables += ["usage_metrics", "call_usage"]
    found = {}
    for table in tables:
        rows = await fetch(
            dsn, f"SELECT to_jsonb(t) - '{{updated_at}}'::text[] AS row FROM {table} AS t"
        )
        found[table] = sorted(row["row"] for row in rows)
    # usage rows have a random id and their own time of creation
    found["usage_metrics"] = [
        {k: v for k, v in json.loads(row).items() if k not in {"id", "created_at"}}
        for row in found["usage_metrics"]
    ]
    return found


async def usage(dsn: str) -> Any:
    rows = await fetch(dsn, "SELECT * FROM usage_metrics")
    assert len(rows) == 1
    return rows[0]


async def test_a_whole_call_is_stored_with_everything_it_says(
    store: PostgresCallStore, pool: Pool, database: str
) -> None:
    await store.write(whole_call())

    call = await PostgresCallRecords(pool).call("call-1")
    assert call is not None
    assert (call.status, call.duration_ms) == ("completed", 61_500)
    assert call.cost_usd == Decimal("0.0129")
    assert call.created_at == instant(START)
    assert call.answered_at == instant(START + 900)
    assert call.completed_at == instant(START + 62_400)
    assert json.loads(call.metadata) == {
        "direction": "inbound",
        "raw_status": "completed",
        "outcome": "booked",
        "reason": "agent_goodbye",
        "severity": "high",
        "risk": 0.8437219,
        "turns": 3,
        "journal": "journals/call-1.journal",
        "metered_micro_usd": 12_940,
        "cost_micro_usd": 12_940,
    }


async def test_the_end_of_a_call_folds_its_lines_into_the_conversation(
    store: PostgresCallStore, pool: Pool
) -> None:
    await store.write(whole_call())

    call = await PostgresCallRecords(pool).call("call-1")
    assert call is not None
    conversation = json.loads(call.conversation_data)
    assert [entry["text"] for entry in conversation["transcripts"]] == ["My sink leaks."]
    assert conversation["agent_responses"][1] == {
        "sequence": 5,
        "speaker": "agent",
        "text": "What is your",
        "unheard": " name?",
        "started_ms": 5_000,
        "ended_ms": 5_800,
    }
    [alert] = conversation["scam_alerts"]
    assert (alert["severity"], alert["risk"]) == ("high", 0.84)
    assert alert["patterns"] == [{"name": "gift_card_payment", "weight": 0.7}]


async def test_a_detection_fills_every_column_and_keeps_its_precision(
    store: PostgresCallStore, pool: Pool, database: str
) -> None:
    await store.write(whole_call())

    [row] = await fetch(database, "SELECT * FROM scam_detections")
    assert all(value is not None for value in row.values())
    [detection] = await PostgresCallRecords(pool).detections("call-1")
    assert detection.risk_score == Decimal("0.84")
    assert detection.confidence == Decimal("0.92")
    assert detection.keywords == ("gift card", "warrant")
    assert detection.processing_time_ms == 4
    linear, fused = json.loads(detection.predictions)
    assert linear == {"model": "linear", "label": "scam", "probability": 0.77123456}
    assert (fused["model"], fused["probability"]) == ("fusion", 0.8437219)
    assert (fused["processing_us"], fused["confidence"]) == (3_700, 0.918)


async def test_a_line_and_a_turn_keep_when_they_happened(
    store: PostgresCallStore, database: str
) -> None:
    await store.write(whole_call())

    [said] = await fetch(database, "SELECT at FROM call_events WHERE sequence = 2")
    assert said["at"] == instant(START) + timedelta(seconds=2)
    [turn] = await fetch(database, "SELECT data FROM call_events WHERE kind = 'turn'")
    assert json.loads(turn["data"])["first_audio_ms"] == 690


async def test_writing_every_row_twice_changes_nothing(
    store: PostgresCallStore, database: str
) -> None:
    await store.write(whole_call())
    once = await snapshot(database)

    await store.write(whole_call())
    for row in whole_call():
        await store.write([row])

    assert await snapshot(database) == once


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_split_any_order_and_any_repeats_give_the_same_call(
    data: st.DataObject, template: str
) -> None:
    # A batch may have been written before a crash that kept nobody from sending it again.
    first, *rest = whole_call()
    shuffled = data.draw(st.permutations(rest))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rest) - 1), max_size=4)))
    bounds = [0, *cuts, len(rest)]
    batches = [[first], *[shuffled[a:b] for a, b in pairwise(bounds)]]
    repeated = data.draw(st.lists(st.sampled_from(batches), max_size=2))

    async def scenario() -> None:
        expected = await _written([whole_call()])
        assert await _written([*batches, *repeated]) == expected

    asyncio.run(scenario())


async def _written(batches: list[list[CallRow]]) -> dict[str, Any]:
    from tests.db.server import empty_database, migrated_template, shared_server

    dsn = await empty_database(shared_server().dsn, migrated_template())
    pool = await open_pool(dsn, size=1)
    try:
        await add_tenants(pool)
        for batch in batches:
            await PostgresCallStore(pool).write(batch)
        found = await snapshot(dsn)
        # What the carrier said last depends on the order in which it is heard.
        found["call_sessions"] = [
            {**json.loads(row), "metadata": _without_raw(json.loads(row)["metadata"])}
            for row in found["call_sessions"]
        ]
        return found
    finally:
        await pool.close()


def _without_raw(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name != "raw_status"}


async def test_a_call_counts_once_however_often_and_from_however_many_writers_it_ends(
    store: PostgresCallStore, database: str
) -> None:
    await store.write(whole_call())
    await asyncio.gather(*(store.write([ended()]) for _ in range(6)))

    day = await usage(database)
    assert (day["calls_made"], day["calls_successful"]) == (1, 1)
    assert (day["total_duration_ms"], day["scam_detections"]) == (61_500, 1)
    assert (day["total_cost_micro_usd"], day["total_cost_usd"]) == (12_940, Decimal("0.0129"))


async def test_concurrent_first_endings_of_one_call_count_it_once(
    store: PostgresCallStore, database: str
) -> None:
    await store.write([begun()])

    await asyncio.gather(*(store.write(whole_call()) for _ in range(4)))

    day = await usage(database)
    assert (day["calls_made"], day["total_cost_micro_usd"]) == (1, 12_940)


async def test_a_line_written_beside_the_end_is_never_left_out_of_the_fold(
    store: PostgresCallStore, pool: Pool
) -> None:
    for number in range(10):
        call_id = f"race-{number}"
        await store.write([begun(call_id)])
        await asyncio.gather(
            store.write([ended(call_id)]), store.write([line(1, "caller", "hi", call_id)])
        )
        call = await PostgresCallRecords(pool).call(call_id)
        assert call is not None
        assert len(json.loads(call.conversation_data)["transcripts"]) == 1


async def test_costs_that_come_after_the_end_are_added_to_call_and_day(
    store: PostgresCallStore, pool: Pool, database: str
) -> None:
    await store.write(whole_call())
    await store.write([cost(20, 1_060)])

    call = await PostgresCallRecords(pool).call("call-1")
    assert call is not None
    assert call.cost_usd == Decimal("0.0140")
    day = await usage(database)
    assert (day["calls_made"], day["total_cost_micro_usd"]) == (1, 14_000)
    assert await PostgresCallRecords(pool).cost_micro_usd("call-1") == {
        "local.llm.turns": 40,
        "twilio.media_stream.minutes": 4_400,
        "twilio.voice_inbound.minutes": 9_560,
    }


async def test_costs_below_the_fourth_digit_are_not_lost_in_the_day(
    store: PostgresCallStore, database: str
) -> None:
    for number in range(10):
        call_id = f"tiny-{number}"
        await store.write([begun(call_id), cost(1, 40, call_id), ended(call_id)])

    day = await usage(database)
    assert (day["calls_made"], day["total_cost_usd"]) == (10, Decimal("0.0004"))


async def live_in(dsn: str, zone: str) -> None:
    await execute(dsn, f'UPDATE user_profiles SET preferences = \'{{"timezone": "{zone}"}}\'')


async def test_the_day_is_the_tenants_own(store: PostgresCallStore, database: str) -> None:
    await live_in(database, "Asia/Tokyo")
    await store.write([begun(), ended()])

    day = await usage(database)
    assert day["date"] == datetime(2026, 5, 29, tzinfo=UTC).date()


async def test_the_conversation_of_a_hosted_agent_is_named_and_never_forgotten(
    store: PostgresCallStore, database: str
) -> None:
    await store.write([begun(), ended(conversation_id="conv_1")])
    await store.write([ended()])

    [row] = await fetch(database, "SELECT elevenlabs_conversation_id AS id FROM call_sessions")
    assert row["id"] == "conv_1"


async def test_a_timezone_nobody_knows_means_utc(store: PostgresCallStore, database: str) -> None:
    await live_in(database, "Mars/Base")
    await store.write([begun(), ended()])

    day = await usage(database)
    assert day["date"] == datetime(2026, 5, 28, tzinfo=UTC).date()


STATUSES = [
    (["ringing", "answered", "completed"], "completed"),
    (["completed", "answered", "ringing"], "completed"),
    (["failed", "completed"], "failed"),
    (["completed", "failed"], "completed"),
    (["answered", "ringing"], "answered"),
    (["initiated"], "initiated"),
]


@pytest.mark.parametrize(("heard", "expected"), STATUSES)
async def test_a_status_never_moves_back(
    store: PostgresCallStore, pool: Pool, heard: list[str], expected: str
) -> None:
    await store.write([begun()])
    for at, status in enumerate(heard):
        await store.write([StatusChanged("call-1", status, status, START + at)])

    call = await PostgresCallRecords(pool).call("call-1")
    assert call is not None
    assert call.status == expected
    assert (call.completed_at is not None) == (expected in {"completed", "failed"})


async def test_the_calls_own_end_outranks_the_carriers_word(
    store: PostgresCallStore, pool: Pool
) -> None:
    failed = ended(status="failed", outcome="failed")
    carrier = StatusChanged("call-1", "completed", "completed", START + 5)
    await store.write([begun(), carrier, failed])
    await store.write([StatusChanged("call-1", "completed", "completed", START + 9)])

    call = await PostgresCallRecords(pool).call("call-1")
    assert call is not None
    assert call.status == "failed"


async def test_every_raw_status_is_kept(store: PostgresCallStore, database: str) -> None:
    await store.write(whole_call())

    rows = await fetch(
        database, "SELECT kind FROM call_events WHERE kind LIKE 'status.%' ORDER BY sequence"
    )
    assert [row["kind"] for row in rows] == [
        "status.ringing",
        "status.in-progress",
        "status.completed",
    ]


async def test_beginning_again_fills_gaps_and_loses_nothing(
    store: PostgresCallStore, pool: Pool
) -> None:
    await store.write([begun(carrier_call_id="", status="initiated")])
    await store.write([begun(carrier_call_id="CA7", status="answered", at=START + 50)])
    await store.write([begun(carrier_call_id="CA8", status="initiated")])

    call = await PostgresCallRecords(pool).call("call-1")
    assert call is not None
    assert (call.status, call.carrier_call_id) == ("answered", "CA7")
    assert (call.created_at, call.answered_at) == (instant(START), instant(START + 50))


def _nonsense_rows() -> list[Any]:
    return [
        pytest.param(begun("x", agent_id="nobody"), "agent_id", id="unknown agent"),
        pytest.param(begun("x", user_id=BERT.replace("b", "e")), "user_id", id="unknown tenant"),
        pytest.param(begun("x", user_id="not a uuid"), "22", id="tenant is no uuid"),
        pytest.param(begun("x", status="dreaming"), "status", id="unknown status"),
        pytest.param(begun("call-1", user_id=BERT), "another tenant", id="another tenant's call"),
        pytest.param(StatusChanged("nil", "ringing", "r", 1), "call_id", id="status of no call"),
        pytest.param(
            StatusChanged("call-1", "dreaming", "r", 1), "status", id="status of no meaning"
        ),
        pytest.param(line(9, "caller", "hi", "nil"), "call_id", id="line of no call"),
        pytest.param(TurnMeasured("nil", 1, 1, 1, 1, 1), "call_id", id="turn of no call"),
        pytest.param(cost(9, -1), "micro_usd", id="negative cost"),
        pytest.param(cost(9, 2**63), "22", id="cost beyond a bigint"),
        pytest.param(detected(9, severity="awful"), "severity", id="unknown severity"),
        pytest.param(detected(9, patterns_json="[{"), "22", id="broken JSON"),
        pytest.param(detected(9, risk=12.0), "22", id="risk out of range"),
        pytest.param(ended("nil"), "unknown call", id="end of no call"),
        pytest.param(ended("call-1", user_id=BERT), "unknown call", id="end by another tenant"),
    ]


@pytest.mark.parametrize(("bad", "reason"), _nonsense_rows())
async def test_a_row_the_schema_refuses_is_named_and_the_rest_can_be_written(
    store: PostgresCallStore, database: str, bad: CallRow, reason: str
) -> None:
    await store.write([begun()])
    before = await snapshot(database)
    rows = [line(1, "caller", "a"), bad, line(2, "caller", "b")]

    with pytest.raises(RowRejected) as caught:
        await store.write(rows)

    assert await snapshot(database) == before
    assert caught.value.indexes == (1,)
    assert (caught.value.kind, caught.value.call_id) == (type(bad).__name__, bad.call_id)
    assert reason in caught.value.reason
    await store.write([row for at, row in enumerate(rows) if at not in caught.value.indexes])
    assert len(await fetch(database, "SELECT FROM call_events WHERE call_id = 'call-1'")) == 2


async def test_all_rows_of_a_call_that_cannot_begin_are_named_at_once(
    store: PostgresCallStore, database: str
) -> None:
    good, bad = whole_call("good"), whole_call("bad")
    bad[0] = begun("bad", agent_id="nobody")
    rows = [row for pair in zip(bad, good, strict=True) for row in pair]

    with pytest.raises(RowRejected) as caught:
        await store.write(rows)

    assert caught.value.indexes == tuple(range(0, len(rows), 2))
    assert (caught.value.kind, caught.value.call_id) == ("SessionBegun", "bad")
    assert str(caught.value).startswith("SessionBegun of call bad: violates")
    assert "12 more rows" in str(caught.value)
    await store.write(good)


async def test_a_rejection_does_not_quote_the_row(store: PostgresCallStore) -> None:
    with pytest.raises(RowRejected) as caught:
        await store.write([begun(), detected(1, segments_json='["my pin is 4711", ')])

    assert "4711" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_characters_that_postgres_cannot_hold_are_replaced(
    store: PostgresCallStore, pool: Pool
) -> None:
    awkward = [
        line(1, "caller", "a\0b \ud83d end"),
        detected(2, segments_json='["a\\u0000b"]', keywords=("x\0y",)),
        ended(),
    ]
    await store.write([begun(), *awkward])

    call = await PostgresCallRecords(pool).call("call-1")
    assert call is not None
    [said] = json.loads(call.conversation_data)["transcripts"]
    assert said["text"] == "a\ufffdb ? end"
    [detection] = await PostgresCallRecords(pool).detections("call-1")
    assert (detection.segments, detection.keywords) == ('["a\ufffdb"]', ("x\ufffdy",))


async def test_nothing_to_write_needs_no_database() -> None:
    pool = await _pool_without_server()
    await PostgresCallStore(pool).write([])


async def test_a_lost_database_is_worth_another_try() -> None:
    pool = await _pool_without_server()
    with pytest.raises(StoreUnavailable):
        await PostgresCallStore(pool).write([begun()])


async def _pool_without_server() -> Pool:
    raw = asyncpg.create_pool(host="/nowhere", user="postgres", min_size=0, timeout=1)
    return Pool(await raw, acquire_timeout_s=1)


async def test_a_missing_table_is_a_bug_and_says_so(pool: Pool, database: str) -> None:
    await add_tenants(pool)
    await execute(database, "DROP TABLE call_costs")
    with pytest.raises(asyncpg.UndefinedTableError):
        await PostgresCallStore(pool).write([begun(), cost(1, 1)])


async def test_two_writers_of_the_same_calls_do_not_get_in_each_others_way(
    store: PostgresCallStore, database: str
) -> None:
    calls = [f"call-{number}" for number in range(8)]
    await store.write([begun(call_id) for call_id in calls])
    forwards = [row for call_id in calls for row in whole_call(call_id)]
    backwards = [row for call_id in reversed(calls) for row in whole_call(call_id)]

    await asyncio.gather(*(store.write(rows) for rows in (forwards, backwards) * 2))

    day = await usage(database)
    assert (day["calls_made"], day["total_cost_micro_usd"]) == (8, 8 * 12_940)


async def test_works_without_prepared_statements(database: str) -> None:
    pool = await open_pool(database, statement_cache=0)
    try:
        await add_tenants(pool)
        await PostgresCallStore(pool).write(whole_call())
        await PostgresCallStore(pool).write(whole_call())
        assert (await PostgresCallRecords(pool).calls_of(ANNA))[0].status == "completed"
    finally:
        await pool.close()
