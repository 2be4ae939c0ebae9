from __future__ import annotations

import asyncio
import json
from base64 import b64decode

import pytest
from websockets.exceptions import InvalidStatus

from tests.twilio.carrier import (
    CALL_SID,
    CONNECTED,
    PUBLIC_URL,
    SOCKET_URL,
    STREAM_SID,
    Clock,
    Edge,
    Phone,
    call_fields,
    dtmf,
    mark,
    media,
    serving,
    settings,
    sign,
    start,
    stop,
)
from tests.twilio.desk import FakeDesk
from voice_server.call.events import (
    AudioHeard,
    DigitPressed,
    MarkPlayed,
    MediaStarted,
    MediaStopped,
    StopCause,
)
from voice_server.telemetry import Metrics
from voice_server.twilio.address import Address
from voice_server.twilio.line import MAX_WAITING, PIECE
from voice_server.twilio.media import MAX_PROBLEMS, MediaEndpoint
from voice_server.twilio.signature import Gate
from voice_server.twilio.tokens import MediaTokens
from voice_server.twilio.wire import MAX_MESSAGE

VOICE = bytes(range(160))


async def opened(edge: Edge, phone: Phone, parameters: dict[str, str], **more: str) -> None:
    await phone.says(CONNECTED, start(parameters, **more))


async def test_a_stream_brings_everything_the_caller_does_in_order(edge):
    async with edge.talking() as (phone, call):
        await phone.says(media(VOICE, at_ms=20), dtmf("7"), mark("m1"), media(at_ms=40), stop())
        await call.has(MediaStopped)
        assert await phone.closed() == 1000
    assert call.events == [
        MediaStarted(),
        AudioHeard(VOICE, call.of(AudioHeard)[0].loudness, 20),
        DigitPressed("7"),
        MarkPlayed("m1"),
        AudioHeard(b"\xff" * 160, 0, 40),
        MediaStopped(StopCause.CALLER_HUNG_UP),
    ]


async def test_the_agent_is_heard_in_order_with_its_marks(edge):
    async with edge.talking() as (phone, call):
        call.line.play(VOICE)
        call.line.mark('say "hello"')
        call.line.play(b"\x00" * 10)
        first, second, third = [await phone.hears() for _ in range(3)]
    assert b64decode(first["media"]["payload"]) == VOICE
    assert second == {"event": "mark", "streamSid": STREAM_SID, "mark": {"name": 'say "hello"'}}
    assert b64decode(third["media"]["payload"]) == b"\x00" * 10


async def test_a_clear_overtakes_speech_that_still_waits_here(edge):
    async with edge.talking() as (phone, call):
        call.line.play(b"\x01" * PIECE * 100)
        call.line.mark("never")
        while (await phone.hears())["event"] == "media":
            call.line.clear()
            call.line.play(b"\x02" * 160)
            if (cleared := await phone.hears())["event"] == "clear":
                break
        rest = await phone.hears()
    assert cleared == {"event": "clear", "streamSid": STREAM_SID}
    assert b64decode(rest["media"]["payload"]) == b"\x02" * 160


async def test_when_the_call_ends_itself_the_stream_closes_and_nothing_waiting_is_sent(edge):
    async with edge.talking() as (phone, call):
        call.line.play(VOICE)
        call.hang_up()
        call.line.mark("too late")
        assert await phone.closed() == 1000
    assert call.of(MediaStopped) == []
    assert edge.count("live_streams") == 0


@pytest.mark.parametrize("signature", ["", "bm90IGl0", sign(PUBLIC_URL + "/twilio/media")])
async def test_a_socket_without_twilios_signature_is_refused_before_it_opens(edge, signature):
    with pytest.raises(InvalidStatus) as refusal:
        async with edge.socket(signature or "-"):
            pass
    assert refusal.value.response.status_code == 403
    assert edge.count("media_refused_total", reason="bad_signature") == 1


async def test_a_socket_signed_with_a_slash_at_the_end_is_let_in(edge):
    parameters = await edge.ring()
    async with edge.socket(sign(SOCKET_URL + "/")) as phone:
        await opened(edge, phone, parameters)
        await edge.desk.has(parameters["call"])


