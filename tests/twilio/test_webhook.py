from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import xml.etree.ElementTree as ET
from urllib.parse import urlencode

import httpx
import pytest

from tests.twilio.carrier import (
    CALL_SID,
    CALLER,
    PUBLIC_URL,
    Edge,
    call_fields,
    serving,
    settings,
    sign,
    stream_parameters,
)
from tests.twilio.desk import OUR_NUMBER, FakeDesk
from voice_server.errors import Refused, ServiceUnavailable
from voice_server.twilio.desk import (
    Attempt,
    CarrierStatus,
    Dial,
    Dialled,
    HangUp,
    Hold,
    Reconnect,
    Ringing,
    Seat,
    StatusChange,
)
from voice_server.twilio.inbox import MAX_BODY
from voice_server.twilio.webhook import Admissions, parse_ringing

PATHS = ["/twilio/voice", "/twilio/after", "/twilio/status"]


def verbs(response: httpx.Response) -> list[str]:
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/xml")
    return [node.tag for node in ET.fromstring(response.text)]


async def test_a_call_is_answered_with_a_stream_to_our_public_address(edge):
    response = await edge.post("/twilio/voice", call_fields())
    connect = ET.fromstring(response.text).find("Connect")
    stream = connect.find("Stream")
    assert connect.attrib["action"] == PUBLIC_URL + "/twilio/after"
    assert stream.attrib == {
        "url": "wss://voice.example.com/twilio/media",
        "statusCallback": PUBLIC_URL + "/twilio/status",
    }
    assert set(stream_parameters(response.text)) == {"call", "token"}
    assert edge.desk.ringing == [
        Ringing(CALL_SID, CALLER, OUR_NUMBER, "inbound", "ringing", "AC" + "0" * 32)
    ]
    assert edge.count("webhooks_total", path="/twilio/voice", result="answered") == 1


async def test_a_get_webhook_is_answered_as_well(edge):
    path = "/twilio/voice?" + urlencode(call_fields())
    headers = {"X-Twilio-Signature": sign(PUBLIC_URL + path)}
    response = await edge.send("GET", path, headers=headers)
    assert verbs(response) == ["Connect"]
    assert edge.desk.ringing[0].caller_number == CALLER


async def test_a_json_webhook_is_answered_as_well(edge):
    body = json.dumps({**call_fields(), "Extra": {"deep": 1}, "Count": 3})
    path = "/twilio/voice?bodySHA256=" + hashlib.sha256(body.encode()).hexdigest()
    headers = {
        "X-Twilio-Signature": sign(PUBLIC_URL + path),
        "Content-Type": "application/json; charset=utf-8",
    }
    assert verbs(await edge.send("POST", path, content=body, headers=headers)) == ["Connect"]
    forged = await edge.send("POST", path, content=body + " ", headers=headers)
    assert forged.status_code == 403


async def test_a_json_body_that_is_no_object_is_unreadable(edge):
    path = "/twilio/voice?bodySHA256=" + hashlib.sha256(b"[1]").hexdigest()
    headers = {
        "X-Twilio-Signature": sign(PUBLIC_URL + path),
        "Content-Type": "application/json",
    }
    assert (await edge.send("POST", path, content="[1]", headers=headers)).status_code == 400


async def test_the_proxys_host_header_and_query_order_do_not_matter_and_matter(edge):
    path = "/twilio/voice?b=2&a=1"
    headers = {
        "X-Twilio-Signature": sign(PUBLIC_URL + path, call_fields()),
        "Host": "10.1.2.3:8080",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example.com",
    }
    assert (await edge.post(path, call_fields(), headers)).status_code == 200
    swapped = await edge.post("/twilio/voice?a=1&b=2", call_fields(), headers)
    assert swapped.status_code == 403


