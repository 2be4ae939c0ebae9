"""Prices change while a server runs, and calls keep the ones they began with."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import PriceRow, StoreUnavailable, in_force
from voice_server.call import Rate
from voice_server.call.meter import Meter
from voice_server.tariff import Tariff

NOON = datetime(2027, 1, 1, 12, tzinfo=UTC)
ITEM, OTHER = "twilio.sms.segments", "a.b.tokens"
instants = st.integers(-5, 5).map(lambda hours: NOON + timedelta(hours=hours))
price_rows = st.builds(
    PriceRow,
    item=st.sampled_from([ITEM, OTHER, "c.d.requests"]),
    micro_usd=st.integers(0, 10**9),
    per=st.integers(1, 10**7),
    effective_from=instants,
)
histories = st.lists(price_rows, max_size=10, unique_by=lambda row: (row.item, row.effective_from))


def test_a_price_changes_in_the_middle_of_a_day() -> None:
    tariff = Tariff((PriceRow(ITEM, 7, 1, NOON - timedelta(days=400)), PriceRow(ITEM, 9, 1, NOON)))
    assert tariff.at(NOON - timedelta(microseconds=1)) == (Rate(ITEM, 7, 1),)
    assert tariff.at(NOON) == (Rate(ITEM, 9, 1),)
    assert tariff.at(NOON + timedelta(days=400)) == (Rate(ITEM, 9, 1),)
    assert tariff.at(NOON - timedelta(hours=1)) == (Rate(ITEM, 7, 1),)
    assert tariff.at(NOON - timedelta(days=500)) == ()


@given(histories, st.lists(instants, max_size=8))
def test_whatever_was_asked_before_the_rates_are_those_in_force(
    history: list[PriceRow], asked: list[datetime]
) -> None:
    tariff = Tariff(tuple(history))
    for instant in asked:
        expected = tuple(
            Rate(row.item, row.micro_usd, row.per) for row in in_force(history, instant)
        )
        assert tariff.at(instant) == expected


@given(histories, instants)
def test_one_price_an_item_is_in_force_and_it_is_the_latest_that_has_begun(
    history: list[PriceRow], instant: datetime
) -> None:
    chosen = in_force(history, instant)
    assert [row.item for row in chosen] == sorted({row.item for row in chosen})
    for row in history:
        if row.effective_from <= instant:
            (best,) = [one for one in chosen if one.item == row.item]
            assert best.effective_from >= row.effective_from
    assert all(row.effective_from <= instant for row in chosen)


def test_between_two_changes_nothing_is_worked_out_again() -> None:
    tariff = Tariff((PriceRow(ITEM, 7, 1, NOON), PriceRow(ITEM, 9, 1, NOON + timedelta(days=1))))
    assert tariff.at(NOON) is tariff.at(NOON + timedelta(hours=23))


def test_what_an_operator_sets_is_taken_up_and_a_lost_database_changes_nothing(
    virtual, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([(PriceRow(ITEM, 9, 1, NOON),), None, (PriceRow(ITEM, 11, 1, NOON),)])
    asked: list[float] = []

    async def read() -> tuple[PriceRow, ...]:
        asked.append(asyncio.get_running_loop().time())
        if (rows := next(answers)) is None:
            raise StoreUnavailable("gone")
        return rows

    async def run() -> list[tuple[Rate, ...]]:
        tariff = Tariff((PriceRow(ITEM, 7, 1, NOON),))
        keeping = asyncio.ensure_future(tariff.keep_current(read, every_s=60))
        seen = [tariff.at(NOON)]
        for _ in range(3):
            await asyncio.sleep(61)
            seen.append(tariff.at(NOON))
        keeping.cancel()
        await asyncio.wait([keeping])
        return seen

    assert virtual(run()) == [(Rate(ITEM, micro, 1),) for micro in (7, 9, 9, 11)]
    assert [later - sooner for sooner, later in pairwise(asked)] == [60, 60]
    assert "the former one stands" in caplog.text


@given(
    st.lists(st.tuples(st.sampled_from([ITEM, OTHER, "free.of.charge"]), st.integers(0, 10**7))),
    histories,
)
def test_bookings_of_a_call_add_up_to_each_items_total_to_the_micro_dollar(
    bookings: list[tuple[str, int]], history: list[PriceRow]
) -> None:
    rates = Tariff(tuple(history)).at(NOON)
    meter = Meter(rates)
    booked = sum(meter.book(item, quantity) for item, quantity in bookings)
    expected = 0
    for rate in rates:
        quantity = sum(amount for item, amount in bookings if item == rate.item)
        exact = quantity * rate.micro_usd
        worth = -(-exact // rate.per)
        assert 0 <= worth * rate.per - exact < rate.per
        expected += worth
    assert booked == meter.micro_usd == expected
