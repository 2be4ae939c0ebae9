"""Callers who are being put through: the first word stands, and what is due is seen to once."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from db import Pool, PostgresCallRecords, PostgresCallStore, PostgresTransfers, TransferRow
from db.rows import StatusChanged
from tests.db.tenants import ANNA, START, add_tenants, begun, cost, ended

ANSWERED = StatusChanged("call-1", "answered", "in-progress", START + 900)


def attempt(number: int = 1, **changes: Any) -> TransferRow:
    facts: dict[str, Any] = {"direction": "inbound", "held_since_ms": START, "whisper": "A leak."}
    return TransferRow("call-1", number, "CA-call-1", **(facts | changes))


@pytest.fixture
async def transfers(pool: Pool) -> PostgresTransfers:
    await add_tenants(pool)
    await PostgresCallStore(pool).write([begun(), ANSWERED])
    return PostgresTransfers(pool)


async def verdict(pool: Pool) -> tuple[str, str, str]:
    record = await PostgresCallRecords(pool).call("call-1")
    assert record is not None
    told = msgspec.json.decode(record.metadata)
    return record.status, told.get("outcome", ""), told.get("reason", "")


async def day(pool: Pool) -> tuple[int, int]:
    async with pool.server() as connection:
        row = await connection.fetchrow(
            "SELECT calls_made, calls_successful FROM usage_metrics WHERE user_id = $1", ANNA
        )
    return tuple(row)


async def test_an_attempt_is_found_by_its_call(transfers):
    await transfers.begin(attempt(), due_s=60)
    await transfers.rung("call-1", 1, "CA-human")
    await transfers.book("call-1", 61_000)
    stored = attempt(human_id="CA-human", booked_ms=61_000)
    assert await transfers.get("call-1") == stored
    assert await transfers.get("call-2") is None


async def test_a_caller_who_hangs_up_while_a_human_is_rung_is_gone(transfers):
    await transfers.begin(attempt(), due_s=60)
    gone = attempt(state="gone", ended_s=75)
    assert await transfers.over("CA-call-1", 75, due_s=0) == gone
    assert await transfers.claim_due(claim_s=60, limit=10) == (gone,)
    assert await transfers.over("CA-2", 75, due_s=0) is None


async def test_a_caller_who_hangs_up_on_a_human_was_put_through(transfers):
    await transfers.begin(attempt(), due_s=60)
    await transfers.move("call-1", 1, "taken", due_s=60)
    await transfers.settle("call-1", 1)
    over = await transfers.over("CA-call-1", 75, due_s=0)
    assert over == attempt(whisper="", state="taken", ended_s=75)
    assert await transfers.claim_due(claim_s=60, limit=10) == ()


async def test_a_call_that_is_not_stored_has_no_attempts(transfers):
    await transfers.begin(msgspec.structs.replace(attempt(), call_id="call-9"), due_s=60)
    assert await transfers.get("call-9") is None


async def test_the_newest_attempt_takes_the_place_of_the_one_before(transfers):
    await transfers.begin(attempt(1), due_s=60)
    await transfers.rung("call-1", 1, "CA-first")
    await transfers.move("call-1", 1, "missed", due_s=60)
    for number in (2, 1):  # the first one is told again, too late
        await transfers.begin(attempt(number), due_s=60)
    await transfers.rung("call-1", 1, "CA-first")
    assert await transfers.move("call-1", 1, "taken", due_s=60) is None
    assert await transfers.get("call-1") == attempt(2)


async def test_one_attempt_told_twice_does_not_begin_again(transfers):
    await transfers.begin(attempt(), due_s=60)
    await transfers.move("call-1", 1, "taken", due_s=60)
    await transfers.begin(attempt(), due_s=60)
    assert await transfers.get("call-1") == attempt(state="taken")


async def test_the_first_word_about_an_attempt_stands(transfers):
    await transfers.begin(attempt(), due_s=60)
    words = ["taken", "missed", "gone"]
    told = await asyncio.gather(
        *(transfers.move("call-1", 1, word, due_s=60) for word in words * 3)
    )
    assert len(set(told)) == 1
    assert (await transfers.get("call-1")).state == told[0]


async def test_what_is_due_is_seen_to_by_one_and_by_the_next_when_that_one_dies(transfers):
    await transfers.begin(attempt(), due_s=60)
    assert await transfers.claim_due(claim_s=60, limit=10) == ()
    await transfers.move("call-1", 1, "missed", due_s=0)
    claims = await asyncio.gather(*(transfers.claim_due(claim_s=0.2, limit=10) for _ in range(5)))
    assert [row.state for claim in claims for row in claim] == ["missed"]
    async with asyncio.timeout(30):
        while not await transfers.claim_due(claim_s=60, limit=10):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_what_is_settled_is_never_due_and_forgets_what_the_call_was_about(transfers):
    await transfers.begin(attempt(), due_s=0)
    await transfers.settle("call-1", 1)
    assert await transfers.move("call-1", 1, "missed", due_s=0) == "ringing"  # too late
    assert await transfers.claim_due(claim_s=60, limit=10) == ()
    assert (await transfers.get("call-1")).whisper == ""


@pytest.mark.parametrize(
    ("status", "outcome", "successful"),
    [("completed", "handed_over", 1), ("failed", "failed", 0), ("completed", "abandoned", 1)],
)
async def test_a_call_whose_process_died_gets_its_last_row_once(
    transfers, pool, status, outcome, successful
):
    await PostgresCallStore(pool).write([cost(2, 8_500)])
    await transfers.begin(attempt(), due_s=60)
    end = {"status": status, "outcome": outcome, "reason": "part_failed"}
    assert [await transfers.close("call-1", **end) for _ in range(2)] == [True, False]
    assert (await transfers.get("call-1")).booked_ms == 0  # nobody will book the line
    assert await verdict(pool) == (status, outcome, "part_failed")
    assert await day(pool) == (1, successful)
    record = await PostgresCallRecords(pool).call("call-1")
    assert record.cost_usd is not None
    assert record.duration_ms > 0


async def test_the_word_of_the_process_that_had_the_call_stands(transfers, pool):
    await PostgresCallStore(pool).write([ended()])
    await transfers.begin(attempt(), due_s=60)
    for outcome in ("failed", "handed_over"):
        end = {"status": "failed", "outcome": outcome, "reason": "part_failed"}
        assert not await transfers.close("call-1", **end)
    assert (await transfers.get("call-1")).booked_ms is None
    assert await verdict(pool) == ("completed", "booked", "agent_goodbye")


async def test_a_transfer_that_came_to_nothing_after_its_process_had_gone_is_put_right(
    transfers, pool
):
    await PostgresCallStore(pool).write([ended(outcome="handed_over", reason="transfer")])
    await transfers.close("call-1", status="failed", outcome="failed", reason="part_failed")
    assert await verdict(pool) == ("failed", "failed", "part_failed")
    assert await day(pool) == (1, 0)
    assert (await PostgresCallRecords(pool).call("call-1")).duration_ms == 61_500


async def test_an_order_that_stands_outranks_a_dead_process(transfers, pool):
    async with pool.server() as connection:
        await connection.execute(
            "INSERT INTO orders (order_id, customer_name, customer_phone, service_type, vendor_id, "
            "call_session_id) VALUES ('ORD-1', 'c', '1', 'other', $1, 'call-1')",
            ANNA,
        )
    await transfers.close("call-1", status="failed", outcome="failed", reason="part_failed")
    assert await verdict(pool) == ("completed", "booked", "part_failed")
