"""Carrier's news of transfers that another process has begun, or that nobody has any more."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from db.transfers import TransferRow
from tests.test_transfer_book import CALL, ROW, SINCE_MS, MemoryStore
from tests.twilio.test_transfer import FakeSwitchboard
from voice_server.handovers import Handovers
from voice_server.late_costs import LateCosts
from voice_server.tariff import Tariff
from voice_server.transfer_book import TransferBook
from voice_server.twilio.desk import (
    Attempt,
    CarrierStatus,
    Dialled,
    HangUp,
    Seat,
    StatusChange,
)
from voice_server.twilio.transfer import Transfers

WARM = msgspec.structs.replace(ROW, whisper="A leak.", human_id="")
BLIND = msgspec.structs.replace(WARM, held_since_ms=None, whisper="")
NEWER = Attempt("call-1", 2)


def counter(row: TransferRow | None, *, rings: bool = True) -> tuple[Handovers, MemoryStore]:
    """Who puts callers through in a process that has none itself."""
    store = MemoryStore(row)
    costs = LateCosts(lambda _row: None, Tariff(), lambda: SINCE_MS / 1000)
    book = TransferBook(costs, store)
    transfers = Transfers(FakeSwitchboard(), "https://voice.localhost", book) if rings else None
    return Handovers("", costs, book, transfers), store


def human(status: CarrierStatus) -> StatusChange:
    return StatusChange("CA-h", status, -1)


async def test_a_human_is_told_and_let_in_by_any_process():
    handovers, store = counter(WARM)
    assert await handovers.whisper(CALL) == "A leak."
    assert await handovers.accept(CALL) == Seat(CALL, SINCE_MS)
    assert store.row.state == "taken"
    assert await handovers.whisper(CALL) == ""


@pytest.mark.parametrize("row", [None, WARM])
async def test_a_human_of_an_attempt_that_nobody_waits_in_comes_too_late(row):
    handovers, _ = counter(row)
    assert await handovers.whisper(NEWER) == ""
    if row is None:
        assert await handovers.accept(NEWER) is None


async def test_a_process_that_rings_nobody_lets_nobody_in():
    handovers, _ = counter(WARM, rings=False)
    assert await handovers.whisper(CALL) == ""
    assert await handovers.accept(CALL) is None


@pytest.mark.parametrize(
    ("row", "status", "stands"),
    [
        (WARM, CarrierStatus.RINGING, "ringing"),
        (WARM, CarrierStatus.IN_PROGRESS, "ringing"),  # a mailbox, perhaps
        (WARM, CarrierStatus.COMPLETED, "missed"),
        (WARM, CarrierStatus.NO_ANSWER, "missed"),
        (BLIND, CarrierStatus.IN_PROGRESS, "taken"),
        (BLIND, CarrierStatus.BUSY, "ringing"),  # the caller's own webhook tells
    ],
)
async def test_the_leg_of_a_human_tells_any_process_how_it_goes(row: Any, status, stands):
    handovers, store = counter(row)
    await handovers.human_moved(None, CALL, human(status))
    assert store.row.state == stands
    assert store.row.human_id == ("CA-h" if row.warm else "")


async def test_the_leg_of_an_earlier_human_tells_nothing_of_the_present_attempt():
    handovers, store = counter(msgspec.structs.replace(WARM, attempt=2))
    await handovers.human_moved(None, CALL, human(CarrierStatus.COMPLETED))
    assert store.row.state == "ringing"


@pytest.mark.parametrize(("answered", "stands"), [(True, "taken"), (False, "missed")])
async def test_a_caller_whose_process_is_gone_is_let_go_and_it_is_noted_why(answered, stands):
    handovers, store = counter(BLIND)
    assert await handovers.ended(None, CALL, Dialled(answered)) == HangUp()
    assert store.row.state == stands