@pytest.mark.parametrize("path", PATHS)
async def test_every_webhook_refuses_and_counts_what_twilio_did_not_sign(edge, path):
    for headers in (
        {"User-Agent": "no signature"},
        {"X-Twilio-Signature": ""},
        {"X-Twilio-Signature": sign(PUBLIC_URL + path, call_fields(), secret="other")},
        {"X-Twilio-Signature": sign("https://evil.example.com" + path, call_fields())},
    ):
        assert (await edge.post(path, call_fields(), headers)).status_code == 403
    assert (await edge.send("GET", path)).status_code == 403
    assert edge.count("webhooks_total", path=path, result="forged") == 5
    assert edge.desk.ringing == []
    assert edge.desk.changes == []


async def test_unsigned_calls_from_this_machine_pass_in_development_only():
    unsigned = {"User-Agent": "curl"}
    async with serving(settings(insecure_webhooks=True, public_url="")) as edge:
        response = await edge.post("/twilio/voice", call_fields(), unsigned)
        stream = ET.fromstring(response.text).find("Connect/Stream")
        assert stream.attrib["url"] == edge.base.replace("http", "ws") + "/twilio/media"
        tunnelled = {**unsigned, "X-Forwarded-For": "203.0.113.9"}
        assert (await edge.post("/twilio/voice", call_fields(), tunnelled)).status_code == 403
        assert edge.count("insecure_webhooks") == 1


async def test_only_the_call_sid_must_be_there(edge):
    response = await edge.post("/twilio/voice", {"CallSid": CALL_SID, "To": OUR_NUMBER})
    assert verbs(response) == ["Connect"]
    assert edge.desk.ringing == [Ringing(CALL_SID, "", OUR_NUMBER, "inbound", "", "")]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sid", [None, "", "CA1\n", "CA 1", "C" * 65])
async def test_a_request_without_a_call_sid_is_unreadable(edge, path, sid):
    fields = call_fields()
    if sid is None:
        del fields["CallSid"]
    else:
        fields["CallSid"] = sid
    assert (await edge.post(path, fields)).status_code == 400
    assert edge.count("webhooks_total", path=path, result="unreadable") == 1


@pytest.mark.parametrize(
    ("said", "direction"),
    [("inbound", "inbound"), ("outbound-api", "outbound"), ("outbound-dial", "outbound")],
)
def test_twilios_three_directions_are_two_of_ours(said, direction):
    assert parse_ringing(call_fields(Direction=said)).direction == direction


async def test_a_body_that_is_too_long_is_not_read(edge):
    response = await edge.send("POST", "/twilio/voice", content=b"a=" + b"x" * MAX_BODY)
    assert response.status_code == 413


async def test_a_body_of_too_many_fields_or_broken_text_is_unreadable(edge):
    many = "&".join(f"f{number}=1" for number in range(501))
    assert (await edge.send("POST", "/twilio/voice", content=many)).status_code == 400
    assert (await edge.send("POST", "/twilio/voice", content=b"\xff\xfe")).status_code == 400


async def test_a_sender_who_leaves_in_the_middle_of_a_body_does_no_harm(edge):
    host, port = edge.base.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /twilio/voice HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\nCallSid=")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert verbs(await edge.post("/twilio/voice", call_fields())) == ["Connect"]


async def test_an_unknown_number_is_rejected_unbilled(edge):
    response = await edge.post("/twilio/voice", call_fields(To="+18005550199"))
    assert verbs(response) == ["Reject"]
    assert edge.count("calls_refused_total", status="404") == 1


@pytest.mark.parametrize(
    ("refusal", "direction", "answer", "status"),
    [
        (Refused("full", status=503), "inbound", ["Say", "Hangup"], "503"),
        (Refused("plan limit", status=429), "inbound", ["Say", "Hangup"], "429"),
        (Refused("blocked", status=403), "inbound", ["Reject"], "403"),
        (Refused("unknown", status=404), "outbound-api", ["Hangup"], "404"),
        (ServiceUnavailable("store", "away"), "inbound", ["Say", "Hangup"], "503"),
        (TimeoutError(), "inbound", ["Say", "Hangup"], "503"),
    ],
)
async def test_a_refused_caller_hears_something_polite(edge, refusal, direction, answer, status):
    edge.desk.refusal = refusal
    response = await edge.post("/twilio/voice", call_fields(Direction=direction))
    assert verbs(response) == answer
    assert edge.count("calls_refused_total", status=status) == 1


