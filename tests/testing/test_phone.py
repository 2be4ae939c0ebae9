from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from tests.testing.network import PUBLIC, TOKEN, Line, Network, connect, listens, tone
from voice_server.call.voice_activity import loudness
from voice_server.testing import (
    Conversation,
    DialResult,
    Faults,
    Monologue,
    Phone,
    PhoneReport,
    Script,
    Signing,
    SilentCaller,
    StatusCallbacks,
    Turn,
    run,
    wav,
)

HANG_UP = "<Hangup/>"


def phone(network: Network, caller=None, **options) -> Phone:
    return Phone(
        PUBLIC + "/voice",
        auth_token=TOKEN,
        caller=caller or SilentCaller(2000),
        **{"connect_to": network.address, **options},
    )


def call(network: Network, caller=None, **options) -> PhoneReport:
    """Make one call in virtual time."""

    async def main():
        async with network.up():
            return await phone(network, caller, **options).call()

    return run(main())


def form_of(network: Network, page: str, number: int = 0) -> dict[str, str]:
    return [form for name, form in network.requests if name == page][number]


async def speaks(line: Line) -> None:
    """Says one second, with a mark in the middle and one at the end."""
    await line.next("start")
    await line.say(tone(400))
    await line.mark("middle")
    await line.say(tone(600))
    await line.mark("end")
    await line.rest()


async def leaves(line: Line) -> None:
    """Closes the socket after half a second."""
    while (await line.next("media"))["media"]["timestamp"] != "500":
        pass


def test_a_call_is_announced_as_the_carrier_announces_it():
    network = Network()
    report = call(network, from_number="anonymous", form={"StirVerstat": "A"})
    form = form_of(network, "voice")
    assert form["CallSid"] == report.call_sid
    assert (form["From"], form["Caller"], form["To"]) == ("anonymous", "anonymous", "+12025550100")
    assert (form["CallStatus"], form["Direction"]) == ("ringing", "inbound")
    assert form["StirVerstat"] == "A"
    assert len(form["CallSid"]) == len(form["AccountSid"]) == 34


def test_the_media_socket_opens_with_exactly_the_carrier_s_headers():
    network = Network()
    call(network)
    (headers,) = network.headers
    assert headers["user-agent"] == "Twilio.TmeWs/1.0"
    assert headers["host"] == "voice.example.com"
    assert not {"origin", "sec-websocket-protocol", "sec-websocket-extensions"} & headers.keys()
    assert not network.forged


def test_the_stream_opens_runs_and_ends_in_the_documented_words():
    network = Network()
    report = call(network, SilentCaller(100, digits="7", digits_at_ms=40))
    messages = network.line.messages
    assert [message["event"] for message in messages] == [
        *("connected", "start", "media", "media", "dtmf", "media", "media", "stop")
    ]
    opening, start = messages[:2]
    assert opening.pop("at") < 0.1
    assert opening == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start["start"] == {
        "accountSid": form_of(network, "voice")["AccountSid"],
        "streamSid": start["streamSid"],
        "callSid": report.call_sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "t-1"},
    }
    assert [message["sequenceNumber"] for message in messages[1:]] == list("1234567")
    media = network.line.of("media")
    assert [each["media"]["chunk"] for each in media] == list("1234")
    assert [each["media"]["timestamp"] for each in media] == ["0", "20", "40", "60"]
    assert all(len(each["media"]["payload"]) == 216 for each in media)
    assert network.line.of("dtmf")[0]["dtmf"] == {"track": "inbound_track", "digit": "7"}
    assert set(network.line.of("stop")[0]["stop"]) == {"accountSid", "callSid"}
    assert network.line.close_code == 1000
    assert (report.digits, report.frames_sent, report.ended_by) == ("7", 4, "caller")


def test_frames_come_every_20_ms_to_the_microsecond():
    network = Network()
    call(network, SilentCaller(60_000))
    times = [message["at"] for message in network.line.of("media")]
    assert len(times) == 2999
    gaps = {round(later - sooner, 6) for sooner, later in pairwise(times)}
    assert gaps == {0.02}


