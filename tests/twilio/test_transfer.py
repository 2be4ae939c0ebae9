"""Warm transfers with a carrier that does not always answer: nobody is left on hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from voice_server.twilio.http import TwilioUnavailable
from voice_server.twilio.resources import CarrierCall
from voice_server.twilio.rest import CallOrder
from voice_server.twilio.transfer import Transfers, WarmOrder

DECIDE_S = 30.0
DONE_AND_UNTOLD = TwilioUnavailable("no answer", sent=True)
NOT_DONE = TwilioUnavailable("503", sent=False)


class FakeSwitchboard:
    """Does what it is asked for at once, unless the script of that deed has an error next."""

    def __init__(self, **scripts: list[TwilioUnavailable | None]) -> None:
        self.deeds: list[str] = []
        self.fetched: Callable[[], None] = lambda: None  # the caller's webhook comes in
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
        return True

    async def run(self, call_sid: str, twiml: str) -> bool:
        await self._do("say sorry", takes_s=1.0)
        return True


def order(call_id: str = "call-1") -> WarmOrder:
    return WarmOrder(call_id, f"CA-{call_id}", "+12025550199", "+12025550100", "A caller.")


async def declined(carrier: FakeSwitchboard) -> list[str]:
    """A human hangs up without a key; returns what the carrier has done after a while."""
    transfers = Transfers(carrier, "https://voice.localhost", decide_s=DECIDE_S)
    carrier.fetched = lambda: transfers.fetched("call-1")
    transfers.begin(order())
    await asyncio.sleep(5)
    transfers.hung_up("call-1", "CA-human")
    await asyncio.sleep(60)
    await transfers.close()
    return carrier.deeds


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
        assert await declined(FakeSwitchboard(**scripts)) == deeds

    virtual(scene())


def test_a_caller_who_is_back_is_not_fetched_from_the_agent_again(virtual):
    async def scene() -> None:
        deeds = await declined(FakeSwitchboard(fetch=[DONE_AND_UNTOLD]))
        assert deeds == ["ring", "fetch", "hang up"]

    virtual(scene())


def test_a_server_that_stops_says_sorry_to_all_on_hold_together(virtual):
    async def scene() -> None:
        carrier = FakeSwitchboard()
        transfers = Transfers(carrier, "https://voice.localhost")
        for number in range(20):
            transfers.begin(order(f"call-{number}"))
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await transfers.close()
        assert carrier.deeds.count("say sorry") == carrier.deeds.count("hang up") == 20
        assert asyncio.get_running_loop().time() - began < 2

    virtual(scene())