async def test_a_repeated_webhook_gets_the_same_call_and_a_new_token(edge):
    first, second = await edge.ring(), await edge.ring()
    assert first["call"] == second["call"]
    assert first["token"] != second["token"]
    assert len(edge.desk.ringing) == 1


async def test_a_webhook_repeated_while_the_first_is_still_open_gets_the_same_call(edge):
    edge.desk.open_door.clear()
    answers = [asyncio.create_task(edge.ring()) for _ in range(5)]
    async with asyncio.timeout(30):
        await edge.desk.rang.wait()
    edge.desk.open_door.set()
    assert {answer["call"] for answer in await asyncio.gather(*answers)} == {"call-1"}
    assert len(edge.desk.ringing) == 1


async def test_a_refused_call_may_try_again():
    desk = FakeDesk()
    admissions = Admissions(desk)
    ringing = parse_ringing(call_fields())
    desk.refusal = Refused("full", status=503)
    with pytest.raises(Refused):
        await admissions.admit(ringing)
    desk.refusal = None
    assert await admissions.admit(ringing) == "call-1"


async def test_calls_that_are_long_past_are_forgotten():
    desk = FakeDesk()
    admissions = Admissions(desk, capacity=2)
    for sid in ("A", "B", "C", "A"):
        await admissions.admit(parse_ringing(call_fields(sid)))
    assert [ringing.carrier_call_id for ringing in desk.ringing] == ["A", "B", "C", "A"]
    gc.collect()
    assert len(admissions._locks) == 0


AFTER = call_fields(CallStatus="in-progress")
SECOND = "call=call-1&attempt=2"


async def test_after_the_stream_the_desk_says_how_to_go_on(edge):
    await edge.ring()
    assert verbs(await edge.post("/twilio/after", AFTER)) == ["Hangup"]
    edge.desk.next_step = Dial("+14155550777", Attempt("call-1", 2))
    response = await edge.post("/twilio/after", AFTER)
    dial = ET.fromstring(response.text).find("Dial")
    assert dial.attrib["action"] == f"{PUBLIC_URL}/twilio/after?{SECOND}"
    status_url = dial.find("Number").attrib["statusCallback"]
    assert status_url == f"{PUBLIC_URL}/twilio/human-status?{SECOND}"
    assert dial.findtext("Number") == "+14155550777"


async def test_a_call_that_goes_on_gets_a_new_stream_with_a_fresh_token(edge):
    first = await edge.ring()
    edge.desk.next_step = Reconnect(first["call"])
    again = stream_parameters((await edge.post("/twilio/after", AFTER)).text)
    assert again["call"] == first["call"]
    assert again["token"] != first["token"]


async def test_asking_twice_gets_the_same_answer(edge):
    await edge.ring()
    edge.desk.next_step = Dial("+14155550777", Attempt("call-1", 2))
    answers = [(await edge.post("/twilio/after", AFTER)).text for _ in range(2)]
    assert answers[0] == answers[1]


async def test_a_call_nobody_knows_is_hung_up(edge):
    assert verbs(await edge.post("/twilio/after", AFTER)) == ["Hangup"]
    assert verbs(await edge.post("/twilio/after", {"CallSid": CALL_SID})) == ["Hangup"]


async def test_a_call_that_is_over_is_not_revived(edge):
    first = await edge.ring()
    edge.desk.next_step = Reconnect(first["call"])
    response = await edge.post("/twilio/after", call_fields(CallStatus="completed"))
    assert verbs(response) == ["Hangup"]