def test_a_development_server_is_called_at_its_own_address():
    async def main():
        async with network.up():
            network.public = "http://" + network.address
            stream = f'<Connect><Stream url="ws://{network.address}/media"/></Connect>'
            network.pages["voice"] = f"<Response>{stream}</Response>"
            caller = SilentCaller(1000)
            return await Phone(network.public + "/voice", auth_token=TOKEN, caller=caller).call()

    network = Network(speaks)
    assert run(main()).agent_audio_ms == 1000
    assert not network.forged


def test_marks_come_back_when_their_audio_has_played():
    network = Network(speaks)
    report = call(network)
    start = network.line.of("start")[0]["at"]
    marks = network.line.of("mark")
    assert [(mark["mark"]["name"], round(mark["at"] - start, 3)) for mark in marks] == [
        ("middle", 0.4),
        ("end", 1.0),
    ]
    assert report.agent_spurts == ((0, 1000),)
    assert (report.agent_audio_ms, report.first_audio_ms, report.marks_returned) == (1000, 0, 2)


def test_a_mark_with_nothing_before_it_comes_back_at_once():
    async def bot(line):
        await line.next("media")
        asked_at = line.loop.time()
        await line.mark("now")
        assert (await line.next("mark"))["at"] == round(asked_at, 6)
        await line.rest()

    assert call(Network(bot)).marks_returned == 1


def test_clear_stops_the_audio_and_returns_all_marks_at_once():
    async def bot(line):
        await line.next("start")
        for name in "abc":
            await line.say(tone(1000))
            await line.mark(name)
        while (await line.next("media"))["media"]["timestamp"] != "1480":
            pass
        cleared_at = line.loop.time()
        await line.send("clear")
        assert [(await line.next("mark"))["mark"]["name"] for _ in "bc"] == ["b", "c"]
        assert line.loop.time() == cleared_at
        await line.rest()

    report = call(Network(bot))
    assert report.agent_spurts == ((0, 1500),)
    assert (report.clears, report.dropped_audio_ms, report.marks_returned) == (1, 1500, 3)


def test_messages_that_make_no_sense_are_dropped_and_counted():
    async def bot(line):
        await line.next("start")
        await line.socket.send_bytes(b"\x00" * 160)
        await line.socket.send_text("hello")
        sid, line.stream_sid = line.stream_sid, "MZ" + "0" * 32
        await line.say(tone(500))
        line.stream_sid = sid
        await line.say(tone(100))
        await line.rest()

    report = call(Network(bot))
    assert {(problem.code, problem.reason) for problem in report.wire_problems} == {
        (31950, "binary frame"),
        (31951, "not JSON"),
        (31951, "wrong streamSid"),
    }
    assert report.agent_audio_ms == 100
    assert report.status == "completed"


@pytest.mark.parametrize(
    ("voice", "verbs", "status", "ended_by"),
    [
        ("<Response/>", (), "completed", "server"),
        ("<Response><Reject/></Response>", ("Reject",), "no-answer", "server"),
        ("<Response><Reject reason='busy'/></Response>", ("Reject",), "busy", "server"),
        ("<Response><Hangup/></Response>", ("Hangup",), "completed", "server"),
        ("<Response><Say>Hi</Say><Reject/></Response>", ("Say", "Reject"), "completed", "server"),
        ("<Response><Play>/a.wav</Play></Response>", ("Play",), "completed", "server"),
        ("<Response>", (), "failed", "carrier"),
        ("<Response><Redirect>/twice</Redirect></Response>", ("Redirect",), "completed", "server"),
    ],
)
def test_calls_without_a_stream_end_as_their_twiml_says(voice, verbs, status, ended_by):
    report = call(Network(voice=voice))
    assert (report.verbs, report.status, report.ended_by) == (verbs, status, ended_by)


def test_the_carrier_s_own_words_and_pauses_take_time():
    report = call(
        Network(voice="<Response><Say>We are closed.</Say><Pause length='3'/></Response>")
    )
    assert report.said == ("We are closed.",)
    assert report.duration_s == pytest.approx(3 + 14 / 15, abs=0.01)


