"""Intents: one request each, one open call between two numbers, and an end that stands."""

from __future__ import annotations

import asyncio

import pytest

from db import (
    AlreadyDialling,
    NewDial,
    Pool,
    PostgresCallRecords,
    PostgresCallStore,
    PostgresDials,
    RowRejected,
)
from db.rows import AnswerDetected, StatusChanged
from tests.db.tenants import ANNA, BERT, START, add_tenants, begun, ended

THEM, US = "+12025550177", "+12025550111"


def dial(call_id: str = "call-1", to: str = THEM, **changes: str) -> NewDial:
    facts = {"user_id": ANNA, "agent_id": "agent-anna", "to_number": to, "from_number": US}
    return NewDial(call_id=call_id, **(facts | changes))


@pytest.fixture
async def dials(pool: Pool) -> PostgresDials:
    await add_tenants(pool)
    return PostgresDials(pool)


async def state_of(dials: PostgresDials, call_id: str = "call-1") -> tuple[str, str, str]:
    row = await dials.get(call_id)
    assert row is not None
    return row.state, row.status, row.raw_status


async def test_an_intent_comes_with_its_session_and_may_be_repeated(dials, pool):
    first = await dials.intend(dial())
    assert (first.state, first.carrier_call_id) == ("intended", "")
    assert await dials.intend(dial()) == first
    session = await PostgresCallRecords(pool).call("call-1")
    assert session is not None
    assert (session.status, session.to_number, session.from_number) == ("initiated", THEM, US)
    assert '"direction": "outbound"' in session.metadata


async def test_the_right_to_send_the_request_is_given_once(dials):
    await dials.intend(dial())
    taken = await asyncio.gather(*(dials.request("call-1") for _ in range(5)))
    assert sorted(taken) == [False] * 4 + [True]
    assert not await dials.withdraw("call-1")


async def test_two_calls_between_two_numbers_are_not_open_at_a_time(dials):
    await dials.intend(dial())
    with pytest.raises(AlreadyDialling):
        await dials.intend(dial("call-2"))
    await dials.intend(dial("call-3", to="+12025550178"))
    await dials.finish("call-1", "failed", "busy")
    await dials.intend(dial("call-2"))


@pytest.mark.parametrize(
    "wrong",
    [
        dial(agent_id="agent-bert"),
        dial(to="020 555"),
        dial(user_id=BERT, agent_id="agent-bert", to="+12025550178"),
    ],
)
async def test_what_does_not_fit_is_refused_without_a_trace(dials, wrong):
    if wrong.user_id == BERT:
        await dials.intend(dial())  # the id is Anna's
    with pytest.raises(RowRejected) as refused:
        await dials.intend(wrong)
    assert wrong.to_number not in str(refused.value)


async def test_the_carriers_id_is_bound_once_by_whoever_knows_it_first(dials):
    await dials.intend(dial())
    await dials.request("call-1")
    placed = await dials.place("call-1", "CA1")
    assert placed is not None
    assert placed.state == "placed"
    assert await dials.place("call-1", "CA1") is not None
    assert await dials.place("call-1", "CA2") is None
    assert await dials.place("unknown", "CA3") is None
    await dials.intend(dial("call-2", to="+12025550178"))
    assert await dials.place("call-2", "CA1") is None


async def test_a_doubtful_request_is_placed_when_the_carrier_tells_of_it(dials):
    await dials.intend(dial())
    await dials.request("call-1")
    await dials.doubt("call-1")
    assert (await state_of(dials))[0] == "indeterminate"
    await dials.place("call-1", "CA1")
    await dials.doubt("call-1")
    assert (await state_of(dials))[0] == "placed"


