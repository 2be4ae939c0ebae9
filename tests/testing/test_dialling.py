"""The simulated carrier connects phones, and lets two people meet in a conference."""

from __future__ import annotations

import asyncio

import pytest

from voice_server.testing import twiml
from voice_server.testing.dialling import Rooms, dial
from voice_server.testing.faults import DialResult
from voice_server.testing.progress import Party
from voice_server.testing.twiml import Conference, Dial
from voice_server.testing.webhook import Form

GUEST, HOST = Conference("room", False, True), Conference("room", True, True)
PARTY = Party("CA1", "AC1", "+12025550143", "+12025550100")


class Post:
    """Takes callbacks down."""

    def __init__(self) -> None:
        self.sent: list[Form] = []

    async def send(self, url: str, form: Form) -> None:
        self.sent.append(form)


def test_a_guest_waits_for_the_host_whose_leaving_ends_it(virtual):
    async def scene() -> None:
        rooms = Rooms()
        assert rooms.waits(GUEST)
        waiting = asyncio.ensure_future(rooms.stay(GUEST, None))
        await asyncio.sleep(10)
        assert rooms.met == []
        assert not rooms.waits(HOST)
        await rooms.stay(HOST, 5)
        await waiting
        assert rooms.met == ["room"]
        assert rooms.waits(GUEST)  # the next conference of this name begins anew

    virtual(scene())


def test_a_guest_who_is_fetched_away_has_met_nobody(virtual):
    async def scene() -> None:
        rooms = Rooms()
        waiting = asyncio.ensure_future(rooms.stay(GUEST, None))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert rooms.met == []

    virtual(scene())


@pytest.mark.parametrize(
    ("result", "told", "answer"),
    [
        (DialResult("completed", 61), ["in-progress", "completed"], "61"),
        (DialResult("busy"), ["busy"], None),
        (DialResult("no-answer"), ["no-answer"], None),
    ],
)
def test_the_other_leg_is_reported_and_its_length_told(virtual, result, told, answer):
    async def scene() -> None:
        post = Post()
        verb = Dial(("+1",), "", "POST", status_callback="https://h/s")
        form = await dial(verb, result, PARTY, post, None)
        assert [sent["CallStatus"] for sent in post.sent] == told
        assert {sent["CallSid"] for sent in post.sent} == {form["DialCallSid"]}
        assert post.sent[-1].get("CallDuration") == form.get("DialCallDuration") == answer

    virtual(scene())


def test_a_conference_and_a_question_are_read_as_they_are_written():
    document = twiml.parse(
        b"<Response><Gather action='/key' timeout='8'><Say>A</Say><Say>B</Say></Gather>"
        b"<Dial><Conference startConferenceOnEnter='false' endConferenceOnExit='true'>room"
        b"</Conference></Dial></Response>",
        "https://h/x",
    )
    asked, seat = document.verbs
    assert asked == twiml.Gather("A B", "https://h/key", "POST", 8.0)
    assert isinstance(seat, Dial)
    assert seat.conference == GUEST
