"""The simulated Twilio in virtual time: its queue, its phones, its callbacks, its bill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.testing.network import PUBLIC, Line, Network, listens, tone
from voice_server.testing.caller import SilentCaller
from voice_server.testing.faults import Pickup
from voice_server.testing.lab.twilio import Callee, TwilioLab, open_twilio
from voice_server.twilio.rest import CallOrder, TwilioRest

OURS, THEIRS = "+12025550100", "+12025550188"


async def speaks(line: Line) -> None:
    await line.next("start")
    await line.say(tone(500))
    await line.rest()


@asynccontextmanager
async def world(
    callee: Callee, bot: Any = listens, **options: Any
) -> AsyncIterator[tuple[Network, TwilioLab, TwilioRest]]:
    network = Network(bot, status="", amd="", recording="")
    async with network.up():
        chosen = {"connect_to": network.address, "callees": lambda _form: callee} | options
        async with open_twilio(**chosen) as lab:
            network.validator = type(network.validator)(lab.auth_token)
            rest = TwilioRest(lab.account_sid, lab.auth_token, lab.url)
            try:
                yield network, lab, rest
            finally:
                await rest.close()


def order(**fields: Any) -> CallOrder:
    return CallOrder(THEIRS, OURS, url=f"{PUBLIC}/voice", status_url=f"{PUBLIC}/status", **fields)


def statuses(network: Network) -> list[tuple[str, str]]:
    return [
        (form["CallStatus"], form["SequenceNumber"])
        for page, form in network.requests
        if page == "status"
    ]


def test_a_call_rings_is_answered_and_opens_the_media_stream(virtual):
    async def main() -> None:
        callee = Callee(pickup=Pickup(after_s=3), caller=SilentCaller(2_000))
        async with world(callee, speaks) as (network, lab, rest):
            created = await rest.create_call(order())
            await lab.settle()
            (call,) = lab.calls
            assert call.report is not None
            assert call.report.agent_audio_ms == 500
            assert network.forged == []
            voice = next(form for page, form in network.requests if page == "voice")
            assert (voice["Direction"], voice["CallStatus"]) == ("outbound-api", "in-progress")
            assert voice["CallSid"] == created.sid
            assert statuses(network) == [
                ("initiated", "0"), ("ringing", "1"), ("in-progress", "2"), ("completed", "3")
            ]  # fmt: skip
            assert dict(lab.meter) == {
                "twilio.voice_outbound.minutes": 1,
                "twilio.media_stream.minutes": 1,
            }

    virtual(main())


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
def test_a_phone_that_is_not_picked_up_asks_for_no_twiml_and_costs_nothing(virtual, status):
    async def main() -> None:
        callee = Callee(pickup=Pickup(status=status, after_s=20))
        async with world(callee) as (network, lab, rest):
            await rest.create_call(order(machine_detection="Enable", amd_url=f"{PUBLIC}/amd"))
            await lab.settle()
            assert {page for page, _ in network.requests} == {"status"}
            assert statuses(network)[-1][0] == status
            assert not +lab.meter
            assert lab.calls[0].price == "-0.00000"

    virtual(main())


def test_one_call_a_second_leaves_the_queue(virtual):
    async def main() -> None:
        callee = Callee(pickup=Pickup(status="busy", after_s=0))
        async with world(callee, price_after_s=0.0) as (_, lab, rest):
            began = asyncio.get_running_loop().time()
            for _ in range(5):
                await rest.create_call(order())
            assert [call.status for call in lab.calls][1:] == ["queued"] * 4
            await lab.settle()
            took = asyncio.get_running_loop().time() - began
            assert 4.0 <= took < 5.5
            assert [round(call.queue_ms / 1000) for call in lab.calls][1:] == [1, 2, 3, 4]

    virtual(main())


def test_callbacks_come_late_twice_and_backwards(virtual):
    async def main() -> None:
        callee = Callee(
            pickup=Pickup(after_s=1), caller=SilentCaller(500), delay_s=2, copies=2, reversed=True
        )
        async with world(callee) as (network, lab, rest):
            await rest.create_call(order())
            await lab.settle()
            sequence = [number for _, number in statuses(network)]
            assert sorted(sequence) == ["0", "0", "1", "1", "2", "2", "3", "3"]
            assert next(page for page, _ in network.requests) == "voice"  # all after the end

    virtual(main())


def test_the_verdict_on_machines_comes_while_the_call_goes_on(virtual):
    async def main() -> None:
        pickup = Pickup(after_s=1, answered_by="machine_start", verdict_after_s=2)
        async with world(Callee(pickup=pickup, caller=SilentCaller(5_000))) as (
            network,
            lab,
            rest,
        ):
            await rest.create_call(order(machine_detection="Enable", amd_url=f"{PUBLIC}/amd"))
            await lab.settle()
            (verdict,) = [form for page, form in network.requests if page == "amd"]
            assert set(verdict) == {
                "AccountSid", "CallSid", "AnsweredBy", "MachineDetectionDuration"
            }  # fmt: skip
            assert verdict["AnsweredBy"] == "machine_start"
            assert lab.meter["twilio.amd.calls"] == 1
            fetched = await rest.call(lab.calls[0].sid)
            assert fetched is not None
            assert fetched.answered_by == "machine_start"

    virtual(main())


def test_a_recording_is_announced_after_the_call_with_both_tracks(virtual):
    async def main() -> None:
        callee = Callee(pickup=Pickup(after_s=1), caller=SilentCaller(2_000))
        async with world(callee, speaks) as (network, lab, rest):
            await rest.create_call(order(record_url=f"{PUBLIC}/recording"))
            await lab.settle()
            (told,) = [form for page, form in network.requests if page == "recording"]
            assert (told["RecordingStatus"], told["RecordingChannels"]) == ("completed", "2")
            assert told["RecordingUrl"].endswith(told["RecordingSid"])
            assert len(lab.recordings[told["RecordingSid"]].media) > 2 * 8_000
            assert lab.meter["twilio.recording.minutes"] == 1

    virtual(main())


def test_a_call_the_server_ends_tells_the_stream_to_stop(virtual):
    async def main() -> None:
        callee = Callee(pickup=Pickup(after_s=1), caller=SilentCaller(60_000))
        async with world(callee) as (network, lab, rest):
            call = await rest.create_call(order())
            await asyncio.sleep(3)
            assert await rest.hang_up(call.sid)
            await lab.settle()
            assert network.line.of("stop")
            assert lab.calls[0].report is not None
            assert lab.calls[0].report.ended_by == "server"

    virtual(main())


def test_new_twiml_stops_the_stream_and_the_call_goes_on(virtual):
    async def main() -> None:
        callee = Callee(pickup=Pickup(after_s=1), caller=SilentCaller(60_000))
        async with world(callee) as (network, lab, rest):
            call = await rest.create_call(order())
            await asyncio.sleep(3)
            assert await rest.run(call.sid, "<Response><Say>Bye.</Say><Hangup/></Response>")
            await lab.settle()
            report = lab.calls[0].report
            assert report is not None
            assert report.verbs == ("Connect", "Say", "Hangup")
            assert report.said == ("Bye.",)
            assert network.line.of("stop")

    virtual(main())


def test_the_price_comes_minutes_after_the_end(virtual):
    async def main() -> None:
        callee = Callee(pickup=Pickup(after_s=1), caller=SilentCaller(61_000))
        async with world(callee) as (_, lab, rest):
            call = await rest.create_call(order())
            await asyncio.sleep(70)
            ended = await rest.call(call.sid)
            assert ended is not None
            assert (ended.status, ended.price) == ("completed", None)
            await lab.settle()
            priced = await rest.call(call.sid)
            assert priced is not None
            assert priced.price_micro_usd == 28_000

    virtual(main())
