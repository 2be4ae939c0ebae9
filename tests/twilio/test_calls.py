"""What we ask of Twilio about calls, recordings and numbers, against the simulated one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.conftest import Virtual
from voice_server.call.events import Consumed
from voice_server.errors import ServiceRejected, ServiceUnavailable
from voice_server.late_costs import LateCosts
from voice_server.limits import Limits
from voice_server.tariff import Tariff
from voice_server.testing import wav
from voice_server.testing.caller import Monologue, SilentCaller
from voice_server.testing.faults import DialResult, Pickup
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.twilio import Callee, TwilioLab, open_twilio
from voice_server.transfer_book import TransferBook
from voice_server.twilio.desk import Attempt, Seat, Standing
from voice_server.twilio.http import TwilioRejected, TwilioUnavailable
from voice_server.twilio.resources import CarrierCall, rfc2822
from voice_server.twilio.rest import CallOrder, TwilioRest
from voice_server.twilio.segments import segments
from voice_server.twilio.transfer import Transfers, WarmOrder

OURS, THEIRS, HUMAN = "+12025550100", "+12025550188", "+12025550199"
WAIT = "<Response><Pause length='60'/></Response>"
_LIMITS = Limits(first_byte_s=0.2, between_s=0.2, total_s=0.4)


@asynccontextmanager
async def carrier(**options: Any) -> AsyncIterator[tuple[TwilioLab, TwilioRest]]:
    quick = Callee(
        pickup=Pickup(after_s=0.01), caller=SilentCaller(50), dial=DialResult(duration_s=60)
    )
    chosen = {"callees": lambda _form: quick, "calls_per_s": 1000.0, "price_after_s": 0.0} | options
    async with open_twilio(**chosen) as lab:
        rest = TwilioRest(lab.account_sid, lab.auth_token, lab.url, limits=_LIMITS)
        try:
            yield lab, rest
        finally:
            await rest.close()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def live(lab: TwilioLab, rest: TwilioRest, to: str = THEIRS, **fields: Any) -> CarrierCall:
    """A call that was answered."""
    call = await rest.create_call(CallOrder(to, OURS, twiml=WAIT, **fields))
    await until(lambda: lab.calls[-1].status == "in-progress")
    return call


async def test_a_call_is_ended_once_however_often_it_is_asked_for():
    async with carrier() as (lab, rest):
        call = await live(lab, rest)
        assert await rest.hang_up(call.sid)
        await lab.settle()
        assert not await rest.hang_up(call.sid)
        assert not await rest.cancel(call.sid)
        assert not await rest.run(call.sid, WAIT)
        assert not await rest.hang_up("CA" + "f" * 32)
        ended = await rest.call(call.sid)
        assert ended is not None
        assert (ended.status, ended.price_micro_usd) == ("completed", 14_000)
        assert await rest.call("CA" + "f" * 32) is None


async def test_an_answered_call_is_not_cancelled_by_mistake():
    async with carrier() as (lab, rest):
        call = await live(lab, rest)
        assert not await rest.cancel(call.sid)
        assert lab.calls[0].status == "in-progress"


async def test_a_call_goes_on_elsewhere():
    async with carrier() as (lab, rest):
        call = await live(lab, rest)
        assert await rest.redirect(call.sid, "https://nowhere.invalid/voice")
        await lab.settle()
        report = lab.calls[0].report
        assert report is not None
        assert any(error.startswith("11200") for error in report.errors)


FIRST, SECOND = Attempt("call-1", 1), Attempt("call-1", 2)
ORDER = WarmOrder(Seat(FIRST, 1_000), "", HUMAN, OURS, "A caller with a leak.")


@asynccontextmanager
async def warm(lab, rest, **options: Any) -> AsyncIterator[tuple[Transfers, WarmOrder]]:
    """A caller who is connected, and whoever puts them through."""
    call = await live(lab, rest)
    alone = TransferBook(LateCosts(lambda _row: None, Tariff()))
    transfers = Transfers(rest, "https://nowhere.invalid", alone, **options)
    try:
        yield transfers, msgspec.structs.replace(ORDER, carrier_call_id=call.sid)
    finally:
        await transfers.close()


def sent_back(lab) -> bool:
    back = "/twilio/back?call=call-1&attempt=1&since=1000"
    return any(back in url for url in lab.calls[0].webhooks)


def ignore(_standing: Standing) -> None:
    """Nobody is in the call."""


def test_a_human_who_accepts_in_time_keeps_the_caller(virtual: Virtual[None]):
    async def main() -> None:
        async with carrier() as (lab, rest), warm(lab, rest) as (transfers, order):
            heard: list[Standing] = []
            transfers.begin(order, heard.append)
            await until(lambda: len(lab.calls) == 2)
            transfers.begin(order, heard.append)  # asked twice, rung once
            assert transfers.whisper(FIRST) == ORDER.whisper
            assert not await transfers.accept(SECOND)  # of another attempt
            assert await transfers.accept(FIRST)
            assert heard == [Standing.TAKEN]
            assert transfers.whisper(FIRST) == ""
            await transfers.close()
            assert not await transfers.accept(FIRST)
            assert len(lab.calls) == 2
            assert not sent_back(lab)

    virtual(main())


def test_a_human_who_never_decides_is_left_and_the_caller_comes_back(virtual: Virtual[None]):
    async def main() -> None:
        async with carrier() as (lab, rest), warm(lab, rest, decide_s=0.3) as (transfers, order):
            transfers.begin(order, ignore)
            await until(lambda: sent_back(lab))
            await until(lambda: lab.calls[1].status in ("completed", "canceled", "failed"))
            assert not await transfers.accept(FIRST)
            assert transfers.whisper(FIRST) == ""

    virtual(main())


def test_late_news_of_the_first_human_do_not_end_the_second_attempt(virtual: Virtual[None]):
    async def main() -> None:
        async with carrier() as (lab, rest), warm(lab, rest, decide_s=0.3) as (transfers, order):
            transfers.begin(order, ignore)
            await until(lambda: sent_back(lab))
            again = msgspec.structs.replace(order, seat=Seat(SECOND, 2_000))
            transfers.begin(again, ignore)
            await until(lambda: len(lab.calls) == 3)
            transfers.hung_up(FIRST)
            await asyncio.sleep(0.05)
            assert not await transfers.accept(FIRST)
            assert await transfers.accept(SECOND)

    virtual(main())


def test_a_carrier_that_stumbles_is_asked_again_for_the_caller_on_hold(virtual: Virtual[None]):
    async def main() -> None:
        async with carrier() as (lab, rest), warm(lab, rest, decide_s=0.2) as (transfers, order):
            transfers.begin(order, ignore)
            await until(lambda: len(lab.calls) == 2)
            lab.faults = FaultPlan({1: Fault.SERVER_ERROR})
            await until(lambda: sent_back(lab))
            assert lab.faults.seen >= 2

    virtual(main())


async def test_a_server_that_stops_leaves_nobody_on_hold():
    async with carrier() as (lab, rest), warm(lab, rest) as (transfers, order):
        transfers.begin(order, ignore)
        await until(lambda: len(lab.calls) == 2)
        assert await transfers.dismiss("call-1", patience_s=0.1)
        await until(lambda: lab.calls[0].phone._tape.said != [])
        assert lab.calls[0].phone._tape.said[0].startswith("We are sorry")
        await until(lambda: lab.calls[1].status in ("completed", "canceled"))


async def test_a_recording_has_a_track_for_each_side():
    voice = Callee(pickup=Pickup(after_s=0.01), caller=Monologue(b"\x20\xa0" * 400))
    async with carrier(callees=lambda _form: voice) as (lab, rest):
        call = await live(lab, rest, record_url="https://nowhere.invalid/recording")
        second = await rest.record(call.sid, "https://nowhere.invalid/recording")
        assert (second.status, second.channels) == ("in-progress", 2)
        assert (await rest.pause_recording(call.sid)).status == "paused"
        assert (await rest.resume_recording(call.sid)).status == "in-progress"
        assert (await rest.stop_recording(call.sid)).status == "stopped"
        await rest.hang_up(call.sid)
        await lab.settle()
        listed = await rest.recordings_of(call.sid)
        assert [recording.source for recording in listed] == [
            "StartCallRecordingAPI",
            "OutboundAPI",
        ]
        lab.recordings[second.sid].media = wav.encode(b"\xff" * 80, b"\x20" * 80)
        async with rest.download_recording(second.sid) as answer:
            content = b"".join([piece async for piece in answer.aiter_bytes()])
        assert content == lab.recordings[second.sid].media
        await rest.delete_recording(second.sid)
        await rest.delete_recording(second.sid)
        with pytest.raises(TwilioRejected):
            async with rest.download_recording(second.sid):
                pass


async def test_numbers_are_found_and_connected():
    async with carrier(numbers=(OURS, THEIRS)) as (_, rest):
        assert len(await rest.numbers()) == 2
        (number,) = await rest.numbers(OURS)
        connected = await rest.connect_number(
            number.sid, voice_url="https://h/voice", status_url="https://h/status"
        )
        assert (connected.voice_url, connected.status_callback) == (
            "https://h/voice",
            "https://h/status",
        )
        with pytest.raises(ServiceRejected):
            await rest.connect_number("PN0", voice_url="https://h/v", status_url="https://h/s")


async def test_the_key_check_is_one_small_request():
    async with carrier() as (lab, rest):
        assert (await rest.account()).status == "active"
        assert lab.faults.seen == 1


SENT = [
    (Injection(Fault.DROP, after_bytes=1), True),
    (Fault.DROP, True),
    (Fault.SERVER_ERROR, True),
    (Injection(Fault.STALL, delay_s=0.6), True),
    (Injection(Fault.SLOW_FIRST_BYTE, delay_s=0.6), True),
    (Fault.GARBAGE, True),
    (Fault.RATE_LIMITED, False),
]


@pytest.mark.parametrize(("fault", "sent"), SENT)
async def test_a_failure_says_whether_the_call_may_have_been_placed(fault, sent):
    async with carrier(faults=FaultPlan({1: fault})) as (_, rest):
        with pytest.raises(TwilioUnavailable) as failure:
            await rest.create_call(CallOrder(THEIRS, OURS, twiml=WAIT))
    assert failure.value.sent is sent
    assert THEIRS not in str(failure.value)


async def test_a_carrier_out_of_reach_has_done_nothing():
    rest = TwilioRest("AC1", "token", "http://127.0.0.1:1")
    with pytest.raises(TwilioUnavailable) as failure:
        await rest.create_call(CallOrder(THEIRS, OURS, twiml=WAIT))
    assert not failure.value.sent
    await rest.close()


@pytest.mark.parametrize(
    ("body", "count"),
    [("", 1), ("x" * 160, 1), ("x" * 161, 2), ("€" * 80, 1), ("€" * 81, 2), ("ж" * 70, 1),
     ("ж" * 71, 2), ("😀" * 35, 1), ("😀" * 36, 2), ("x" * 306, 2), ("x" * 307, 3),
     ("x" * 152 + "€" + "x" * 8, 2)],
)  # fmt: skip
async def test_segments_are_booked_as_the_carrier_counts_them(body, count):
    assert segments(body) == count
    if not body:
        return
    booked: list[Consumed] = []
    async with carrier() as (lab, rest):
        await rest.send_message(to=THEIRS, sender=OURS, body=body, spend=booked.append)
        assert [(one.item, one.quantity) for one in booked] == [("twilio.sms.segments", count)]
        assert lab.meter == {"twilio.sms.segments": count}


@pytest.mark.parametrize(
    ("fault", "booked"),
    [
        (Injection(Fault.DROP, after_bytes=1), True),
        (Injection(Fault.STALL, delay_s=0.6), True),
        (Fault.RATE_LIMITED, False),
        (Fault.UNAUTHORIZED, False),
    ],
)
async def test_a_message_whose_answer_is_lost_is_booked_and_a_refused_one_is_not(fault, booked):
    ledger: list[Consumed] = []
    async with carrier(faults=FaultPlan({1: fault})) as (lab, rest):
        with pytest.raises((ServiceUnavailable, ServiceRejected)):
            await rest.send_message(to=THEIRS, sender=OURS, body="Hi", spend=ledger.append)
        assert bool(ledger) is booked
        assert sum(one.quantity for one in ledger) == lab.meter["twilio.sms.segments"]


@pytest.mark.parametrize(
    ("price", "unit", "micro_usd"),
    [("-0.01400", "USD", 14_000), ("-0.00750", None, 7_500), (None, "USD", None),
     ("-1", "EUR", None), ("?", "USD", None), ("0", "usd", 0)],
)  # fmt: skip
def test_prices_are_negative_strings(price, unit, micro_usd):
    assert CarrierCall("CA1", price=price, price_unit=unit).price_micro_usd == micro_usd


@pytest.mark.parametrize(("text", "is_date"), [(None, 0), ("", 0), ("soon", 0),
                         ("Fri, 20 Aug 2010 01:13:42 +0000", 1)])  # fmt: skip
def test_dates_that_are_none_are_none(text, is_date):
    assert (rfc2822(text) is not None) == is_date
