from __future__ import annotations

import json
from base64 import b64decode, b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twilio.carrier import CONNECTED, STREAM_SID, dtmf, mark, media, start, stop
from voice_server.call.events import (
    AudioHeard,
    DigitPressed,
    MarkPlayed,
    MediaStopped,
    StopCause,
)
from voice_server.call.voice_activity import loudness
from voice_server.twilio import wire
from voice_server.twilio.wire import FrameWriter, Problem

VOICE = bytes(range(160))


def heard(message: object) -> object:
    text = message if isinstance(message, str) else json.dumps(message)
    return wire.hear(text, STREAM_SID)


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (media(VOICE, at_ms=5), AudioHeard(VOICE, loudness(VOICE), 5)),
        (dtmf("#"), DigitPressed("#")),
        (dtmf("A", track="inbound"), DigitPressed("A")),
        (mark("my label"), MarkPlayed("my label")),
        (mark(""), MarkPlayed("")),
        (stop(), MediaStopped(StopCause.CALLER_HUNG_UP)),
        (CONNECTED, Problem.WRONG_ORDER),
        (start({}), Problem.WRONG_ORDER),
    ],
)
def test_every_message_of_a_started_stream_has_its_meaning(message, event):
    assert heard(message) == event


def test_the_opening_messages_are_read():
    assert isinstance(wire.decode(json.dumps(CONNECTED)), wire.Connected)
    opening = wire.decode(json.dumps(start({"call": "c", "token": "t"})))
    assert isinstance(opening, wire.Start)
    assert opening.is_mulaw
    assert opening.start.custom_parameters == {"call": "c", "token": "t"}


def test_a_start_without_parameters_is_read():
    message = start({})
    del message["start"]["customParameters"]
    opening = wire.decode(json.dumps(message))
    assert isinstance(opening, wire.Start)
    assert opening.start.custom_parameters == {}


def test_unknown_fields_are_passed_over():
    message = {**media(VOICE, at_ms=1, novelty="x"), "another": {"deep": [1, 2]}}
    assert heard(message) == AudioHeard(VOICE, loudness(VOICE), 1)


def test_numbers_may_come_as_numbers():
    message = media(VOICE)
    message["media"]["timestamp"] = 77
    assert heard(message) == AudioHeard(VOICE, loudness(VOICE), 77)


def _without(message: dict, *path: str) -> dict:
    copy = json.loads(json.dumps(message))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return copy


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("", Problem.NOT_JSON),
        ("nul", Problem.NOT_JSON),
        ('{"event":"media"', Problem.NOT_JSON),
        ("\ud800", Problem.NOT_JSON),
        ("[" * 60_000, Problem.BAD_FIELD),
        ('{"event":"media","x":' + "[" * 60_000, Problem.NOT_JSON),
        ("[]", Problem.BAD_FIELD),
        ('"media"', Problem.BAD_FIELD),
        ('{"event":7}', Problem.BAD_FIELD),
        ("{}", Problem.UNKNOWN_EVENT),
        ({"event": "Media"}, Problem.UNKNOWN_EVENT),
        ({"event": "telepathy"}, Problem.UNKNOWN_EVENT),
        (_without(media(), "media"), Problem.BAD_FIELD),
        (_without(media(), "media", "payload"), Problem.BAD_FIELD),
        (_without(media(), "media", "timestamp"), Problem.BAD_FIELD),
        (_without(media(), "streamSid"), Problem.BAD_FIELD),
        (_without(mark("m"), "mark", "name"), Problem.BAD_FIELD),
        (_without(dtmf("1"), "dtmf", "digit"), Problem.BAD_FIELD),
        (_without(stop(), "streamSid"), Problem.BAD_FIELD),
        (_without(start({}), "start", "callSid"), Problem.BAD_FIELD),
        (_without(start({}), "start", "mediaFormat"), Problem.BAD_FIELD),
        (media(timestamp="soon"), Problem.BAD_FIELD),
        (media(timestamp="-1"), Problem.BAD_FIELD),
        (media(timestamp="1e999"), Problem.BAD_FIELD),
        (media(timestamp="9" * 30), Problem.BAD_FIELD),
        (media(payload="*"), Problem.BAD_AUDIO),
        (media(payload="YQ"), Problem.BAD_AUDIO),
        (media(payload="YW Jj"), Problem.BAD_AUDIO),
        (media(b""), Problem.BAD_AUDIO),
        (media(bytes(8_001)), Problem.BAD_AUDIO),
        (media(track="outbound"), Problem.WRONG_TRACK),
        (dtmf("1", track="outbound_track"), Problem.WRONG_TRACK),
        (dtmf(""), Problem.BAD_DIGIT),
        (dtmf("12"), Problem.BAD_DIGIT),
        (dtmf("a"), Problem.BAD_DIGIT),
        (media(stream_sid="MZother"), Problem.WRONG_STREAM),
        ({**mark("m"), "streamSid": ""}, Problem.WRONG_STREAM),
        ({**stop(), "streamSid": "MZother"}, Problem.WRONG_STREAM),
    ],
)
def test_what_cannot_be_used_is_named(message, problem):
    assert heard(message) is problem


