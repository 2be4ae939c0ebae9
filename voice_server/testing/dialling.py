"""What the carrier does at `<Dial>`: another phone, or a conference where two people meet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import httpx

from voice_server.testing.faults import DialResult
from voice_server.testing.progress import Party
from voice_server.testing.twiml import Conference, Dial
from voice_server.testing.webhook import Form, WebhookClient

MUSIC = "[music on hold]"  # among what the carrier said


class _Room:
    """One conference."""

    def __init__(self) -> None:
        self.people = 0
        self.begun = False
        self.over = asyncio.Event()


class Rooms:
    """The conferences of an account, by name. `met` names those in which two people talked.

    `left` is told of each stay how long it was, in seconds.
    """

    def __init__(self, left: Callable[[float], None] = lambda _seconds: None) -> None:
        self._rooms: dict[str, _Room] = {}
        self._left = left
        self.met: list[str] = []

    def waits(self, seat: Conference) -> bool:
        """Whether who takes the seat waits for the conference to begin."""
        room = self._rooms.get(seat.name)
        return not seat.starts and (room is None or not room.begun)

    async def stay(self, seat: Conference, at_most_s: float | None) -> None:
        """Be in the room until it is over, or for so long."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        room = self._rooms.setdefault(seat.name, _Room())
        room.people += 1
        room.begun |= seat.starts
        if room.begun and room.people == 2:
            self.met.append(seat.name)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(at_most_s):
                    await room.over.wait()
        finally:
            self._left(loop.time() - since)
            room.people -= 1
            if seat.ends:
                room.over.set()
                self._rooms.pop(seat.name, None)


async def dial(
    verb: Dial, result: DialResult, party: Party, http: WebhookClient, rooms: Rooms | None
) -> Form:
    """Be connected as the verb and `result` have it; returns the fields for its action."""
    sid = party.sid("CA", 1)
    if verb.conference is not None and rooms is not None:
        # A host is a human who talks for a while; a guest stays until that is over.
        stay_s = result.duration_s if verb.conference.starts else None
        await rooms.stay(verb.conference, stay_s)
        return {"DialCallStatus": "answered"}
    leg = {"CallSid": sid, "ParentCallSid": party.call_sid, "AccountSid": party.account_sid}
    form = {"DialCallStatus": result.status, "DialCallSid": sid}
    ended = {"CallStatus": result.status, "SequenceNumber": "1"}
    if result.status == "completed":
        seconds = str(round(result.duration_s))
        form["DialCallDuration"] = ended["CallDuration"] = seconds
        await _tell(http, verb, leg | {"CallStatus": "in-progress", "SequenceNumber": "0"})
        await asyncio.sleep(result.duration_s)
    await _tell(http, verb, leg | ended)
    return form


async def part(verb: Dial, party: Party, status: str, http: WebhookClient) -> None:
    """Send the last request of a call that ends in a `<Dial>`; nobody obeys its answer."""
    if verb.action:
        form = party.form(status) | {"DialCallStatus": status}
        with suppress(httpx.HTTPError):
            await http.send(verb.action, form, method=verb.method)


async def _tell(http: WebhookClient, verb: Dial, form: Form) -> None:
    """Report on the other leg; a server that is down misses it."""
    if verb.status_callback:
        with suppress(httpx.HTTPError):
            await http.send(verb.status_callback, form)