async def test_a_used_token_opens_nothing(edge):
    parameters = await edge.ring()
    async with edge.socket() as phone:
        await opened(edge, phone, parameters)
        await phone.says(stop())
        assert await phone.closed() == 1000
    async with edge.socket() as phone:
        await opened(edge, phone, parameters)
        assert await phone.closed() == 1008
    assert edge.count("media_refused_total", reason="unknown_token") == 1


async def test_an_expired_token_opens_nothing(edge):
    parameters = await edge.ring()
    edge.clock.now += 61
    async with edge.socket() as phone:
        await opened(edge, phone, parameters)
        assert await phone.closed() == 1008
    assert edge.count("media_refused_total", reason="expired_token") == 1


async def test_a_foreign_token_opens_nothing_and_still_serves_its_own_call(edge):
    parameters = await edge.ring()
    async with edge.socket() as thief:
        await opened(edge, thief, parameters, call_sid="CA" + "9" * 32)
        assert await thief.closed() == 1008
    async with edge.socket() as phone:
        await opened(edge, phone, parameters)
        await edge.desk.has(parameters["call"])
    assert edge.count("media_refused_total", reason="foreign_token") == 1


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({}, "missing_token"),
        ({"call": "call-1"}, "missing_token"),
        ({"call": "call-1", "token": "made-up"}, "unknown_token"),
    ],
)
async def test_a_start_without_a_good_token_is_refused_before_any_audio(edge, parameters, reason):
    await edge.ring()
    async with edge.socket() as phone:
        await phone.says(CONNECTED, start(parameters), media())
        assert await phone.closed() == 1008
    assert edge.desk.calls == {}
    assert edge.count("media_refused_total", reason=reason) == 1


async def test_a_start_for_a_call_that_is_gone_is_refused(edge):
    parameters = await edge.ring()
    edge.desk.forget(parameters["call"])
    async with edge.socket() as phone:
        await opened(edge, phone, parameters)
        assert await phone.closed() == 1008
    assert edge.count("media_refused_total", reason="call_gone") == 1


async def test_a_second_socket_for_a_live_call_is_refused_and_the_first_goes_on(edge):
    async with edge.talking() as (phone, call):
        again = await edge.ring()
        async with edge.socket() as second:
            await opened(edge, second, again)
            assert await second.closed() == 1008
        await phone.says(media())
        await call.has(AudioHeard)
    assert edge.count("media_refused_total", reason="second_stream") == 1


async def test_a_stream_of_another_codec_is_refused(edge):
    parameters = await edge.ring()
    async with edge.socket() as phone:
        await opened(edge, phone, parameters, encoding="audio/l16")
        assert await phone.closed() == 1008
    assert edge.count("media_refused_total", reason="bad_format") == 1


@pytest.mark.parametrize("early", [media(), dtmf("1"), mark("m")])
async def test_anything_before_start_is_refused(edge, early):
    async with edge.socket() as phone:
        await phone.says(CONNECTED, early)
        assert await phone.closed() == 1008
    assert edge.count("media_refused_total", reason="no_start") == 1


async def test_a_peer_that_never_starts_is_let_go():
    async with serving(settings(), start_limit_s=0.02) as edge, edge.socket() as phone:
        await phone.says(CONNECTED)
        assert await phone.closed() == 1008
        assert edge.count("media_refused_total", reason="start_late") == 1


async def test_a_start_without_connected_is_counted_and_served(edge):
    parameters = await edge.ring()
    async with edge.socket() as phone:
        await phone.says(start(parameters))
        await edge.desk.has(parameters["call"])
    assert edge.count("media_problems_total", problem="wrong_order") == 1


async def test_connected_twice_is_counted_and_served(edge):
    parameters = await edge.ring()
    async with edge.socket() as phone:
        await phone.says(CONNECTED, CONNECTED, start(parameters))
        await edge.desk.has(parameters["call"])
    assert edge.count("media_problems_total", problem="wrong_order") == 1


async def test_nonsense_before_start_is_borne_for_a_while(edge):
    async with edge.socket() as phone:
        await phone.says(*["{"] * MAX_PROBLEMS)
        assert await phone.closed() == 1008
    assert edge.count("media_refused_total", reason="nonsense") == 1
    assert edge.count("media_problems_total", problem="not_json") == MAX_PROBLEMS


