"""What the carrier tells late is booked once per occasion, beside the call's own bookings."""

from __future__ import annotations

import pytest

from db.rows import CallRow, CostBooked
from voice_server.late_costs import LateCosts
from voice_server.tariff import Tariff
from voice_server.twilio.desk import Attempt, Seat


def booked(*occasions: tuple[str, str, int, str]) -> list[CostBooked]:
    rows: list[CallRow] = []
    costs = LateCosts(rows.append, Tariff(), lambda: 1_700_000_000.0)
    for occasion in occasions:
        costs.book(*occasion)
    return [row for row in rows if isinstance(row, CostBooked)]


def test_the_same_occasion_has_the_same_number_however_often_and_wherever_it_is_told():
    occasion = ("call-1", "twilio.amd.calls", 1, "CA1")
    assert len({row.sequence for row in booked(occasion, occasion) + booked(occasion)}) == 1


def test_other_items_and_other_occasions_have_numbers_of_their_own():
    rows = booked(
        ("call-1", "twilio.amd.calls", 1, "CA1"),
        ("call-1", "twilio.amd.calls", 1, "CA2"),
        ("call-1", "twilio.recording.minutes", 1, "CA1"),
    )
    assert len({row.sequence for row in rows}) == 3
    assert all(1 << 61 <= row.sequence < 1 << 63 for row in rows)  # far beyond a call's own


def test_an_item_without_a_price_is_kept_and_costs_nothing():
    (row,) = booked(("call-1", "twilio.new.thing", 3, "x"))
    assert (row.quantity, row.micro_usd) == (3, 0)


NOW_S = 1_700_000_000


@pytest.mark.parametrize(
    ("booked_ms", "ended_s", "more"),
    [(0, 61, 2), (59_000, 61, 1), (61_000, 61, None), (61_000, 250, 3), (0, 0, 1)],
)
def test_a_line_is_booked_up_to_the_carriers_last_word(booked_ms, ended_s, more):
    rows: list[CallRow] = []
    costs = LateCosts(rows.append, Tariff())
    costs.book_line("call-1", "inbound", booked_ms, ended_s, "CA1")
    booked = [(row.item, row.quantity) for row in rows if isinstance(row, CostBooked)]
    assert booked == ([("twilio.voice_inbound.minutes", more)] if more else [])


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 1), (60, 1), (61, 2)])
def test_who_leaves_a_conference_pays_for_every_minute_begun_however_often_it_is_told(
    seconds, minutes
):
    rows: list[CallRow] = []
    costs = LateCosts(rows.append, Tariff(), lambda: NOW_S)
    seat = Seat(Attempt("call-1", 1), (NOW_S - seconds) * 1000)
    for leg in ("CA-caller", "CA-human", "CA-human"):
        costs.book_stay(seat, leg)
    stays = {row.sequence: row for row in rows if isinstance(row, CostBooked)}
    assert [row.quantity for row in stays.values()] == [minutes] * 2
    assert {row.item for row in stays.values()} == {"twilio.conference.minutes"}
