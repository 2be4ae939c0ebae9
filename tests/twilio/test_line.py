from __future__ import annotations

import asyncio
import json
import math
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.twilio.carrier import STREAM_SID
from voice_server.twilio.line import BYTES_PER_S, LEAD_S, MAX_ITEMS, MAX_WAITING, PIECE, StreamLine


def line(lead_s: float = LEAD_S) -> StreamLine:
    return StreamLine(STREAM_SID, lead_s=lead_s)


def taken(out: StreamLine, now: float = 0.0) -> list[bytes | str]:
    """All that is ready: audio as bytes, marks by name, clears as "<clear>"."""
    found: list[bytes | str] = []
    while (text := out.take(now)) is not None:
        frame = json.loads(text)
        assert frame["streamSid"] == STREAM_SID
        match frame["event"]:
            case "media":
                found.append(b64decode(frame["media"]["payload"]))
            case "mark":
                found.append(frame["mark"]["name"])
            case "clear":
                found.append("<clear>")
    return found


def test_audio_and_marks_leave_in_order():
    out = line()
    out.play(b"a" * 100)
    out.mark("one")
    out.play(b"b" * 100)
    out.mark("two")
    assert taken(out) == [b"a" * 100, "one", b"b" * 100, "two"]
    assert out.ready_at == math.inf


def test_long_audio_is_cut_in_pieces():
    out = line()
    out.play(bytes(PIECE * 2 + 7))
    assert [len(piece) for piece in taken(out)] == [PIECE, PIECE, 7]


def test_crumbs_are_gathered_up_to_a_piece_while_they_wait():
    out = line()
    for _ in range(20):
        out.play(b"x" * 160)
    assert [len(piece) for piece in taken(out)] == [PIECE, PIECE]


def test_crumbs_are_not_gathered_across_a_mark():
    out = line()
    out.play(b"x" * 160)
    out.mark("between")
    out.play(b"y" * 160)
    assert taken(out) == [b"x" * 160, "between", b"y" * 160]


def test_nothing_is_nothing():
    out = line()
    out.play(b"")
    assert taken(out) == []


def test_a_clear_drops_what_waits_and_goes_first():
    out = line()
    out.play(bytes(PIECE * 3))
    out.mark("gone")
    out.clear()
    out.play(b"new")
    assert taken(out) == ["<clear>", b"new"]


def test_two_clears_in_a_row_are_one():
    out = line()
    out.clear()
    out.clear()
    assert taken(out) == ["<clear>"]


def test_twilio_never_holds_more_than_the_lead_and_a_piece():
    out = line(lead_s=2.0)
    out.play(bytes(10 * BYTES_PER_S))
    sent = sum(map(len, taken(out, now=100.0)))
    assert 2.0 <= sent / BYTES_PER_S <= 2.2
    assert 100.0 < out.ready_at <= 100.4


def test_the_rest_follows_as_it_is_played_without_a_gap():
    out = line(lead_s=2.0)
    out.play(bytes(10 * BYTES_PER_S))
    now, sent = 0.0, sum(map(len, taken(out, 0.0)))
    while out.ready_at != math.inf:
        now = out.ready_at
        assert sent / BYTES_PER_S > now, "Twilio ran dry"
        sent += sum(map(len, taken(out, now)))
    assert sent == 10 * BYTES_PER_S


def test_a_clear_frees_the_lead_at_once():
    out = line(lead_s=2.0)
    out.play(bytes(10 * BYTES_PER_S))
    taken(out)
    out.clear()
    out.play(b"n" * BYTES_PER_S)
    assert len(b"".join(taken(out)[1:])) == BYTES_PER_S


def test_a_mark_waits_for_the_audio_before_it():
    out = line(lead_s=1.0)
    out.play(bytes(BYTES_PER_S + 5 * PIECE))
    out.mark("end")
    assert "end" not in taken(out, 0.0)
    assert taken(out, 10.0)[-1] == "end"


def test_an_infinite_lead_sends_all_at_once():
    out = line(lead_s=math.inf)
    out.play(bytes(60 * BYTES_PER_S))
    assert sum(map(len, taken(out))) == 60 * BYTES_PER_S


def test_sent_audio_is_counted():
    out = line()
    out.play(bytes(500))
    out.mark("m")
    taken(out)
    assert out.sent_bytes == 500


def test_a_closed_line_takes_nothing():
    out = line()
    out.play(bytes(500))
    out.close()
    out.play(bytes(500))
    out.mark("m")
    out.clear()
    assert taken(out) == []


@pytest.mark.parametrize("flood", ["audio", "marks"])
async def test_a_line_that_would_overflow_closes_itself(flood):
    out = line()
    if flood == "audio":
        out.play(bytes(MAX_WAITING))
        out.play(b"x")
    else:
        for number in range(MAX_ITEMS + 1):
            out.mark(str(number))
    assert taken(out) == []
    async with asyncio.timeout(30):
        await out.pump(_nowhere)


async def _nowhere(message: object) -> None:
    raise AssertionError("nothing was to be sent")


async def test_the_pump_sends_what_comes_while_it_waits_and_ends_with_the_line():
    out, sent = line(), asyncio.Queue()
    pump = asyncio.create_task(out.pump(sent.put))
    await asyncio.sleep(0)
    out.play(b"abc")
    out.mark("m")
    frames = [await sent.get(), await sent.get()]
    assert [json.loads(frame["text"])["event"] for frame in frames] == ["media", "mark"]
    assert {frame["type"] for frame in frames} == {"websocket.send"}
    out.close()
    await pump


async def test_the_pump_goes_on_by_itself_once_the_lead_shrinks():
    out, sent = line(lead_s=0.01), asyncio.Queue()
    pump = asyncio.create_task(out.pump(sent.put))
    out.play(bytes(160))
    out.mark("a")
    out.play(bytes(160))
    out.mark("b")
    async with asyncio.timeout(30):
        names = [json.loads((await sent.get())["text"])["event"] for _ in range(4)]
    assert names == ["media", "mark", "media", "mark"]
    out.close()
    await pump


async def test_a_dead_socket_ends_the_pump_with_an_error():
    out = line()
    out.mark("m")

    async def broken(message: object) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await out.pump(broken)


_ORDERS = st.lists(
    st.one_of(
        st.integers(0, 4 * PIECE).map(lambda size: ("play", size)),
        st.integers(0, 99).map(lambda name: ("mark", name)),
        st.just(("clear", 0)),
        st.floats(0.0, 3.0).map(lambda pause: ("wait", pause)),
    ),
    max_size=40,
)


@given(_ORDERS)
def test_whatever_is_ordered_what_arrives_is_what_was_ordered_since_the_last_clear(orders):
    out, now = line(lead_s=1.0), 0.0
    wanted: list[object] = []
    arrived: list[object] = []
    for order, value in orders:
        if order == "play":
            out.play(bytes(value))
            wanted += [0] * value
        elif order == "mark":
            out.mark(str(value))
            wanted.append(str(value))
        elif order == "clear":
            out.clear()
            wanted = []
        else:
            now += value
            arrived += taken(out, now)
    arrived += taken(out, now)
    while out.ready_at != math.inf:
        arrived += taken(out, out.ready_at)
    if "<clear>" in arrived:
        arrived = arrived[len(arrived) - arrived[::-1].index("<clear>") :]
    flat: list[object] = []
    for item in arrived:
        flat += item if isinstance(item, bytes) else [item]
    assert flat == wanted
