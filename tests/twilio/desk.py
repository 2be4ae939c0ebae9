"""A desk that takes calls for one number and writes down what it is told."""

from __future__ import annotations

import asyncio

from voice_server.call.events import AudioHeard, Event, MediaStopped
from voice_server.errors import Refused
from voice_server.ports import PhoneLine
from voice_server.twilio.desk import (
    AfterStream,
    Attempt,
    Dialled,
    HangUp,
    MachineVerdict,
    Recorded,
    Ringing,
    Seat,
    StatusChange,
)

OUR_NUMBER = "+18005550100"


class FakeCall:
    """A call that listens, and ends when its stream does or when told to."""

    def __init__(self, line: PhoneLine) -> None:
        self.line = line
        self.events: list[Event] = []
        self._ended = asyncio.Event()
        self._news = asyncio.Event()

    @property
    def released(self) -> asyncio.Event:
        return self._ended

    def feed(self, event: Event) -> None:
        assert not self._ended.is_set() or not isinstance(event, MediaStopped), "told twice"
        self.events.append(event)
        self._news.set()
        if isinstance(event, MediaStopped):
            self._ended.set()

    def hang_up(self) -> None:
        self._ended.set()

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def frames(self) -> int:
        return len(self.of(AudioHeard))

    async def has(self, kind: type[Event], count: int = 1) -> list[Event]:
        """Wait until that many events of a kind have come."""
        async with asyncio.timeout(30):
            while len(self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)


class FakeDesk:
    """Admits calls to `OUR_NUMBER`; a call is gone once `forget` was called."""

    def __init__(self) -> None:
        self.ringing: list[Ringing] = []
        self.changes: list[StatusChange] = []
        self.verdicts: list[MachineVerdict] = []
        self.recordings: list[Recorded] = []
        self.calls: dict[str, FakeCall] = {}
        self.admitted: dict[str, str] = {}
        self.dialled: list[tuple[Attempt, Dialled]] = []
        self.humans: list[tuple[Attempt, StatusChange]] = []
        self.whispers: dict[Attempt, str] = {}
        self.left_seats: list[tuple[Seat, str]] = []
        self.next_step: AfterStream = HangUp()
        self.refusal: Exception | None = None
        self.open_door = asyncio.Event()
        self.open_door.set()
        self.rang = asyncio.Event()
        self._news = asyncio.Event()

    async def admit(self, ringing: Ringing) -> str:
        self.ringing.append(ringing)
        self.rang.set()
        await self.open_door.wait()
        if self.refusal is not None:
            raise self.refusal
        if OUR_NUMBER not in (ringing.called_number, ringing.caller_number):
            raise Refused("nobody answers this number; assign it to an agent", status=404)
        call_id = f"call-{len(self.admitted) + 1}"
        self.admitted[call_id] = ringing.carrier_call_id
        return call_id

    def connect(self, call_id: str, line: PhoneLine) -> FakeCall:
        if call_id not in self.admitted:
            raise Refused("the call is over", status=404)
        self.calls[call_id] = FakeCall(line)
        self._news.set()
        return self.calls[call_id]

    def forget(self, call_id: str) -> None:
        del self.admitted[call_id]

    def status_changed(self, change: StatusChange) -> None:
        self.changes.append(change)

    def machine_detected(self, verdict: MachineVerdict) -> None:
        self.verdicts.append(verdict)

    def recorded(self, recorded: Recorded) -> None:
        self.recordings.append(recorded)

    async def after_stream(self, carrier_call_id: str) -> AfterStream:
        if carrier_call_id not in self.admitted.values():
            raise Refused("unknown call", status=404)
        return self.next_step

    async def after_dial(self, attempt: Attempt, dialled: Dialled) -> AfterStream:
        self.dialled.append((attempt, dialled))
        return self.next_step

    async def whisper(self, attempt: Attempt) -> str:
        return self.whispers.get(attempt, "")

    async def accept(self, attempt: Attempt) -> Seat | None:
        return Seat(attempt, 2_000) if self.whispers.pop(attempt, "") else None

    async def human_moved(self, attempt: Attempt, change: StatusChange) -> None:
        self.humans.append((attempt, change))

    def left(self, seat: Seat, carrier_call_id: str) -> None:
        self.left_seats.append((seat, carrier_call_id))

    async def has(self, call_id: str) -> FakeCall:
        """Wait until the call's stream is connected."""
        async with asyncio.timeout(30):
            while call_id not in self.calls:
                self._news.clear()
                await self._news.wait()
        return self.calls[call_id]