@pytest.mark.parametrize(
    ("said", "answered", "answer"),
    [
        ("completed", True, ["Hangup"]),
        ("answered", True, ["Hangup"]),
        ("busy", False, ["Say", "Hangup"]),
        ("no-answer", False, ["Say", "Hangup"]),
        ("failed", False, ["Say", "Hangup"]),
        ("canceled", False, ["Say", "Hangup"]),
        ("something new", False, ["Say", "Hangup"]),
    ],
)
async def test_after_a_handover_the_caller_is_not_left_in_silence(edge, said, answered, answer):
    await edge.ring()
    response = await edge.post(f"/twilio/after?{SECOND}", {**AFTER, "DialCallStatus": said})
    assert verbs(response) == answer
    assert edge.desk.dialled == [(Attempt("call-1", 2), Dialled(answered))]


async def test_an_unanswered_handover_may_bring_the_agent_back(edge):
    first = await edge.ring()
    edge.desk.next_step = Reconnect(first["call"])
    response = await edge.post(f"/twilio/after?{SECOND}", {**AFTER, "DialCallStatus": "busy"})
    assert verbs(response) == ["Connect"]
    edge.desk.next_step = HangUp()


async def test_a_caller_fetched_back_from_hold_has_been_answered_by_nobody(edge):
    first = await edge.ring()
    edge.desk.next_step = Reconnect(first["call"])
    assert verbs(await edge.post(f"/twilio/back?{SECOND}&since=1000", AFTER)) == ["Connect"]
    assert edge.desk.dialled == [(Attempt("call-1", 2), Dialled(answered=False))]
    assert edge.desk.left_seats == [(Seat(Attempt("call-1", 2), 1000), CALL_SID)]


async def test_the_desk_hears_who_was_dialled_and_for_how_long(edge):
    await edge.ring()
    leg = {"DialCallStatus": "completed", "DialCallSid": "CAhuman", "DialCallDuration": "61"}
    await edge.post(f"/twilio/after?{SECOND}", {**AFTER, **leg})
    assert edge.desk.dialled == [(Attempt("call-1", 2), Dialled(True, "CAhuman", 61))]
    assert edge.desk.left_seats == []  # it was no conference


@pytest.mark.parametrize("query", ["", "?call=call-1", "?attempt=2", "?call=call-1&attempt=x"])
async def test_an_attempt_that_a_url_does_not_name_is_nobodys(edge, query):
    await edge.ring()
    await edge.post(f"/twilio/after{query}", {**AFTER, "DialCallStatus": "busy"})
    ((attempt, _),) = edge.desk.dialled
    assert not attempt.call_id or not attempt.number


async def test_a_caller_on_hold_waits_in_a_conference_and_its_url_knows_since_when(edge):
    await edge.ring()
    seat = Seat(Attempt("call-1", 2), 1_000)
    edge.desk.next_step = Hold(seat)
    dial = ET.fromstring((await edge.post("/twilio/after", AFTER)).text).find("Dial")
    assert dial.findtext("Conference") == "transfer-call-1-2"
    edge.desk.next_step = HangUp()
    after = dial.attrib["action"].removeprefix(PUBLIC_URL)
    for status in ("in-progress", "completed"):  # also of a caller who hangs up in it
        await edge.post(after, {**AFTER, "DialCallStatus": "answered", "CallStatus": status})
    assert edge.desk.left_seats == [(seat, CALL_SID)] * 2


HUMAN_LEG = call_fields(CallSid="CAhuman", CallStatus="in-progress")