async def test_an_oversize_message_before_start_ends_the_socket(edge):
    async with edge.socket() as phone:
        await phone.says(" " * (MAX_MESSAGE + 1))
        assert await phone.closed() == 1008
    assert edge.count("media_problems_total", problem="oversize") == 1


BAD = {
    "not_text": b"\x00\x01",
    "not_json": "{",
    "unknown_event": {"event": "telepathy", "streamSid": STREAM_SID},
    "bad_field": {"event": "media", "streamSid": STREAM_SID},
    "bad_audio": media(payload="*not base64*"),
    "bad_digit": dtmf("x"),
    "wrong_stream": media(stream_sid="MZ" + "f" * 32),
    "wrong_track": media(track="outbound"),
    "wrong_order": CONNECTED,
}


@pytest.mark.parametrize("problem", BAD)
async def test_a_bad_message_is_counted_and_dropped_and_the_call_goes_on(edge, problem):
    async with edge.talking() as (phone, call):
        await phone.says(BAD[problem], media(VOICE))
        assert [event.mulaw for event in await call.has(AudioHeard)] == [VOICE]
    assert edge.count("media_problems_total", problem=problem) == 1


async def test_an_oversize_message_ends_only_its_own_call(edge):
    other = "CA" + "5" * 32
    parameters = await edge.ring(other)
    async with edge.socket() as neighbour, edge.talking() as (phone, call):
        await opened(edge, neighbour, parameters, call_sid=other)
        await phone.says(media(payload="A" * MAX_MESSAGE))
        assert await phone.closed() == 1009
        assert call.of(MediaStopped) == [MediaStopped(StopCause.STREAM_LOST)]
        await neighbour.says(media())
        await (await edge.desk.has(parameters["call"])).has(AudioHeard)


async def test_a_flood_of_nonsense_ends_the_stream(edge):
    async with edge.talking() as (phone, call):
        await phone.says(*["nonsense"] * (MAX_PROBLEMS + 1))
        assert await phone.closed() == 1008
    assert call.of(MediaStopped) == [MediaStopped(StopCause.STREAM_LOST)]


async def test_ten_thousand_frames_arrive_complete_and_in_order(edge):
    async with edge.talking() as (phone, call):
        for number in range(10_000):
            await phone.socket.send(json.dumps(media(at_ms=20 * number)))
        await phone.says(stop())
        await call.has(MediaStopped)
    assert [event.media_ms for event in call.of(AudioHeard)] == list(range(0, 200_000, 20))
    assert edge.count("media_frames_total") == 10_000


async def test_more_speech_than_fits_ends_the_stream(edge):
    async with edge.talking() as (phone, call):
        call.line.play(bytes(MAX_WAITING + 1))
        assert await phone.closed() == 1011
    assert call.of(MediaStopped) == [MediaStopped(StopCause.STREAM_LOST)]


# How far a caller got before they were gone, and what the call then hears.
async def _at_once(edge: Edge, phone: Phone) -> None:
    pass


async def _after_connected(edge: Edge, phone: Phone) -> None:
    await phone.says(CONNECTED)


async def _after_start(edge: Edge, phone: Phone) -> None:
    parameters = await edge.ring()
    await opened(edge, phone, parameters)
    await edge.desk.has(parameters["call"])


async def _while_talking(edge: Edge, phone: Phone) -> None:
    await _after_start(edge, phone)
    await phone.says(*[media(VOICE)] * 3)
    await edge.desk.calls["call-1"].has(AudioHeard, 3)


async def _while_listening(edge: Edge, phone: Phone) -> None:
    await _after_start(edge, phone)
    edge.desk.calls["call-1"].line.play(bytes(PIECE * 5))
    await phone.hears()


async def _after_the_agent_hung_up(edge: Edge, phone: Phone) -> None:
    await _after_start(edge, phone)
    edge.desk.calls["call-1"].hang_up()


STAGES = [
    (_at_once, False),
    (_after_connected, False),
    (_after_start, True),
    (_while_talking, True),
    (_while_listening, True),
]


