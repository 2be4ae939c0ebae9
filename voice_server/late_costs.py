"""Costs that the carrier tells of beside the call itself, often after its end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from db.rows import CallRow, CostBooked
from voice_server.call import Rate
from voice_server.call.meter import started_minutes
from voice_server.ports import CallId
from voice_server.tariff import Tariff
from voice_server.twilio.desk import Seat

CONFERENCE_ITEM: Final = "twilio.conference.minutes"  # of each who is in it


class LateCosts:
    """Books them; `rows` takes the rows of all calls."""

    __slots__ = ("_clock", "_rows", "_tariff")

    def __init__(
        self,
        rows: Callable[[CallRow], None],
        tariff: Tariff,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rows = rows
        self._tariff = tariff
        self._clock = clock

    def rates(self) -> tuple[Rate, ...]:
        """The prices in force."""
        return self._tariff.at(datetime.fromtimestamp(self._clock(), UTC))

    def now_ms(self) -> int:
        """Now, in ms since the Unix epoch."""
        return int(self._clock() * 1000)

    def book_line(
        self, call_id: CallId, direction: str, booked_ms: int, ended_s: int, key: str
    ) -> None:
        """Book what the carrier's last word on a call's line has beyond what was booked."""
        more = started_minutes(ended_s * 1000) - (started_minutes(booked_ms) if booked_ms else 0)
        if more > 0:
            self.book(call_id, f"twilio.voice_{direction}.minutes", more, key)

    def book_stay(self, seat: Seat, carrier_call_id: str) -> None:
        """Book what somebody's stay in a conference has cost, who leaves it now."""
        minutes = started_minutes(max(1, self.now_ms() - seat.since_ms))
        key = f"{seat.room}/{carrier_call_id}"
        self.book(seat.attempt.call_id, CONFERENCE_ITEM, minutes, key)

    def book(self, call_id: CallId, item: str, quantity: int, key: str) -> None:
        """Book `quantity` of an item; `key` names the occasion: told again it changes nothing."""
        rate = next((rate for rate in self.rates() if rate.item == item), None)
        cost = 0 if rate is None else -(-quantity * rate.micro_usd // rate.per)
        # The call numbers its own bookings from 1; these stand beside them.
        digest = hashlib.sha256(f"{item}/{key}".encode()).digest()
        sequence = (int.from_bytes(digest[:8], "big") >> 2) + (1 << 61)
        self._rows(CostBooked(call_id, sequence, item, quantity, cost, self.now_ms()))