async def test_a_human_hears_the_whisper_and_is_let_in_by_the_right_key_once(edge):
    edge.desk.whispers[Attempt("call-1", 2)] = "A leak."
    asked = ET.fromstring((await edge.post(f"/twilio/human?{SECOND}", HUMAN_LEG)).text)
    gather = asked.find("Gather")
    assert gather.attrib["action"] == f"{PUBLIC_URL}/twilio/human?{SECOND}"
    assert gather.findtext("Say").startswith("A leak.")
    for key, answer in (("2", ["Say", "Hangup"]), ("1", ["Dial"]), ("1", ["Say", "Hangup"])):
        response = await edge.post(f"/twilio/human?{SECOND}", {**HUMAN_LEG, "Digits": key})
        assert verbs(response) == answer


async def test_a_human_who_has_talked_to_the_caller_has_left_the_conference(edge):
    edge.desk.whispers[Attempt("call-1", 2)] = "A leak."
    accepted = await edge.post(f"/twilio/human?{SECOND}", {**HUMAN_LEG, "Digits": "1"})
    after = ET.fromstring(accepted.text).find("Dial").attrib["action"].removeprefix(PUBLIC_URL)
    response = await edge.post(after, {**HUMAN_LEG, "DialCallStatus": "answered"})
    assert verbs(response) == ["Hangup"]
    assert edge.desk.left_seats == [(Seat(Attempt("call-1", 2), 2_000), "CAhuman")]


async def test_a_human_who_comes_too_late_is_told_so(edge):
    response = await edge.post(f"/twilio/human?{SECOND}", HUMAN_LEG)
    assert verbs(response) == ["Say", "Hangup"]


async def test_the_legs_of_humans_are_no_calls_of_ours(edge):
    for status, sequence in (("in-progress", "1"), ("in-progress", "1"), ("completed", "2")):
        fields = call_fields(CallSid="CAhuman", CallStatus=status, SequenceNumber=sequence)
        await edge.post(f"/twilio/human-status?{SECOND}", fields)
    assert [(attempt, change.status.value) for attempt, change in edge.desk.humans] == [
        (Attempt("call-1", 2), "in-progress"),
        (Attempt("call-1", 2), "completed"),
    ]
    assert edge.desk.changes == []


async def test_a_call_that_was_over_when_its_stream_closed_is_reported_as_such(edge):
    await edge.ring()
    await edge.post("/twilio/after", call_fields(CallStatus="completed"))
    assert [change.status.value for change in edge.desk.changes] == ["completed"]


async def report(edge: Edge, status: str, sequence: int, **more: str) -> None:
    fields = call_fields(CallStatus=status, SequenceNumber=str(sequence), **more)
    response = await edge.post("/twilio/status", fields)
    assert (response.status_code, response.content) == (204, b"")


async def test_status_callbacks_reach_the_desk_once_and_in_order(edge):
    await report(edge, "in-progress", 2)
    await report(edge, "ringing", 1)
    await report(edge, "in-progress", 2)
    await report(edge, "completed", 3, CallDuration="61")
    await report(edge, "completed", 3, CallDuration="61")
    await report(edge, "failed", 4)
    await report(edge, "levitating", 5)
    assert edge.desk.changes == [
        StatusChange(CALL_SID, CarrierStatus.IN_PROGRESS, -1),
        StatusChange(CALL_SID, CarrierStatus.COMPLETED, 61),
    ]
    counted = {
        result: edge.count("status_callbacks_total", result=result)
        for result in ("news", "overtaken", "repeated", "after_the_end", "unknown_status")
    }
    assert counted == {
        "news": 2,
        "overtaken": 1,
        "repeated": 2,
        "after_the_end": 1,
        "unknown_status": 1,
    }


async def test_a_status_callback_may_be_a_get(edge):
    path = "/twilio/status?" + urlencode({"CallSid": CALL_SID, "CallStatus": "busy"})
    headers = {"X-Twilio-Signature": sign(PUBLIC_URL + path)}
    assert (await edge.send("GET", path, headers=headers)).status_code == 204
    assert edge.desk.changes == [StatusChange(CALL_SID, CarrierStatus.BUSY, -1)]


