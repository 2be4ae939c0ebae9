from __future__ import annotations

from datetime import timedelta

import pytest

from db import Pool, PostgresCallRecords, PostgresCallStore
from tests.db.tenants import ANNA, BERT, START, add_tenants, begun, detected, whole_call


@pytest.fixture
async def records(pool: Pool) -> PostgresCallRecords:
    await add_tenants(pool)
    calls = [begun(f"call-{number}", at=START + number * 1_000) for number in range(5)]
    await PostgresCallStore(pool).write([*calls, begun("call-bert", BERT)])
    return PostgresCallRecords(pool)


async def test_a_tenants_calls_come_newest_first_page_by_page(records: PostgresCallRecords) -> None:
    first = await records.calls_of(ANNA, limit=2)
    rest = await records.calls_of(ANNA, before=first[-1].created_at)

    assert [call.call_id for call in first + rest] == [f"call-{n}" for n in (4, 3, 2, 1, 0)]
    assert first[0].created_at - rest[-1].created_at == timedelta(seconds=4)


async def test_a_call_is_its_tenants_own(records: PostgresCallRecords) -> None:
    assert await records.call_of(BERT, "call-1") is None
    mine = await records.call_of(ANNA, "call-1")
    assert mine == await records.call("call-1")
    assert [call.call_id for call in await records.calls_of(BERT)] == ["call-bert"]


async def test_a_call_is_found_by_the_carriers_id(records: PostgresCallRecords) -> None:
    found = await records.by_carrier_id("CA-call-3")
    assert found is not None
    assert found.call_id == "call-3"
    assert await records.by_carrier_id("CA-unknown") is None


async def test_what_is_not_there_reads_as_empty(records: PostgresCallRecords) -> None:
    call = await records.call("call-1")
    assert call is not None
    assert (call.campaign_id, call.answered_at, call.duration_ms) == ("", None, 0)
    assert await records.call("nowhere") is None
    assert await records.detections("call-1") == ()
    assert await records.cost_micro_usd("call-1") == {}


async def test_detections_come_in_the_order_of_time(
    records: PostgresCallRecords, pool: Pool
) -> None:
    rows = [detected(9, severity="critical"), detected(2, severity="low"), *whole_call()]
    await PostgresCallStore(pool).write(rows)

    found = await records.detections("call-1")
    assert [detection.severity for detection in found] == ["low", "high", "critical"]
