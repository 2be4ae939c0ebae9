"""What processes tell each other of transfers, and who ends the call of a dead one."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from db.errors import StoreUnavailable
from db.rows import CallRow, CostBooked
from db.transfers import TransferRow
from tests.runtime.fakes import FACTS
from voice_server.late_costs import LateCosts
from voice_server.tariff import Tariff
from voice_server.transfer_book import TransferBook
from voice_server.twilio.desk import Attempt, CarrierStatus, Seat, Standing, StatusChange
from voice_server.twilio.http import TwilioUnavailable

CALL = Attempt("call-1", 1)
SINCE_MS = 1_780_000_000_000
HELD_S = 70
ROW = TransferRow("call-1", 1, "CA1", "inbound", held_since_ms=SINCE_MS, human_id="CA-human")
OVER = StatusChange("CA1", CarrierStatus.COMPLETED, 200)


class MemoryStore:
    """One attempt, and what was made of its call; `down` = the database is."""

    def __init__(self, row: TransferRow | None = None, *, orphan: bool = True) -> None:
        self.row = row
        self.orphan = orphan
        self.due_s: float | None = 0.0
        self.closed: list[tuple[str, str, str]] = []
        self.down = False

    def _alter(self, **changes: Any) -> None:
        if self.down:
            raise StoreUnavailable("down")
        if self.row is not None:
            self.row = msgspec.structs.replace(self.row, **changes)

    async def begin(self, row: TransferRow, *, due_s: float) -> None:
        self._alter()
        self.row, self.due_s = row, due_s

    async def rung(self, call_id: str, attempt: int, human_id: str) -> None:
        self._alter(human_id=human_id)

    async def get(self, call_id: str) -> TransferRow | None:
        self._alter()
        return self.row

    async def over(self, carrier_call_id: str, ended_s: int, *, due_s: float) -> TransferRow | None:
        self._alter(ended_s=ended_s)
        return self.row

    async def move(self, call_id: str, attempt: int, state: str, *, due_s: float) -> str | None:
        self._alter(state=state)
        self.due_s = due_s
        return None if self.row is None else state

    async def settle(self, call_id: str, attempt: int) -> None:
        self._alter()
        self.due_s = None

    async def book(self, call_id: str, booked_ms: int) -> None:
        self._alter(booked_ms=booked_ms)

    async def claim_due(self, *, claim_s: float, limit: int) -> tuple[TransferRow, ...]:
        self._alter()
        return () if self.row is None or self.due_s is None else (self.row,)

    async def close(self, call_id: str, *, status: str, outcome: str, reason: str) -> bool:
        self.closed.append((status, outcome, reason))
        return self.orphan


class FakeCarrier:
    """Ends calls, if they are not over."""

    def __init__(self, *, on_hold: bool = True, fails: bool = False) -> None:
        self.ended: list[str] = []
        self.on_hold = on_hold
        self.fails = fails

    async def hang_up(self, call_sid: str) -> bool:
        self.ended.append(call_sid)
        return True

    async def run(self, call_sid: str, twiml: str) -> bool:
        if self.fails:
            raise TwilioUnavailable("503", sent=False)
        assert "nobody could take your call" in twiml
        self.ended.append(call_sid)
        return self.on_hold


class Shelf:
    """A book with its partners."""

    def __init__(
        self, row: TransferRow | None, carrier: FakeCarrier | None = None, *, orphan: bool = True
    ) -> None:
        self.rows: list[CallRow] = []
        self.store = MemoryStore(row, orphan=orphan)
        costs = LateCosts(self.rows.append, Tariff(), lambda: SINCE_MS / 1000 + HELD_S)
        self.book = TransferBook(costs, self.store, carrier)

    @property
    def booked(self) -> dict[str, int]:
        return {row.item: row.quantity for row in self.rows if isinstance(row, CostBooked)}


WARM_ENDS = [
    (Standing.RINGING, True, ("failed", "failed", "part_failed")),
    (Standing.RINGING, False, ("completed", "abandoned", "carrier_ended")),
    (Standing.MISSED, True, ("failed", "failed", "part_failed")),
    (Standing.GONE, False, ("completed", "abandoned", "carrier_ended")),
]


@pytest.mark.parametrize(("standing", "on_hold", "end"), WARM_ENDS)
async def test_a_caller_whose_process_died_is_told_and_their_call_is_closed(standing, on_hold, end):
    carrier = FakeCarrier(on_hold=on_hold)
    shelf = Shelf(msgspec.structs.replace(ROW, state=standing.value), carrier)
    await shelf.book.sweep()
    assert carrier.ended == ["CA1", "CA-human"]
    assert shelf.store.closed == [end]
    assert shelf.store.due_s is None
    assert shelf.booked == ({"twilio.conference.minutes": 2} if on_hold else {})


async def test_a_caller_who_talks_to_a_human_is_left_alone():
    carrier = FakeCarrier()
    shelf = Shelf(msgspec.structs.replace(ROW, state="taken"), carrier)
    await shelf.book.sweep()
    assert carrier.ended == []
    assert shelf.store.closed == [("completed", "handed_over", "transfer")]


@pytest.mark.parametrize(
    ("state", "outcome"),
    [("ringing", "handed_over"), ("taken", "handed_over"), ("missed", "failed")],
)
async def test_of_a_blind_transfer_no_news_are_good_news(state, outcome):
    carrier = FakeCarrier()
    blind = msgspec.structs.replace(ROW, held_since_ms=None, state=state)
    shelf = Shelf(blind, carrier)
    await shelf.book.sweep()
    assert carrier.ended == []
    assert [closed[1] for closed in shelf.store.closed] == [outcome]


async def test_a_carrier_that_does_not_answer_is_asked_again():
    carrier = FakeCarrier(fails=True)
    shelf = Shelf(ROW, carrier)
    await shelf.book.sweep()
    assert (shelf.store.closed, shelf.store.due_s) == ([], 0.0)
    carrier.fails = False
    await shelf.book.sweep()
    assert shelf.store.due_s is None


@pytest.mark.parametrize(
    ("booked_ms", "orphan", "minutes"),
    [
        (None, True, 4),  # whoever had the call is dead: all of it
        (None, False, 0),  # it books its line itself
        (61_000, False, 2),  # it has, until a human had the caller
    ],
)
async def test_the_callers_line_is_booked_once_whoever_had_the_call(booked_ms, orphan, minutes):
    row = msgspec.structs.replace(ROW, state="taken", booked_ms=booked_ms)
    shelf = Shelf(row, FakeCarrier(), orphan=orphan)
    shelf.book.over(OVER)
    await shelf.book.flush()
    await shelf.book.sweep()
    assert sum(shelf.booked.values()) == minutes


async def test_news_of_another_attempt_are_no_news():
    book = Shelf(ROW).book
    assert await book.get(Attempt("call-1", 2)) is None
    assert await book.standing(Attempt("call-1", 2)) is Standing.RINGING
    assert await book.get(CALL) == ROW


@pytest.mark.parametrize("has_store", [True, False])
async def test_without_a_database_a_process_goes_on_alone(has_store):
    shelf = Shelf(ROW)
    shelf.store.down = True
    book = shelf.book if has_store else TransferBook(LateCosts(shelf.rows.append, Tariff()))
    seat = Seat(CALL, SINCE_MS)
    await book.begun(seat, FACTS, warm=True, whisper="A leak.")
    await book.rung(CALL, "CA-human")
    assert await book.standing(CALL) is Standing.RINGING
    assert await book.missed(CALL) is Standing.MISSED
    assert await book.moved(CALL, Standing.TAKEN, otherwise=Standing.TAKEN) is Standing.TAKEN
    await book.settled(CALL)
    book.booked("call-1", 1)
    book.over(OVER)
    await book.flush()
    await book.sweep()
    assert shelf.rows == []


def test_every_so_often_what_is_due_is_seen_to(virtual):
    async def scene() -> None:
        shelf = Shelf(None, FakeCarrier())
        running = asyncio.ensure_future(shelf.book.run())
        await asyncio.sleep(1)
        shelf.store.row = ROW
        await asyncio.sleep(10)
        assert shelf.store.due_s is None
        running.cancel()
        await asyncio.wait([running])

    virtual(scene())