def test_redirects_that_never_end_are_ended_by_the_carrier():
    report = call(Network(voice="<Response><Redirect>/voice</Redirect></Response>"))
    assert report.status == "failed"
    assert report.errors[0].startswith("11215")


@pytest.mark.parametrize("closing", ["", HANG_UP])
def test_the_twiml_after_the_stream_runs_when_the_server_closes_it(closing):
    network = Network(leaves, voice=connect("<Say>Bye</Say>", closing))
    report = call(network, SilentCaller(60_000))
    assert report.verbs == ("Connect", "Say", *(["Hangup"] if closing else []))
    assert (report.said, report.ended_by, report.close_codes) == (("Bye",), "server", (1000,))
    assert not network.line.of("stop")


def test_the_action_of_connect_is_asked_instead_of_the_verbs_after_it():
    network = Network(
        leaves,
        voice=connect("<Say>never</Say>", attributes=" action='/after?call=7'"),
        after="<Response><Dial><Number>+12025550111</Number></Dial></Response>",
    )
    report = call(network, SilentCaller(60_000))
    assert report.verbs == ("Connect", "Dial")
    assert report.dialled == ("+12025550111",)
    assert form_of(network, "after")["CallStatus"] == "in-progress"
    assert not network.forged


@pytest.mark.parametrize(
    ("result", "fields"),
    [
        (DialResult("completed", 12.0), {"DialCallDuration": "12"}),
        (DialResult("no-answer"), {}),
    ],
)
def test_the_action_of_a_dial_learns_how_it_went(result, fields):
    network = Network(voice="<Response><Dial action='/done'>+12025550111</Dial></Response>")
    report = call(network, dial=result)
    form = form_of(network, "done")
    assert form["DialCallStatus"] == result.status
    assert form["DialCallSid"].startswith("CA")
    assert fields.items() <= form.items()
    assert ("DialCallDuration" in form) is bool(fields)
    assert report.status == "completed"


def test_a_call_can_come_back_to_a_stream():
    async def bot(line):
        await line.next("start")
        await line.say(tone(200))
        await (leaves(line) if len(network.lines) < 3 else line.rest())

    network = Network(bot, voice=connect("<Redirect>/voice</Redirect>"))
    report = call(network, SilentCaller(1700))
    sids = [line.stream_sid for line in network.lines]
    assert len(set(sids)) == 3
    assert report.verbs == ("Connect", "Redirect") * 2 + ("Connect",)
    assert [begin for begin, _ in report.agent_spurts] == [0, 520, 1040]
    assert report.ended_by == "caller"


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        ('<Stream url="https://voice.example.com/media"/>', "31922"),
        ('<Stream url="wss://voice.example.com/media?x=1"/>', "31920"),
        ('<Stream url="wss://voice.example.com/media" track="both_tracks"/>', "31941"),
        ('<Stream url="wss://voice.example.com/elsewhere"/>', "31920"),
        ('<Stream url="wss://nobody.example.com/media"/>', "31902"),
    ],
)
def test_a_stream_that_cannot_open_is_reported_and_the_call_goes_on(stream, code):
    async def main():
        async with network.up():
            hosts = {
                "voice.example.com": network.address,
                "nobody.example.com": "127.0.0.1:1",
            }
            return await phone(network, connect_to=hosts).call()

    stream = stream.replace("/>", ' statusCallback="https://voice.example.com/stream"/>')
    network = Network(voice=f"<Response><Connect>{stream}</Connect><Say>Sorry</Say></Response>")
    report = run(main())
    assert report.errors[0].startswith(code)
    assert report.said == ("Sorry",)
    form = form_of(network, "stream")
    assert (form["StreamEvent"], form["StreamError"]) == ("stream-error", code)


def test_a_server_without_tls_behind_a_wss_url_is_reported():
    async def main():
        async with network.up():
            stream = f'<Connect><Stream url="wss://{network.address}/media"/></Connect>'
            network.pages["voice"] = f"<Response>{stream}</Response>"
            return await phone(network).call()

    network = Network()
    assert run(main()).errors[0].startswith("31910")


