"""What the carrier tells late is booked once per occasion, beside the call's own bookings."""

from __future__ import annotations

from db.rows import CallRow, CostBooked
from voice_server.late_costs import LateCosts
from voice_server.tariff import Tariff


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