def test_binary_and_oversize_frames_are_named():
    assert wire.decode(None) is Problem.NOT_TEXT
    assert wire.decode(" " * (wire.MAX_MESSAGE + 1)) is Problem.OVERSIZE


def test_one_second_of_audio_is_the_most_a_frame_may_hold():
    assert isinstance(heard(media(bytes(8_000))), AudioHeard)


@pytest.mark.parametrize(
    ("encoding", "rate", "channels", "mulaw"),
    [
        ("audio/x-mulaw", 8000, 1, True),
        ("audio/x-mulaw", 16000, 1, False),
        ("audio/x-mulaw", 8000, 2, False),
        ("audio/l16", 8000, 1, False),
    ],
)
def test_only_phone_audio_counts_as_such(encoding, rate, channels, mulaw):
    message = start({}, encoding=encoding)
    message["start"]["mediaFormat"].update(sampleRate=rate, channels=channels)
    opening = wire.decode(json.dumps(message))
    assert isinstance(opening, wire.Start)
    assert opening.is_mulaw is mulaw


@given(st.text())
def test_no_text_raises(text):
    assert isinstance(wire.decode(text), Problem)


@given(st.binary())
def test_no_bytes_read_as_text_raise(data):
    assert isinstance(wire.decode(data.decode("utf-8", "surrogateescape")), Problem)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_WHOLE = [CONNECTED, start({"a": "b"}), media(VOICE), dtmf("1"), mark("m"), stop()]


@given(st.sampled_from(_WHOLE), st.data())
def test_no_message_with_anything_in_place_of_a_field_raises(message, data):
    copy = json.loads(json.dumps(message))
    inner = copy
    while True:
        name = data.draw(st.sampled_from(sorted(inner)))
        if not isinstance(inner[name], dict) or not inner[name] or data.draw(st.booleans()):
            break
        inner = inner[name]
    inner[name] = data.draw(_JSON)
    text = json.dumps(copy)
    wire.hear(text, STREAM_SID)
    assert wire.decode(text) is not None


@given(st.sampled_from(_WHOLE), st.data())
def test_no_message_cut_anywhere_raises(message, data):
    text = json.dumps(message)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    assert wire.decode(cut) is Problem.NOT_JSON


@given(st.binary(min_size=1, max_size=400), st.integers(0, 10**9))
def test_audio_arrives_as_it_was_sent(mulaw, at_ms):
    assert heard(media(mulaw, at_ms=at_ms)) == AudioHeard(mulaw, loudness(mulaw), at_ms)


@given(st.binary(max_size=2_000))
def test_audio_leaves_as_plain_json_that_echoes_the_stream(mulaw):
    frame = json.loads(FrameWriter(STREAM_SID).media(mulaw))
    assert frame == {
        "event": "media",
        "streamSid": STREAM_SID,
        "media": {"payload": b64encode(mulaw).decode()},
    }
    assert b64decode(frame["media"]["payload"]) == mulaw


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.text(max_size=40))
def test_marks_and_clears_survive_any_name(name, sid):
    try:
        sid.encode()
    except UnicodeEncodeError:
        sid = "MZ"
    writer = FrameWriter(sid)
    assert json.loads(writer.mark(name)) == {
        "event": "mark",
        "streamSid": sid,
        "mark": {"name": name},
    }
    assert json.loads(writer.clear) == {"event": "clear", "streamSid": sid}


def test_a_mark_of_ours_comes_back_under_its_name():
    sent = msgspec.json.decode(FrameWriter(STREAM_SID).mark("turn 3/1"))
    assert heard({**sent, "sequenceNumber": "4"}) == MarkPlayed("turn 3/1")