def test_a_malformed_url_fails_the_whole_document():
    network = Network(voice="<Response><Say>Hi</Say><Redirect>http://[</Redirect></Response>")
    report = call(network)
    assert (report.status, report.ended_by) == ("failed", "carrier")
    assert report.errors[0].startswith("11100")


def test_stream_callbacks_tell_of_its_life_in_iso_time():
    callback = ' statusCallback="https://voice.example.com/stream"'
    network = Network(voice=connect(stream=callback))
    call(network)
    events = [form["StreamEvent"] for name, form in network.requests if name == "stream"]
    assert events == ["stream-started", "stream-stopped"]
    assert form_of(network, "stream")["Timestamp"].endswith("Z")


SLOW = "<Response><Pause length='2'/><Say>one moment please, thank you</Say></Response>"


@pytest.mark.parametrize(
    ("voice", "hang_up_at_s", "status", "stops"),
    [
        (connect(), 0.0, "canceled", 0),
        (SLOW, 1.0, "canceled", 0),
        (SLOW, 2.5, "completed", 0),
        (connect(), 0.001, "completed", 1),
        (connect(), 0.5, "completed", 1),
        (connect(), 0.51, "completed", 1),
        (connect("<Pause length='60'/>"), 20.0, "completed", 0),
        ("<Response><Dial>+12025550111</Dial></Response>", 0.5, "completed", 0),
    ],
)
def test_the_caller_may_hang_up_at_any_moment(voice, hang_up_at_s, status, stops):
    bot = leaves if "60" in voice else listens
    network = Network(bot, voice=voice)
    report = call(network, SilentCaller(60_000), hang_up_at_s=hang_up_at_s)
    assert (report.status, report.ended_by) == (status, "caller")
    assert sum(len(line.of("stop")) for line in network.lines) == stops


def test_the_caller_may_hang_up_while_the_webhook_thinks():
    class Slow(Network):
        async def answer(self, request):
            await asyncio.sleep(5)
            return await super().answer(request)

    report = call(Slow(), hang_up_at_s=1.0)
    assert (report.status, report.verbs) == ("canceled", ())


def test_the_caller_may_hang_up_during_the_handshake():
    class Slow(Network):
        async def media(self, socket):
            await asyncio.sleep(5)
            await super().media(socket)

    network = Slow()
    report = call(network, hang_up_at_s=1.0)
    assert (report.status, report.ended_by, report.frames_sent) == ("completed", "caller", 0)


def test_a_handshake_without_an_answer_is_given_up():
    class Mute(Network):
        async def media(self, socket):
            await asyncio.sleep(60)

    report = call(Mute())
    assert report.errors[0].startswith("31901")


def test_the_phone_can_be_put_down_from_outside():
    async def main():
        async with network.up():
            caller = phone(network, SilentCaller(60_000))
            asyncio.get_running_loop().call_later(1.234, caller.hang_up)
            return await caller.call()

    network = Network()
    report = run(main())
    assert report.ended_by == "caller"
    assert report.duration_s == pytest.approx(1.234, abs=0.005)


def test_the_carrier_ends_a_call_that_never_ends():
    network = Network()
    report = call(network, Monologue(b"", hang_up=False), max_call_s=30)
    assert (report.ended_by, report.status) == ("carrier", "completed")
    assert network.line.of("stop")


ALL = ("initiated", "ringing", "answered", "completed")


def statuses(network: Network) -> list[tuple[str, str]]:
    return [
        (form["CallStatus"], form["SequenceNumber"])
        for name, form in network.requests
        if name == "status"
    ]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({}, [("completed", "0")]),
        (
            {"events": ALL},
            [("initiated", "0"), ("ringing", "1"), ("in-progress", "2"), ("completed", "3")],
        ),
        ({"copies": 2}, [("completed", "0")] * 2),
        (
            {"events": ("answered", "completed"), "reversed": True},
            [("completed", "1"), ("in-progress", "0")],
        ),
    ],
)
def test_progress_is_reported_as_unreliably_as_asked(plan, expected):
    network = Network()
    call(network, status_callbacks=StatusCallbacks(PUBLIC + "/status", **plan))
    # Requests of one instant race each other, as the carrier's do.
    assert sorted(statuses(network)) == sorted(expected)
    assert not network.forged