@pytest.mark.parametrize(
    ("event", "error", "name", "code"),
    [
        ("stream-started", "", "stream-started", ""),
        ("stream-stopped", "", "stream-stopped", ""),
        ("stream-error", "31921", "stream-error", "31921"),
        ("stream-error", "anything a peer likes", "stream-error", ""),
        ("stream-sideways", "", "other", ""),
    ],
)
async def test_stream_events_are_counted_and_move_no_call(edge, event, error, name, code):
    fields = {
        "CallSid": CALL_SID,
        "AccountSid": "AC" + "0" * 32,
        "StreamSid": "MZ1",
        "StreamName": "s",
        "StreamEvent": event,
        "StreamError": error,
        "Timestamp": "2026-11-22T10:00:00.000Z",
    }
    assert (await edge.post("/twilio/status", fields)).status_code == 204
    assert edge.count("stream_events_total", event=name, code=code) == 1
    assert edge.desk.changes == []


async def test_no_number_is_logged_whatever_happens(edge, caplog):
    caplog.set_level("DEBUG", logger="voice_server")
    await edge.ring()
    await edge.post("/twilio/voice", call_fields("CA9", To="+18005550199"))
    await edge.post("/twilio/voice", call_fields(), {"X-Twilio-Signature": "x"})
    edge.desk.refusal = ServiceUnavailable("store", "away")
    await edge.post("/twilio/voice", call_fields("CA8"))
    said = " ".join(str(vars(record)) for record in caplog.records if "voice" in record.name)
    assert "call refused" in said
    assert CALLER not in said
    assert OUR_NUMBER not in said
    assert "+1800" not in said


# Calls that we placed


async def test_a_call_of_ours_is_named_by_our_own_id(edge):
    fields = call_fields(Direction="outbound-api", CallStatus="in-progress")
    assert (await edge.post("/twilio/voice?call=call-7", fields)).status_code == 200
    (ringing,) = edge.desk.ringing
    assert (ringing.call_id, ringing.direction) == ("call-7", "outbound")


@pytest.mark.parametrize("query", ["", "?call=", "?call=no%20id", "?call=" + "x" * 200])
async def test_what_is_no_id_of_ours_counts_as_none(edge, query):
    await edge.post(f"/twilio/voice{query}", call_fields())
    assert edge.desk.ringing[0].call_id == ""


async def test_a_status_of_a_call_of_ours_carries_its_id(edge):
    await edge.post("/twilio/status?call=call-7", call_fields(CallStatus="busy"))
    (change,) = edge.desk.changes
    assert (change.call_id, change.status) == ("call-7", "busy")


async def test_the_verdict_on_machines_reaches_the_desk(edge):
    fields = {"AccountSid": "AC1", "CallSid": CALL_SID, "AnsweredBy": "machine_start"}
    fields["MachineDetectionDuration"] = "2300"
    assert (await edge.post("/twilio/amd?call=call-7", fields)).status_code == 204
    (verdict,) = edge.desk.verdicts
    assert (verdict.call_id, verdict.answered_by) == ("call-7", "machine_start")
    assert (verdict.took_ms, verdict.is_machine) == (2_300, True)
    assert (await edge.post("/twilio/amd", {"CallSid": CALL_SID})).status_code == 400


async def test_a_recording_reaches_the_desk(edge):
    fields = {
        "CallSid": CALL_SID,
        "RecordingSid": "RE1",
        "RecordingStatus": "completed",
        "RecordingDuration": "61",
        "RecordingChannels": "2",
    }
    assert (await edge.post("/twilio/recording?call=call-7", fields)).status_code == 204
    (recorded,) = edge.desk.recordings
    assert (recorded.recording_id, recorded.status) == ("RE1", "completed")
    assert (recorded.duration_s, recorded.channels) == (61, 2)
    bad = fields | {"RecordingSid": "../../etc"}
    assert (await edge.post("/twilio/recording", bad)).status_code == 400
