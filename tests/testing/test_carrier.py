from __future__ import annotations

import base64
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.testing import CarrierBuffer, MediaPeer

SECOND = 8000


def test_audio_plays_at_8000_samples_a_second_in_order():
    line = CarrierBuffer()
    line.play(b"a" * 160, 0)
    line.play(b"b" * 160, 0)
    assert line.heard(0, 480) == b"a" * 160 + b"b" * 160 + b"\xff" * 160
    assert line.segments == ((0, 320),)


def test_late_audio_leaves_a_silence():
    line = CarrierBuffer()
    line.play(b"a" * 100, 0)
    line.play(b"b" * 100, 250)
    assert line.heard(90, 260) == b"a" * 10 + b"\xff" * 150 + b"b" * 10
    assert line.segments == ((0, 100), (250, 350))


def test_a_mark_comes_back_when_all_before_it_has_played():
    line = CarrierBuffer()
    line.play(b"a" * SECOND, 0)
    line.mark("one", 0)
    line.play(b"b" * SECOND, 0)
    line.mark("two", 0)
    assert line.next_mark == SECOND
    assert line.take_marks(SECOND - 1) == []
    assert line.take_marks(SECOND) == ["one"]
    assert line.take_marks(3 * SECOND) == ["two"]
    assert line.next_mark is None


def test_a_mark_comes_back_at_once_when_nothing_is_queued():
    line = CarrierBuffer()
    line.mark("early", 0)
    line.play(b"a" * 100, 0)
    assert line.take_marks(0) == ["early"]
    line.mark("late", 500)
    assert line.take_marks(500) == ["late"]


def test_clear_drops_what_has_not_played_and_returns_every_mark():
    line = CarrierBuffer()
    line.play(b"a" * 100, 0)
    line.mark("a", 0)
    line.play(b"b" * 100, 0)
    line.mark("b", 0)
    line.clear(60)
    assert line.take_marks(60) == ["a", "b"]
    assert line.heard(0, 200) == b"a" * 60 + b"\xff" * 140
    assert (line.sent, line.dropped, line.clears) == (200, 140, [60])
    assert line.is_silent(60)
    line.play(b"c" * 10, 70)
    assert line.heard(60, 80) == b"\xff" * 10 + b"c" * 10


def test_the_end_of_the_stream_drops_the_rest_and_its_marks():
    line = CarrierBuffer()
    line.play(b"a" * 100, 0)
    line.mark("a", 0)
    line.stop(40)
    assert line.take_marks(1000) == []
    assert line.segments == ((0, 40),)


def test_a_server_that_talks_an_hour_ahead_loses_the_rest():
    line = CarrierBuffer()
    hour = 3600 * SECOND
    line.play(b"a" * (hour + 500), 0)
    line.play(b"b", 0)
    assert (line.dropped, line.segments) == (501, ((0, hour),))
    line.play(b"c" * 300, 200)
    assert line.dropped == 601


def test_more_than_ten_thousand_waiting_marks_are_refused():
    line = CarrierBuffer()
    line.play(b"a" * 100, 0)
    assert all(line.mark(str(number), 0) for number in range(10_000))
    assert not line.mark("one too many", 0)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 400),  # how much later
        st.one_of(
            st.tuples(st.just("play"), st.integers(0, 700)),
            st.tuples(st.just("mark"), st.just(0)),
            st.tuples(st.just("clear"), st.just(0)),
        ),
    ),
    max_size=40,
)


@given(STEPS)
def test_audio_is_conserved_and_marks_return_once_in_order_and_never_early(steps):
    line = CarrierBuffer()
    at, sent, ends_at = 0, 0, 0
    set_marks: list[tuple[str, int]] = []  # name and earliest instant
    returned: list[tuple[str, int]] = []
    for number, (later, (what, size)) in enumerate(steps):
        at += later
        returned += ((name, at) for name in line.take_marks(at))
        if what == "play":
            line.play(bytes([number]) * size, at)
            ends_at = max(at, ends_at) + size if size else ends_at
            sent += size
        elif what == "mark":
            line.mark(str(number), at)
            set_marks.append((str(number), max(at, ends_at)))
        else:
            line.clear(at)
            ends_at = min(at, ends_at)
            returned += ((name, at) for name in line.take_marks(at))
            set_marks = [(name, min(due, at)) for name, due in set_marks]
    end = max(at, ends_at)
    returned += ((name, end) for name in line.take_marks(end))
    played = sum(finish - begin for begin, finish in line.segments)
    assert played + line.dropped == line.sent == sent
    assert [name for name, _ in returned] == [name for name, _ in set_marks]
    assert all(back >= due for (_, back), (_, due) in zip(returned, set_marks, strict=True))
    assert line.take_marks(end + 10_000) == []
    silences = line.heard(0, end)
    for (_, finish), (begin, _) in pairwise(line.segments):
        assert set(silences[finish:begin]) <= {0xFF}


@given(STEPS)
def test_playing_never_changes_what_was_already_heard(steps):
    line, at, past = CarrierBuffer(), 0, b""
    for number, (later, (what, size)) in enumerate(steps):
        at += later
        past = line.heard(0, at)
        if what == "play":
            line.play(bytes([number]) * size, at)
        elif what == "clear":
            line.clear(at)
        assert line.heard(0, at) == past


def media(payload: object, sid: object = "MZ1") -> str:
    return json.dumps({"event": "media", "streamSid": sid, "media": {"payload": payload}})


AUDIO = base64.b64encode(b"a" * 160).decode()


def test_the_peer_plays_marks_and_clears():
    peer = MediaPeer("MZ1")
    peer.receive(media(AUDIO), 0)
    peer.receive('{"event":"mark","streamSid":"MZ1","mark":{"name":"x"}}', 0)
    assert peer.buffer.next_mark == 160
    peer.receive('{"event":"clear","streamSid":"MZ1"}', 80)
    assert peer.buffer.take_marks(80) == ["x"]
    assert peer.buffer.segments == ((0, 80),)
    assert not peer.problems
    assert peer.received == 3


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (b"\x00\x01", 31950, "binary frame"),
        ("not json", 31951, "not JSON"),
        ("[1]", 31951, "not an object"),
        (media(AUDIO, "MZ2"), 31951, "wrong streamSid"),
        ('{"event":"clear"}', 31951, "no streamSid"),
        ('{"event":"dance","streamSid":"MZ1"}', 31951, "unknown event"),
        ('{"streamSid":"MZ1"}', 31951, "unknown event"),
        (media("%%%"), 31951, "payload is not base64"),
        (media("Zm9 v"), 31951, "payload is not base64"),
        (media("ö"), 31951, "payload is not base64"),
        (media(None), 31951, "media without payload"),
        ('{"event":"media","streamSid":"MZ1","media":7}', 31951, "media without payload"),
        ('{"event":"mark","streamSid":"MZ1","mark":{}}', 31951, "mark without name"),
    ],
)
def test_what_cannot_be_used_is_dropped_and_counted(message, code, reason):
    peer = MediaPeer("MZ1")
    peer.receive(message, 0)
    peer.receive(message, 5)
    assert peer.problems == {(code, reason): 2}
    assert peer.buffer.is_silent(5)
    assert peer.buffer.next_mark is None


@given(st.one_of(st.binary(), st.text(), st.builds(media, st.text(), st.sampled_from(["MZ1", 1]))))
def test_no_message_makes_the_carrier_fail(message):
    MediaPeer("MZ1").receive(message, 0)
