"""The media stream: one WebSocket per call, from handshake to good-bye."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec
from starlette.types import Receive, Scope, Send

from voice_server.call.events import AudioHeard, MediaStarted, MediaStopped, StopCause
from voice_server.errors import Refused
from voice_server.telemetry import Metrics
from voice_server.twilio import wire
from voice_server.twilio.address import MEDIA_PATH
from voice_server.twilio.desk import CallLine, Desk
from voice_server.twilio.line import LEAD_S, StreamLine
from voice_server.twilio.signature import Gate
from voice_server.twilio.tokens import BadToken, MediaTokens
from voice_server.twilio.twiml import CALL_PARAMETER, TOKEN_PARAMETER
from voice_server.twilio.wire import Problem

START_LIMIT_S: Final = 10.0  # Twilio sends `start` with the handshake's next packet
MAX_PROBLEMS: Final = 100  # more than that is not Twilio
_CLOSE_LIMIT_S: Final = 5.0

_OK: Final = 1000
_FORBIDDEN: Final = 1008
_TOO_BIG: Final = 1009
_OVERLOADED: Final = 1011

log = logging.getLogger(__name__)


class Refusal(StrEnum):
    """Why a stream was not let in, beside what a `BadToken` says."""

    BAD_SIGNATURE = "bad_signature"
    NO_START = "no_start"  # audio, keys or marks before `start`
    START_LATE = "start_late"
    NONSENSE = "nonsense"
    BAD_FORMAT = "bad_format"
    SECOND_STREAM = "second_stream"
    CALL_GONE = "call_gone"


class _Opened(msgspec.Struct, frozen=True):
    stream_sid: str
    carrier_call_id: str
    call_id: str


_Opening: TypeAlias = _Opened | Refusal | BadToken | None  # None: the peer left


class LiveStream:
    """One started stream: tells the call what is heard, once and in order."""

    __slots__ = ("_call", "_metrics", "_over", "_problems", "_released", "_stream_sid",
                 "close_code", "frames", "line")  # fmt: skip

    def __init__(self, stream_sid: str, call: CallLine, line: StreamLine, metrics: Metrics) -> None:
        self._stream_sid = stream_sid
        self._call = call
        self._released = call.released
        self._metrics = metrics
        self._problems = 0
        self._over = asyncio.Event()
        self.line = line
        self.close_code = _OK
        self.frames = 0

    def hear(self, text: str | None) -> None:
        """Take one frame from the wire."""
        event = wire.hear(text, self._stream_sid)
        if type(event) is AudioHeard:
            self.frames += 1
            self._call.feed(event)
        elif isinstance(event, Problem):
            self._count(event)
        elif isinstance(event, MediaStopped):
            self.leave(event.cause)
        else:
            self._call.feed(event)

    def leave(self, cause: StopCause, close_code: int = _OK) -> None:
        """End the stream; the call hears of it unless it has let go. Repeats do nothing."""
        if self._over.is_set():
            return
        self._over.set()
        self.close_code = close_code
        self.line.close()
        if not self._released.is_set():
            self._call.feed(MediaStopped(cause))

    async def listen(self, receive: Receive) -> None:
        """Hear frames until the stream is over; nothing else is awaited per frame."""
        while not self._over.is_set():
            message = await receive()
            if message["type"] == "websocket.receive":
                self.hear(message.get("text"))
            else:  # a close without `stop` is an end too
                self.leave(StopCause.STREAM_LOST)

    async def speak(self, send: Send) -> None:
        """Send what the call says until the line closes."""
        try:
            await self.line.pump(send)
        except OSError:
            return  # `listen` will see it as well, after all that came in before
        self.leave(StopCause.STREAM_LOST, _OVERLOADED)

    async def part(self) -> None:
        """Leave when the call has let go by itself; what still waits is not sent."""
        await self._released.wait()
        self.leave(StopCause.STREAM_LOST)

    async def over(self) -> None:
        """Wait for `leave`."""
        await self._over.wait()

    def _count(self, problem: Problem) -> None:
        self._metrics.media_problems.labels(problem).inc()
        self._problems += 1
        if problem is Problem.OVERSIZE:
            self.leave(StopCause.STREAM_LOST, _TOO_BIG)
        elif self._problems > MAX_PROBLEMS:
            self.leave(StopCause.STREAM_LOST, _FORBIDDEN)


class MediaEndpoint:
    """The ASGI application behind the stream's URL.

    A handshake needs Twilio's signature; a stream needs the one-time token of its TwiML.
    Until both are seen nothing reaches a call. `clock` is the one the tokens were issued by.
    """

    __slots__ = ("_clock", "_desk", "_gate", "_lead_s", "_live", "_metrics", "_start_limit_s",
                 "_tokens")  # fmt: skip

    def __init__(
        self,
        desk: Desk,
        gate: Gate,
        tokens: MediaTokens,
        metrics: Metrics,
        *,
        clock: Callable[[], float],
        lead_s: float = LEAD_S,
        start_limit_s: float = START_LIMIT_S,
    ) -> None:
        self._desk = desk
        self._gate = gate
        self._tokens = tokens
        self._metrics = metrics
        self._clock = clock
        self._lead_s = lead_s
        self._start_limit_s = start_limit_s
        self._live: dict[str, LiveStream] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        await receive()  # websocket.connect
        try:
            if self._gate.admits_socket(scope, MEDIA_PATH):
                await send({"type": "websocket.accept"})
                await self._serve(receive, send)
            else:
                await self._refuse(send, Refusal.BAD_SIGNATURE)
        except OSError:
            log.debug("media socket closed under us")

    def drop(self, carrier_call_id: str) -> None:
        """Twilio says that this call's stream is over; end what is left of it here."""
        stream = self._live.pop(carrier_call_id, None)
        if stream is not None:
            stream.leave(StopCause.STREAM_LOST)

    async def _serve(self, receive: Receive, send: Send) -> None:
        opening: _Opening
        try:
            async with asyncio.timeout(self._start_limit_s):
                opening = await self._opening(receive)
        except TimeoutError:
            opening = Refusal.START_LATE
        if opening is None:
            await _close(send, _OK)
        elif isinstance(opening, _Opened):
            await self._admit(opening, receive, send)
        else:
            await self._refuse(send, opening)

    async def _opening(self, receive: Receive) -> _Opening:
        """Read up to `start`: normally `connected`, then `start`."""
        connected = False
        for _ in range(MAX_PROBLEMS):
            message = await receive()
            if message["type"] != "websocket.receive":
                return None
            decoded = wire.decode(message.get("text"))
            match decoded:
                case wire.Start():
                    if not connected:
                        self._count(Problem.WRONG_ORDER)
                    return self._check(decoded)
                case wire.Connected():
                    if connected:
                        self._count(Problem.WRONG_ORDER)
                    connected = True
                case wire.Stop():
                    return None
                case Problem():
                    self._count(decoded)
                    if decoded is Problem.OVERSIZE:
                        return Refusal.NONSENSE
                case _:
                    return Refusal.NO_START
        return Refusal.NONSENSE

    def _check(self, start: wire.Start) -> _Opened | Refusal | BadToken:
        details = start.start
        call_id = details.custom_parameters.get(CALL_PARAMETER, "")
        token = details.custom_parameters.get(TOKEN_PARAMETER, "")
        if not start.is_mulaw:
            return Refusal.BAD_FORMAT
        if details.call_sid in self._live:
            return Refusal.SECOND_STREAM
        bad = self._tokens.redeem(token, details.call_sid, call_id, self._clock())
        return bad or _Opened(start.stream_sid, details.call_sid, call_id)

    async def _admit(self, opened: _Opened, receive: Receive, send: Send) -> None:
        line = StreamLine(opened.stream_sid, lead_s=self._lead_s)
        try:
            call = self._desk.connect(opened.call_id, line)
        except Refused:
            await self._refuse(send, Refusal.CALL_GONE)
            return
        stream = LiveStream(opened.stream_sid, call, line, self._metrics)
        self._live[opened.carrier_call_id] = stream
        self._metrics.live_streams.inc()
        try:
            call.feed(MediaStarted())
            await _carry(stream, receive, send)
        finally:
            self._forget(opened.carrier_call_id, stream)
            stream.leave(StopCause.STREAM_LOST)
        await _close(send, stream.close_code)

    def _forget(self, carrier_call_id: str, stream: LiveStream) -> None:
        if self._live.get(carrier_call_id) is stream:
            del self._live[carrier_call_id]
        self._metrics.live_streams.dec()
        self._metrics.media_frames.inc(stream.frames)
        self._metrics.media_sent_bytes.inc(stream.line.sent_bytes)

    async def _refuse(self, send: Send, reason: Refusal | BadToken) -> None:
        self._metrics.media_refused.labels(reason).inc()
        log.warning("media stream refused", extra={"reason": str(reason)})
        await _close(send, _FORBIDDEN)

    def _count(self, problem: Problem) -> None:
        self._metrics.media_problems.labels(problem).inc()


async def _carry(stream: LiveStream, receive: Receive, send: Send) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = (
            group.create_task(stream.listen(receive), name="media listen"),
            group.create_task(stream.speak(send), name="media speak"),
            group.create_task(stream.part(), name="media part"),
        )
        await stream.over()
        for task in tasks:
            task.cancel()


async def _close(send: Send, code: int) -> None:
    """Close the WebSocket; Twilio then goes on with the TwiML."""
    try:
        async with asyncio.timeout(_CLOSE_LIMIT_S):
            await send({"type": "websocket.close", "code": code})
    except TimeoutError:
        log.warning("media socket does not take its close frame")