@pytest.mark.parametrize(("stage", "started"), STAGES)
async def test_a_socket_that_dies_is_a_lost_stream_at_every_stage(edge, stage, started):
    async with edge.socket() as phone:
        await stage(edge, phone)
        await phone.drops()
    await _gone(edge, [MediaStopped(StopCause.STREAM_LOST)] if started else None)


@pytest.mark.parametrize(("stage", "started"), STAGES)
async def test_a_caller_who_hangs_up_is_told_apart_at_every_stage(edge, stage, started):
    async with edge.socket() as phone:
        await stage(edge, phone)
        await phone.says(stop())
        await phone.closed()
    await _gone(edge, [MediaStopped(StopCause.CALLER_HUNG_UP)] if started else None)


@pytest.mark.parametrize(("stage", "started"), STAGES)
async def test_a_close_without_stop_is_a_lost_stream_at_every_stage(edge, stage, started):
    async with edge.socket() as phone:
        await stage(edge, phone)
        await phone.socket.close(1000)
    await _gone(edge, [MediaStopped(StopCause.STREAM_LOST)] if started else None)


async def test_a_caller_gone_after_the_agent_hung_up_changes_nothing(edge):
    async with edge.socket() as phone:
        await _after_the_agent_hung_up(edge, phone)
        await phone.drops()
    await _gone(edge, [])


async def _gone(edge: Edge, expected: list[MediaStopped] | None) -> None:
    if expected:
        call = edge.desk.calls["call-1"]
        assert await call.has(MediaStopped) == expected
    elif expected is None:
        assert edge.desk.calls == {}
    else:
        assert edge.desk.calls["call-1"].of(MediaStopped) == []


async def test_when_twilio_has_left_the_stream_what_is_left_of_it_here_ends(edge):
    async with edge.talking() as (phone, call):
        response = await edge.post("/twilio/after", call_fields(CallStatus="in-progress"))
        assert call.of(MediaStopped) == [MediaStopped(StopCause.STREAM_LOST)]
        assert "<Hangup" in response.text
        assert await phone.closed() == 1000


async def test_the_caller_who_hung_up_while_a_stop_was_still_unread_counts_as_hung_up(edge):
    async with edge.talking() as (phone, call):
        for _ in range(50):
            call.line.play(VOICE)
        await phone.says(*[media()] * 50, stop())
        await phone.socket.close()
        assert await call.has(MediaStopped) == [MediaStopped(StopCause.CALLER_HUNG_UP)]


async def test_many_streams_at_once_do_not_mix(edge):
    sids = [f"CA{number:032d}" for number in range(20)]

    async def one(sid: str) -> int:
        parameters = await edge.ring(sid)
        async with edge.socket() as phone:
            await opened(edge, phone, parameters, call_sid=sid)
            call = await edge.desk.has(parameters["call"])
            loud = int(sid[2:])
            await phone.says(*[media(bytes([loud]) * 160)] * 5, stop())
            await call.has(MediaStopped)
        return sum(event.mulaw == bytes([loud]) * 160 for event in call.of(AudioHeard))

    assert await asyncio.gather(*map(one, sids)) == [5] * 20


async def test_a_socket_that_takes_nothing_more_is_still_read_to_its_end():
    desk, metrics, clock = FakeDesk(), Metrics(), Clock()
    desk.admitted["call-1"] = CALL_SID
    tokens = MediaTokens(60)
    token = tokens.issue(CALL_SID, "call-1", clock())
    gate = Gate(Address(""), None, insecure=True)
    endpoint = MediaEndpoint(desk, gate, tokens, metrics, clock=clock)
    inbox: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    inbox.put_nowait({"type": "websocket.connect"})
    for message in (CONNECTED, start({"call": "call-1", "token": token})):
        inbox.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})
    broken = asyncio.Event()

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "websocket.send":
            broken.set()
        if broken.is_set():
            raise OSError("connection reset")

    scope = {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "headers": []}
    serving_task = asyncio.create_task(endpoint(scope, inbox.get, send))
    call = await desk.has("call-1")
    call.line.mark("m")
    await broken.wait()
    for message in (media(VOICE), stop()):
        inbox.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})
    await serving_task
    assert call.frames == 1
    assert call.of(MediaStopped) == [MediaStopped(StopCause.CALLER_HUNG_UP)]