def test_late_callbacks_are_awaited_and_carry_the_duration():
    network = Network()
    plan = StatusCallbacks(PUBLIC + "/status", delay_s=90)
    report = call(network, SilentCaller(61_000), status_callbacks=plan)
    form = form_of(network, "status")
    assert (form["CallDuration"], form["Duration"]) == ("61", "2")
    assert form["CallbackSource"] == "call-progress-events"
    assert form["Timestamp"].endswith(" GMT")
    assert report.duration_s == pytest.approx(61, abs=0.1)


def test_callbacks_that_fail_are_told_in_the_report():
    network = Network()
    plan = StatusCallbacks(PUBLIC + "/status")
    report = call(network, status_callbacks=plan, faults=Faults(status_signing=Signing.WRONG))
    assert report.errors == ("11200: callback answered 403",)
    assert network.forged == ["status"]


def test_a_server_that_is_away_fails_the_call_and_its_callbacks():
    async def main():
        stranger = Phone(
            "http://127.0.0.1:1/voice",
            auth_token=TOKEN,
            caller=SilentCaller(1),
            status_callbacks=StatusCallbacks("http://127.0.0.1:1/status"),
        )
        return await stranger.call()

    report = run(main())
    assert report.status == "failed"
    assert report.errors == (
        "11200: webhook failed (ConnectError)",
        "11200: callback failed (ConnectError)",
    )


@pytest.mark.parametrize("signing", [Signing.WRONG, Signing.MISSING])
def test_a_forged_webhook_is_refused(signing):
    report = call(Network(), faults=Faults(webhook_signing=signing))
    assert (report.status, report.errors) == ("failed", ("11200: webhook answered 403",))


@pytest.mark.parametrize("signing", [Signing.WRONG, Signing.MISSING])
def test_a_forged_media_socket_is_refused(signing):
    network = Network()
    report = call(network, faults=Faults(media_signing=signing))
    assert network.forged == ["media"]
    assert report.errors[0].startswith("31920")
    assert report.frames_sent == 0


def test_an_abrupt_loss_closes_with_1006_and_no_stop():
    network = Network()
    report = call(network, SilentCaller(60_000), faults=Faults(drop_at_s=1.5))
    assert not network.line.of("stop")
    assert network.line.close_code in {1005, 1006}  # uvicorn says 1005 for both
    assert (report.duration_s, report.ended_by) == (1.5, "caller")


def test_after_a_broken_stream_the_call_may_go_on():
    network = Network(voice=connect("<Say>Sorry</Say>"))
    report = call(network, faults=Faults(drop_at_s=0.5, drop_ends_call=False))
    assert report.said == ("Sorry",)
    assert report.errors == ("31903: connection broken in mid-stream",)


def test_any_message_can_be_slipped_in_at_its_time():
    raw = ((0.1, "not json"), (0.05, '{"event":"media"}'), (0.2, '{"event":"party"}'))

    async def bot(line):
        while True:
            seen.append(await line.socket.receive_text())

    seen: list[str] = []
    call(Network(bot), faults=Faults(raw_messages=raw))
    slipped_in = [message for message in seen if message in {text for _, text in raw}]
    assert slipped_in == ['{"event":"media"}', "not json", '{"event":"party"}']


def test_a_stolen_token_and_a_false_name_can_be_presented():
    network = Network()
    faults = Faults(parameters={"token": "stolen"}, stream_call_sid="CA" + "f" * 32)
    call(network, faults=faults)
    start = network.line.of("start")[0]["start"]
    assert start["customParameters"] == {"token": "stolen"}
    assert start["callSid"] == "CA" + "f" * 32


def test_the_token_of_a_call_is_at_hand_for_a_thief():
    async def main():
        async with network.up():
            victim = phone(network)
            await victim.call()
            return victim.parameters

    network = Network()
    assert run(main()) == {"token": "t-1"}


