"""What a call costs, in exact micro-dollars."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call.meter import Meter, started_minutes
from voice_server.call.policy import Rate

RATES = st.builds(Rate, st.just("item"), st.integers(0, 10**7), st.integers(1, 10**6))
QUANTITIES = st.lists(st.integers(0, 10**6), max_size=30)


@pytest.mark.parametrize(
    ("rate", "quantity", "micro_usd"),
    [
        ((3, 1), 5, 15),
        ((3, 2), 1, 2),  # 1.5, rounded up
        ((3, 2), 2, 3),
        ((1, 1_000_000), 1, 1),  # a started micro-dollar counts
        ((1, 1_000_000), 1_000_000, 1),
        ((1, 1_000_000), 1_000_001, 2),
        ((0, 1), 1_000, 0),
        ((3, 2), 0, 0),
        ((8_500, 1), 2, 17_000),
    ],
)
def test_a_booking_is_worth_its_rate_rounded_up(
    rate: tuple[int, int], quantity: int, micro_usd: int
):
    meter = Meter((Rate("item", *rate),))
    assert meter.book("item", quantity) == micro_usd
    assert meter.micro_usd == micro_usd


def test_an_item_without_a_rate_costs_nothing():
    meter = Meter((Rate("item", 3, 1),))
    assert meter.book("other", 1_000) == 0
    assert meter.micro_usd == 0


def test_items_add_up_each_at_its_own_rate():
    meter = Meter((Rate("a", 3, 2), Rate("b", 10, 1)))
    added = [meter.book(item, 1) for item in "abab"]
    assert added == [2, 10, 1, 10]
    assert meter.micro_usd == 23


@given(RATES, QUANTITIES)
def test_many_small_bookings_cost_what_one_big_one_does(rate: Rate, quantities: list[int]):
    small, big = Meter((rate,)), Meter((rate,))
    added = [small.book("item", quantity) for quantity in quantities]
    assert sum(added) == small.micro_usd == big.book("item", sum(quantities))


@given(RATES, QUANTITIES)
def test_the_cost_never_falls(rate: Rate, quantities: list[int]):
    meter = Meter((rate,))
    for quantity in quantities:
        before = meter.micro_usd
        assert meter.book("item", quantity) >= 0
        assert meter.micro_usd >= before


@given(RATES, QUANTITIES)
def test_the_cost_is_less_than_a_micro_dollar_above_the_exact_worth(
    rate: Rate, quantities: list[int]
):
    meter = Meter((rate,))
    for quantity in quantities:
        meter.book("item", quantity)
    assert meter.micro_usd == math.ceil(Fraction(sum(quantities) * rate.micro_usd, rate.per))


@pytest.mark.parametrize(
    ("ms", "minutes"),
    [(0, 1), (1, 1), (59_999, 1), (60_000, 1), (60_001, 2), (120_000, 2), (3_600_001, 61)],
)
def test_every_started_minute_counts_and_an_answered_call_at_least_one(ms: int, minutes: int):
    assert started_minutes(ms) == minutes
