"""The real Twilio SDK takes the simulated Twilio for the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from voice_server.testing.caller import SilentCaller
from voice_server.testing.faults import Pickup
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.twilio import Callee, TwilioLab, open_twilio

OURS, THEIRS = "+12025550100", "+12025550188"
HELLO = "<Response><Say>Hello.</Say><Pause length='1'/></Response>"


def client_of(lab: TwilioLab, token: str = "") -> Client:
    client = Client(lab.account_sid, token or lab.auth_token)
    client.api.base_url = lab.url
    return client


async def ask(question: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(question)


async def becomes(call: Any, status: str) -> None:
    """Ask as a client would, again and again."""
    async with asyncio.timeout(30):
        while (await ask(call.fetch)).status != status:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def quick(_form: object) -> Callee:
    return Callee(pickup=Pickup(after_s=0.02), caller=SilentCaller(100))


async def test_a_call_is_created_fetched_listed_and_ended():
    async with open_twilio(callees=quick) as lab:
        client = client_of(lab)
        call = await ask(
            lambda: client.calls.create(
                to=THEIRS,
                from_=OURS,
                twiml="<Response><Pause length='60'/></Response>",
                status_callback="https://127.0.0.1:1/status",
                status_callback_event=["initiated", "ringing", "answered", "completed"],
                timeout=20,
                machine_detection="Enable",
                async_amd="true",
            )
        )
        assert (call.status, call.direction, call.to) == ("queued", "outbound-api", THEIRS)
        await becomes(call, "in-progress")
        assert [found.sid for found in await ask(lambda: client.calls.list(to=THEIRS))] == [
            call.sid
        ]
        assert await ask(lambda: client.calls.list(to=OURS)) == []

        ended = await ask(lambda: client.calls(call.sid).update(status="completed"))
        assert ended.sid == call.sid
        await becomes(call, "completed")
        with pytest.raises(TwilioRestException) as refused:
            await ask(lambda: client.calls(call.sid).update(status="completed"))
        assert (refused.value.status, refused.value.code) == (400, 21220)


async def test_a_call_in_the_queue_is_cancelled_and_new_twiml_takes_over_a_live_one():
    async with open_twilio(callees=quick, calls_per_s=2) as lab:
        client = client_of(lab)

        def create() -> Any:
            return client.calls.create(
                to=THEIRS, from_=OURS, twiml="<Response><Pause length='9'/></Response>"
            )

        first, second = await ask(create), await ask(create)
        await ask(lambda: client.calls(second.sid).update(status="canceled"))
        assert (await ask(second.fetch)).status == "canceled"
        await becomes(first, "in-progress")
        await ask(lambda: client.calls(first.sid).update(twiml="<Response><Hangup/></Response>"))
        await becomes(first, "completed")


async def test_price_comes_after_the_end_and_what_was_recorded_can_be_fetched():
    async with open_twilio(callees=quick, price_after_s=0.0) as lab:
        client = client_of(lab)
        call = await ask(
            lambda: client.calls.create(
                to=THEIRS, from_=OURS, twiml=HELLO, record=True, recording_channels="dual"
            )
        )
        assert call.price is None
        await lab.settle()
        fetched = await ask(call.fetch)
        assert (fetched.price, fetched.price_unit) == ("-0.01400", "USD")
        (recording,) = await ask(lambda: client.calls(call.sid).recordings.list())
        assert (recording.channels, recording.source) == (2, "OutboundAPI")


async def test_a_message_is_created_with_its_segments():
    async with open_twilio() as lab:
        client = client_of(lab)
        message = await ask(lambda: client.messages.create(to=THEIRS, from_=OURS, body="x" * 161))
    assert (message.status, message.num_segments) == ("queued", "2")
    assert lab.meter == {"twilio.sms.segments": 2}


async def test_numbers_are_listed_and_connected():
    async with open_twilio(numbers=(OURS, THEIRS)) as lab:
        client = client_of(lab)
        (number,) = await ask(lambda: client.incoming_phone_numbers.list(phone_number=OURS))
        changed = await ask(
            lambda: number.update(voice_url="https://h/v", status_callback="https://h/s")
        )
    assert (changed.phone_number, changed.voice_url) == (OURS, "https://h/v")
    assert changed.status_callback == "https://h/s"


async def test_the_cheapest_key_check_tells_right_from_wrong():
    async with open_twilio() as lab:
        client = client_of(lab)
        account = await ask(lambda: client.api.accounts(lab.account_sid).fetch())
        assert account.status == "active"
        with pytest.raises(TwilioRestException) as refused:
            await ask(lambda: client_of(lab, "wrong").api.accounts(lab.account_sid).fetch())
    assert (refused.value.status, refused.value.code) == (401, 20003)


MAGIC = [
    ("+15005550006", "+15005550001", 21217),
    ("+15005550006", "+15005550002", 21214),
    ("+15005550006", "+15005550003", 21215),
    ("+15005550006", "+15005550004", 21216),
    ("+15005550001", THEIRS, 21212),
    (OURS, THEIRS, 21210),
]


@pytest.mark.parametrize(("sender", "to", "code"), MAGIC)
async def test_magic_numbers_of_the_test_credentials_are_honoured(sender, to, code):
    async with open_twilio(test_credentials=True) as lab:
        client = client_of(lab)
        await ask(lambda: client.calls.create(to=THEIRS, from_="+15005550006", twiml=HELLO))
        with pytest.raises(TwilioRestException) as refused:
            await ask(lambda: client.calls.create(to=to, from_=sender, twiml=HELLO))
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault.RATE_LIMITED, 429, 20429),
        (Fault.UNAUTHORIZED, 401, 20003),
        (Fault.QUOTA, 403, 20005),
        (Injection(Fault.SERVER_ERROR, after_bytes=1), 503, None),
    ],
)
async def test_faults_look_like_twilio_s(fault, status, code):
    async with open_twilio(callees=quick, faults=FaultPlan({1: fault})) as lab:
        client = client_of(lab)
        with pytest.raises(TwilioRestException) as refused:
            await ask(lambda: client.calls.create(to=THEIRS, from_=OURS, twiml=HELLO))
    assert refused.value.status == status
    if code:
        assert refused.value.code == code
    assert len(lab.calls) == (status == 503)


async def test_pages_of_a_long_list_follow_each_other():
    async with open_twilio(callees=quick, calls_per_s=0.1) as lab:
        client = client_of(lab)
        for _ in range(5):
            await ask(lambda: client.calls.create(to=THEIRS, from_=OURS, twiml=HELLO))
        found = await ask(lambda: client.calls.list(page_size=2))
    assert [call.sid for call in found] == [call.sid for call in reversed(lab.calls)]
