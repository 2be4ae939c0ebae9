"""The carrier's end of one media stream: paces audio, returns marks, obeys the server.

One loop sends everything, so that sequence numbers and wire order agree. All instants come
from the schedule, never from the previous send: a late frame does not delay the next.
"""

from __future__ import annotations

import asyncio
import base64
from enum import StrEnum
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voice_server.testing.caller import FRAME, FRAME_MS, Caller, Move
from voice_server.testing.carrier import MediaPeer, Samples
from voice_server.testing.faults import Faults
from voice_server.testing.wav import SAMPLE_RATE

_ROUNDING = 0.001  # samples; forgives the last bits of a float clock


class StreamEnd(StrEnum):
    """Who ended a media stream."""

    HUNG_UP = "hung_up"
    SERVER_CLOSED = "server_closed"
    DROPPED = "dropped"


class StreamNames(msgspec.Struct, frozen=True):
    """What the carrier calls the parties of a stream."""

    account_sid: str
    call_sid: str
    stream_sid: str
    parameters: dict[str, str]


class MediaStream:
    """One open WebSocket; `run` it to its end, then read what happened from its fields."""

    def __init__(
        self,
        connection: ClientConnection,
        names: StreamNames,
        caller: Caller,
        *,
        faults: Faults,
        offset_ms: int,
    ) -> None:
        self.peer = MediaPeer(names.stream_sid)
        self.inbound = bytearray()
        self.digits = ""
        self.marks_returned = 0
        self._connection = connection
        self._names = names
        self._caller = caller
        self._faults = faults
        self._offset_ms = offset_ms
        self._raw = sorted(faults.raw_messages, key=lambda item: item[0])
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._alarm = _Alarm(self._loop)
        self._sequence = 0
        self._frames = 0
        self._hung_up = False
        self._server_closed = False
        self._ended_at: Samples = 0

    @property
    def close_code(self) -> int | None:
        """The WebSocket close code this side saw."""
        return self._connection.close_code

    @property
    def length(self) -> Samples:
        """How long the stream ran, once it is over."""
        return max(len(self.inbound), self._ended_at)

    def hang_up(self) -> None:
        """The caller puts the phone down at this instant."""
        self._hung_up = True
        self._alarm.ring()

    async def run(self) -> StreamEnd:
        """Speak and listen until either side ends the stream."""
        reader = asyncio.create_task(self._listen(), name="carrier listens")
        try:
            return await self._speak()
        except ConnectionClosed:
            return StreamEnd.SERVER_CLOSED
        finally:
            self._ended_at = self._now()
            self.peer.buffer.stop(self._ended_at)
            await self._connection.close()
            await reader

    def _now(self) -> Samples:
        return int((self._loop.time() - self._began_at) * SAMPLE_RATE + _ROUNDING)

    async def _listen(self) -> None:
        try:
            async for message in self._connection:
                self.peer.receive(message, self._now())
                self._alarm.ring()
        except ConnectionClosed:
            pass  # how it closed is in close_code
        self._server_closed = True
        self._alarm.ring()

    async def _speak(self) -> StreamEnd:
        await self._send_raw('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        self._began_at = self._loop.time()
        if not self._faults.skip_start:
            await self._send("start", self._start())
        while True:
            if self._server_closed:
                return StreamEnd.SERVER_CLOSED
            now = self._now()
            if self._drop_at is not None and now >= self._drop_at:
                self._connection.transport.abort()
                return StreamEnd.DROPPED
            await self._return_marks(now)
            await self._send_due_messages(now)
            if self._hung_up or await self._send_due_frames(now):
                return await self._say_stop()
            await self._alarm.wait(self._began_at + self._next_instant() / SAMPLE_RATE)

    @property
    def _drop_at(self) -> Samples | None:
        drop_at_s = self._faults.drop_at_s
        return None if drop_at_s is None else round(drop_at_s * SAMPLE_RATE)

    def _next_instant(self) -> Samples:
        """When something is to be done next, if the server sends nothing before."""
        instants = [(self._frames + 1) * FRAME]
        if self.peer.buffer.next_mark is not None:
            instants.append(self.peer.buffer.next_mark)
        if self._drop_at is not None:
            instants.append(self._drop_at)
        return min(instants)

    async def _return_marks(self, now: Samples) -> None:
        for name in self.peer.buffer.take_marks(now):
            self.marks_returned += 1
            await self._send("mark", {"name": name})

    async def _send_due_messages(self, now: Samples) -> None:
        while self._raw and self._raw[0][0] * SAMPLE_RATE <= now:
            await self._send_raw(self._raw.pop(0)[1])

    async def _send_due_frames(self, now: Samples) -> bool:
        """Send each frame whose 20 ms are over; True when the caller hung up with one."""
        while now >= (self._frames + 1) * FRAME:
            begin = self._frames * FRAME
            self._frames += 1
            heard = self.peer.buffer.heard(begin, begin + FRAME)
            move = self._caller.move(heard, self._offset_ms + self._frames * FRAME_MS)
            if move.hangs_up:
                return True
            await self._send_move(move)
        return False

    async def _send_move(self, move: Move) -> None:
        self.inbound += move.mulaw
        media = {
            "track": "inbound",
            "chunk": str(self._frames),
            "timestamp": str((self._frames - 1) * FRAME_MS),
            "payload": base64.b64encode(move.mulaw).decode(),
        }
        await self._send("media", media)
        for digit in move.digits:
            self.digits += digit
            await self._send("dtmf", {"track": "inbound_track", "digit": digit})

    async def _say_stop(self) -> StreamEnd:
        if not self._faults.skip_stop:
            await self._send("stop", {"accountSid": self._names.account_sid, "callSid": self._sid})
        return StreamEnd.HUNG_UP

    @property
    def _sid(self) -> str:
        return self._faults.stream_call_sid or self._names.call_sid

    def _start(self) -> dict[str, Any]:
        return {
            "accountSid": self._names.account_sid,
            "streamSid": self._names.stream_sid,
            "callSid": self._sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": SAMPLE_RATE, "channels": 1},
            "customParameters": self._names.parameters,
        }

    async def _send(self, event: str, content: dict[str, Any]) -> None:
        self._sequence += 1
        message = {
            "event": event,
            "sequenceNumber": str(self._sequence),
            "streamSid": self._names.stream_sid,
            event: content,
        }
        await self._send_raw(msgspec.json.encode(message).decode())

    async def _send_raw(self, message: str | bytes) -> None:
        await self._connection.send(message)


class _Alarm:
    """Sleeps until an instant or until somebody rings, without a task per sleep."""

    __slots__ = ("_loop", "_rang", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rang = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        self._rang = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, until: float) -> None:
        if not self._rang:
            self._waiter = self._loop.create_future()
            timer = self._loop.call_at(until, self.ring)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        self._rang = False