async def test_the_first_end_that_is_told_stands_and_closes_the_session(dials, pool):
    await dials.intend(dial())
    await dials.request("call-1")
    await dials.finish("call-1", "failed", "no-answer", duration_ms=0)
    await dials.finish("call-1", "completed", "completed", duration_ms=9_000)
    assert await state_of(dials) == ("finished", "failed", "no-answer")
    session = await PostgresCallRecords(pool).call("call-1")
    assert session is not None
    assert session.status == "failed"
    assert session.completed_at is not None
    async with pool.server() as connection:
        assert await connection.fetchval("SELECT calls_made FROM usage_metrics") == 1


async def test_only_what_was_never_requested_is_withdrawn(dials):
    await dials.intend(dial())
    assert await dials.withdraw("call-1")
    assert await state_of(dials) == ("finished", "cancelled", "never-requested")
    assert not await dials.request("call-1")


@pytest.mark.parametrize("session_first", [True, False])
async def test_a_call_settles_when_both_it_and_the_carrier_have_ended(dials, pool, session_first):
    store = PostgresCallStore(pool)
    await dials.intend(dial())
    await dials.request("call-1")
    await dials.place("call-1", "CA1")
    rows = [
        [ended("call-1")],
        [StatusChanged("call-1", "completed", "completed", START + 9_000)],
    ]
    await store.write([begun("call-1", direction="outbound", status="ringing")])
    await store.write([StatusChanged("call-1", "answered", "in-progress", START)])
    first, second = rows if session_first else reversed(rows)
    await store.write(first)
    assert len(await dials.claim_unsettled(unchecked_s=0, placed_s=0, limit=9)) == 1
    await store.write(second)
    assert await state_of(dials) == ("finished", "completed", "completed")
    assert await dials.claim_unsettled(unchecked_s=0, placed_s=0, limit=9) == ()
    session = await PostgresCallRecords(pool).call("call-1")
    assert session is not None
    assert '"outcome": "booked"' in session.metadata


async def test_who_answered_is_kept_twice_over(dials, pool):
    await dials.intend(dial())
    row = AnswerDetected("call-1", "machine_start", 2_300, START)
    await PostgresCallStore(pool).write([row, row])
    standing = await dials.get("call-1")
    assert standing is not None
    assert standing.answered_by == "machine_start"
    async with pool.server() as connection:
        data = await connection.fetch("SELECT data FROM call_events WHERE kind = 'answered_by'")
    assert len(data) == 1


async def test_a_claim_is_not_given_to_two(dials):
    for number in range(6):
        await dials.intend(dial(f"call-{number}", to=f"+1202555018{number}"))
    first, second = await asyncio.gather(
        dials.claim_unsettled(unchecked_s=0, placed_s=0, limit=3),
        dials.claim_unsettled(unchecked_s=0, placed_s=0, limit=3),
    )
    assert not {row.call_id for row in first} & {row.call_id for row in second}
    assert await dials.claim_unsettled(unchecked_s=60, placed_s=60, limit=9) == ()


async def test_a_placed_call_is_left_alone_longer_than_a_doubtful_one(dials):
    await dials.intend(dial("call-1"))
    await dials.intend(dial("call-2", to="+12025550178"))
    for call_id in ("call-1", "call-2"):
        await dials.request(call_id)
    await dials.place("call-1", "CA1")
    due = await dials.claim_unsettled(unchecked_s=0, placed_s=60, limit=9)
    assert [row.call_id for row in due] == ["call-2"]


async def test_a_price_is_asked_for_until_it_is_known(dials):
    await dials.intend(dial())
    await dials.request("call-1")
    await dials.place("call-1", "CA1")
    assert await dials.claim_unpriced(unchecked_s=0, limit=9) == ()
    await dials.finish("call-1", "completed", "completed")
    (row,) = await dials.claim_unpriced(unchecked_s=0, limit=9)
    await dials.price(row.call_id, 14_000)
    assert await dials.claim_unpriced(unchecked_s=0, limit=9) == ()
    standing = await dials.get("call-1")
    assert standing is not None
    assert standing.price_micro_usd == 14_000