def test_start_and_stop_can_be_left_out():
    network = Network()
    call(network, faults=Faults(skip_start=True, skip_stop=True))
    assert {message["event"] for message in network.line.messages} == {"connected", "media"}


def test_a_server_that_dies_in_mid_stream_is_reported():
    async def bot(line):
        await line.next("media")
        await line.socket.send({"type": "websocket.close", "code": 1011})

    network = Network(bot, voice=connect("<Say>Sorry</Say>"))
    report = call(network, SilentCaller(60_000))
    assert report.close_codes == (1011,)
    assert report.said == ("Sorry",)


async def converses(line: Line) -> None:
    """Greets, falls silent when spoken over, and answers each thing said after 500 ms."""
    talking_until = line.loop.time() + 3
    await line.next("start")
    await line.say(tone(3000))
    heard_at = None
    while True:
        message = await line.next()
        if message["event"] == "stop":
            return
        if message["event"] != "media":
            continue
        loud = message["media"]["payload"][:2] != "//"
        if loud and talking_until > line.loop.time():
            await line.send("clear")
            talking_until = 0.0
        if loud:
            heard_at = line.loop.time()
        elif heard_at is not None and line.loop.time() - heard_at >= 0.5 - 1e-9:
            heard_at = None
            await line.say(tone(1000))
            talking_until = line.loop.time() + 1


def conversation() -> Conversation:
    turns = (
        Turn(start=0, end=1, interrupt_after_s=1.0),
        Turn(start=1, end=2.5),
        Turn(digits="42"),
        Turn(start=3, end=3.5),
    )
    return Conversation(Script(turns=turns, respond=True, max_wait_s=5), tone(4000))


def test_a_conversation_is_measured_at_the_caller_s_ear():
    report = call(Network(converses), conversation())
    assert report.first_audio_ms == 0
    assert len(report.barge_ins) == 1
    assert 0 <= report.barge_ins[0].silent_after_ms <= 40
    assert report.reply_ms == (500, 500, 500)
    assert report.digits == "42"
    assert len(report.caller_spurts) == 3
    assert report.longest_agent_gap_ms == 500
    assert report.dropped_audio_ms == pytest.approx(2000, abs=50)


def test_the_same_conversation_twice_gives_the_same_messages_and_report():
    def once():
        network = Network(converses)
        report = call(network, conversation(), call_sid="CA" + "1" * 32)
        return network.line.messages, report

    first, second = once(), once()
    assert first == second


def test_both_sides_are_recorded_as_the_caller_heard_them(tmp_path):
    async def main():
        async with network.up():
            caller = phone(network, Monologue(tone(600)))
            await caller.call()
            caller.save(tmp_path / "both.wav")

    network = Network(speaks)
    run(main())
    caller, agent = wav.read(tmp_path / "both.wav").channels
    assert caller[: 8 * 600] == tone(600)
    assert agent[: 8 * 1000] == tone(1000)
    assert loudness(agent[8 * 1000 :]) == 0
    assert len(caller) == len(agent) == 8 * 1620


def test_many_calls_share_one_loop():
    async def main():
        async with network.up():
            calls = [phone(network, conversation(), call_sid=f"CA{n:032d}") for n in range(20)]
            return await asyncio.gather(*(each.call() for each in calls))

    network = Network(converses)
    reports = run(main())
    assert {report.reply_ms for report in reports} == {(500, 500, 500)}
    assert len({report.call_sid for report in reports}) == 20


@pytest.mark.slow
def test_in_real_time_no_frame_comes_before_its_time():
    async def main():
        async with network.up():
            began = asyncio.get_running_loop().time()
            return began, await phone(network, SilentCaller(1500)).call()

    network = Network(speaks)
    began, report = asyncio.run(main())
    arrivals = [frame["at"] for frame in network.line.of("media")]
    assert len(arrivals) == 74
    for number, at in enumerate(arrivals, start=1):
        assert at >= began + 0.02 * number - 0.001
    assert report.agent_audio_ms == 1000
