"""Warm transfers with a carrier that does not always answer: nobody is left on hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from voice_server.twilio.desk import Attempt, Seat, Standing
from voice_server.twilio.http import TwilioUnavailable
from voice_server.twilio.resources import CarrierCall
from voice_server.twilio.rest import CallOrder
from voice_server.twilio.transfer import Transfers, WarmOrder

DECIDE_S = 30.0
DONE_AND_UNTOLD = TwilioUnavailable("no answer", sent=True)
NOT_DONE = TwilioUnavailable("503", sent=False)
CALL = Attempt("call-1", 1)


class FakeSwitchboard:
    """Does what it is asked for at once, unless the script of that deed has an error next."""

    def __init__(self, **scripts: list[TwilioUnavailable | None]) -> None:
        self.deeds: list[str] = []
        self.fetched: Callable[[], None] = lambda: None  # the caller's webhook comes in
        self.caller_is_there = True
        self._scripts = scripts

    async def _do(self, deed: str, takes_s: float = 0.01) -> None:
        await asyncio.sleep(takes_s)
        script = self._scripts.get(deed, [])
        error = script.pop(0) if script else None
        if error is None or error.sent:
            self.deeds.append(deed)
        if self.deeds[-1:] == ["fetch"]:
            asyncio.get_running_loop().call_later(0.1, self.fetched)
        if error is not None:
            raise error

    async def create_call(self, order: CallOrder) -> CarrierCall:
        await self._do("ring")
        return CarrierCall(sid="CA-human", status="queued")

    async def hang_up(self, call_sid: str) -> bool:
        await self._do("hang up")
        return True

    async def redirect(self, call_sid: str, url: str) -> bool:
        await self._do("fetch")
        return self.caller_is_there

    async def run(self, call_sid: str, twiml: str) -> bool:
        await self._do("say sorry", takes_s=1.0)
        return True


class FakeBook:
    """What all processes know; `word` may be said by another one."""

    def __init__(self) -> None:
        self.word = Standing.RINGING
        self.humans: list[str] = []

    async def rung(self, attempt: Attempt, human_id: str) -> None:
        self.humans.append(human_id)

    async def standing(self, attempt: Attempt) -> Standing:
        return self.word

    async def moved(self, attempt: Attempt, to: Standing, *, otherwise: Standing) -> Standing:
        if self.word is Standing.RINGING:
            self.word = to
        return self.word

    async def missed(self, attempt: Attempt) -> Standing:
        return await self.moved(attempt, Standing.MISSED, otherwise=Standing.MISSED)


def order(call_id: str = "call-1") -> WarmOrder:
    seat = Seat(Attempt(call_id, 1), 1_000)
    return WarmOrder(seat, f"CA-{call_id}", "+12025550199", "+12025550100", "A caller.")


class Office:
    """Transfers, whoever they work with, and what the call of the first one has heard."""

    def __init__(self, **scripts: list[TwilioUnavailable | None]) -> None:
        self.carrier = FakeSwitchboard(**scripts)
        self.book = FakeBook()
        self.heard: list[Standing] = []
        self.transfers = Transfers(
            self.carrier, "https://voice.localhost", self.book, decide_s=DECIDE_S
        )
        self.carrier.fetched = lambda: self.transfers.fetched(CALL)

    def begin(self, call_id: str = "call-1") -> None:
        self.transfers.begin(order(call_id), self.heard.append)


async def declined(office: Office) -> list[str]:
    """A human hangs up without a key; returns what the carrier has done after a while."""
    office.begin()
    await asyncio.sleep(5)
    office.transfers.hung_up(CALL)
    await asyncio.sleep(60)
    await office.transfers.close()
    return office.carrier.deeds


@pytest.mark.parametrize(
    ("scripts", "deeds"),
    [
        ({}, ["ring", "fetch", "hang up"]),
        ({"fetch": [NOT_DONE, NOT_DONE]}, ["ring", "fetch", "hang up"]),
        ({"hang up": [NOT_DONE, NOT_DONE]}, ["ring", "fetch", "hang up"]),
        ({"fetch": [NOT_DONE] * 9}, ["ring", "hang up"]),
    ],
    ids=["answers", "does not fetch at first", "does not hang up at first", "never fetches"],
)
def test_a_carrier_is_asked_until_it_answers_and_for_each_deed_alone(virtual, scripts, deeds):
    async def scene() -> None:
        office = Office(**scripts)
        assert await declined(office) == deeds
        assert office.heard == []
        assert (office.book.word, office.book.humans) == (Standing.MISSED, ["CA-human"])

    virtual(scene())


def test_a_caller_who_is_back_is_not_fetched_from_the_agent_again(virtual):
    async def scene() -> None:
        deeds = await declined(Office(fetch=[DONE_AND_UNTOLD]))
        assert deeds == ["ring", "fetch", "hang up"]

    virtual(scene())


def test_a_caller_who_is_not_there_to_be_fetched_has_left_the_call(virtual):
    async def scene() -> None:
        office = Office()
        office.carrier.caller_is_there = False
        await declined(office)
        assert office.heard == [Standing.GONE]

    virtual(scene())


@pytest.mark.parametrize(
    ("word", "heard", "deeds"),
    [
        (Standing.TAKEN, [Standing.TAKEN], ["ring"]),
        (Standing.GONE, [Standing.GONE], ["ring"]),
        (Standing.MISSED, [], ["ring", "fetch", "hang up"]),
    ],
)
def test_what_the_carrier_told_another_process_counts_as_if_told_here(virtual, word, heard, deeds):
    async def scene() -> None:
        office = Office()
        office.begin()
        await asyncio.sleep(5)
        office.book.word = word
        await asyncio.sleep(5)
        assert office.heard == heard
        assert office.carrier.deeds == deeds
        assert await office.transfers.accept(CALL) is (word is Standing.TAKEN)
        await office.transfers.close()

    virtual(scene())


def test_a_human_accepts_once_and_may_say_so_twice(virtual):
    async def scene() -> None:
        office = Office()
        office.begin()
        await asyncio.sleep(5)
        for _ in range(2):
            assert await office.transfers.accept(CALL)
        await asyncio.sleep(60)
        assert await office.transfers.accept(CALL)
        assert office.heard == [Standing.TAKEN] * 2
        assert office.carrier.deeds == ["ring"]

    virtual(scene())


def test_a_human_who_accepts_a_caller_who_has_left_is_not_let_in(virtual):
    async def scene() -> None:
        office = Office()
        office.begin()
        await asyncio.sleep(5)
        office.book.word = Standing.GONE
        assert not await office.transfers.accept(CALL)
        assert office.heard == [Standing.GONE]
        await office.transfers.close()

    virtual(scene())


def test_a_server_that_closes_says_sorry_to_all_on_hold_together(virtual):
    async def scene() -> None:
        office = Office()
        calls = [f"call-{number}" for number in range(20)]
        for call_id in calls:
            office.begin(call_id)
        await asyncio.sleep(0.5)
        began = asyncio.get_running_loop().time()
        gone = await asyncio.gather(
            *(office.transfers.dismiss(call_id, patience_s=10) for call_id in calls)
        )
        assert [one.seat.attempt.call_id for one in gone] == calls
        deeds = office.carrier.deeds
        assert deeds.count("say sorry") == deeds.count("hang up") == 20
        assert asyncio.get_running_loop().time() - began < 2
        await asyncio.sleep(60)
        assert "fetch" not in deeds

    virtual(scene())


@pytest.mark.parametrize("accepts", [True, False])
def test_a_human_who_hears_the_whisper_of_a_closing_server_may_still_take_the_call(
    virtual, accepts
):
    async def scene() -> None:
        office = Office()
        office.begin()
        await asyncio.sleep(5)
        assert office.transfers.whisper(CALL) == "A caller."
        leaving = asyncio.ensure_future(office.transfers.dismiss("call-1", patience_s=10))
        await asyncio.sleep(4)
        assert not leaving.done()
        if accepts:
            assert await office.transfers.accept(CALL)
        assert (await leaving is None) is accepts
        assert ("say sorry" in office.carrier.deeds) is not accepts
        assert not await office.transfers.dismiss("call-2", patience_s=10)

    virtual(scene())


def test_a_caller_on_the_way_back_to_a_closing_server_hears_that_it_is_over(virtual):
    async def scene() -> None:
        office = Office(fetch=[NOT_DONE] * 9)
        office.begin()
        await asyncio.sleep(5)
        office.transfers.hung_up(CALL)
        await asyncio.sleep(1)
        assert await office.transfers.dismiss("call-1", patience_s=10)
        assert "say sorry" in office.carrier.deeds

    virtual(scene())
