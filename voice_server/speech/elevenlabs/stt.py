"""Speech to text by ElevenLabs Scribe, over one WebSocket a call that may be replaced."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voice_server.call.events import Consumed, FinalTranscript, PartialTranscript
from voice_server.errors import ServiceUnavailable
from voice_server.limits import Limits
from voice_server.ports import CallFacts
from voice_server.speech.elevenlabs import scribe
from voice_server.speech.elevenlabs.access import Access, is_open, open_socket
from voice_server.speech.elevenlabs.config import CommitStrategy, EarsConfig
from voice_server.speech.elevenlabs.sending import sending
from voice_server.speech.elevenlabs.tape import BYTES_PER_MS, Tape

# first_byte: connection and greeting, each. between: a commit and its transcript, well under
# the 2.5 s after which the call stops waiting. total: how long one outage may last.
LISTEN_LIMITS = Limits(first_byte_s=1.5, between_s=1.2, total_s=3.0)

_PORTION = 80 * BYTES_PER_MS  # four frames a message: a third off the cost of sending each
_LARGEST_PORTION = 500 * BYTES_PER_MS  # when catching up; the service's limit is not published
_KEEP_ALIVE_S = 5.0  # the service drops a silent session; a ping is not enough
_BACKOFF_S = 0.1  # doubled by each failure
_MOST_STALLS = 2  # commits without an answer, in a row
_MOST_DEAF = 3  # pauses of the caller that the service, cutting by itself, took no notice of
_SETTLED_S = 5.0  # a connection of this age has proved itself
_BILL_BYTES = 10_000 * BYTES_PER_MS
_VAD_GRACE_S = 0.7  # beyond the silence after which the service cuts by itself


class ElevenLabsTranscriber:
    """Speech to text for one call: `push` and `commit` any time, `run` in a task of its owner.

    Everything that has no answer yet is kept and said again to the next connection.
    """

    __slots__ = (
        "_access", "_began", "_billable", "_config", "_deaf", "_error", "_failing_since",
        "_failures", "_heard", "_limits", "_overdue", "_owed", "_partial", "_said", "_socket",
        "_spend", "_stalls", "_tape", "_wake", "_work", "connections",
    )  # fmt: skip

    def __init__(
        self, access: Access, config: EarsConfig, spend: Callable[[Consumed], None], limits: Limits
    ) -> None:
        self._access = access
        self._config = config
        self._spend = spend
        self._limits = limits
        self._tape = Tape()
        self._heard: deque[PartialTranscript | FinalTranscript] = deque()
        self._wake = asyncio.Event()
        self._work = asyncio.Event()
        self._overdue: asyncio.TimerHandle | None = None
        self._owed: deque[int] = deque()  # utterances that wait for the service's own cut
        self._partial = ""
        self._said = ""  # the newest words, as context for the next session
        self._error: BaseException | None = None
        self._socket: ClientConnection | None = None
        self._failures = self._stalls = self._deaf = 0
        self._began = self._failing_since = 0.0
        self._billable = 0  # bytes sent and not booked
        self.connections = 0

    def push(self, mulaw: bytes) -> None:
        """Take one frame; more than 10 s without an answer lose their oldest part."""
        tape = self._tape
        tape.push(mulaw)
        if tape.unsent >= _PORTION:
            self._work.set()

    def commit(self, utterance: int) -> None:
        """Ask for a `FinalTranscript` of all audio since the last commit.

        When the service cuts by itself, its next cut is the answer, or nothing once the
        silence has lasted long enough for one.
        """
        if self._config.commit_strategy is CommitStrategy.MANUAL:
            self._tape.commit(utterance)
            self._work.set()
            return
        self._owed.append(utterance)
        patience = self._config.vad_silence_s + _VAD_GRACE_S
        asyncio.get_running_loop().call_later(patience, self._nothing_heard, utterance)

    def backlog(self) -> list[bytes | int]:
        """Audio and committed utterances without an answer, in order.

        After an error another engine can go on from here, and nothing said is lost.
        """
        return self._tape.backlog() + list(self._owed)

    async def __aiter__(self) -> AsyncIterator[PartialTranscript | FinalTranscript]:
        while True:
            while self._heard:
                yield self._heard.popleft()
            if self._error is not None:
                raise self._error
            self._wake.clear()
            await self._wake.wait()

    async def run(self) -> None:
        """Keep a connection until cancelled; what it cannot mend, iterating raises."""
        try:
            while True:
                try:
                    await self._live()
                except ServiceUnavailable as error:
                    await asyncio.sleep(self._bear(error))
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._wake.set()
            self._bill()

    def _bear(self, error: ServiceUnavailable) -> float:
        """How long to wait before the next connection; raises when there is no point."""
        now = asyncio.get_running_loop().time()
        if not self._failures:  # a handshake that hung is a part of the outage, a call is not
            young = now - self._began <= self._limits.total_s
            self._failing_since = self._began if young else now
        delay = _BACKOFF_S * 2**self._failures if self._failures else 0.0
        self._failures += 1
        over = now + delay - self._failing_since >= self._limits.total_s
        if over or self._stalls >= _MOST_STALLS:
            raise error
        return delay

    def _progress(self) -> None:
        self._failures = self._stalls = self._deaf = 0

    async def _live(self) -> None:
        """One connection, to its end: always raises."""
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        socket = await open_socket(
            self._access,
            *scribe.PATH,
            query=scribe.query(self._config),
            within_s=self._limits.first_byte_s,
        )
        self.connections += 1
        self._socket = socket
        self._tape.rewind()
        try:
            async with sending(socket, self._send, "elevenlabs stt sender"):
                await self._receive(socket)
        finally:
            self._socket = None
            self._disarm()
            self._bill()
            if loop.time() - self._began > _SETTLED_S:
                self._failures = 0
            await socket.close()

    async def _receive(self, socket: ClientConnection) -> None:
        stalls = self._stalls
        twins = scribe.Twins()
        try:
            async with asyncio.timeout(self._limits.first_byte_s):
                self._take(await socket.recv(), socket, twins)
            while True:
                self._take(await socket.recv(), socket, twins)
        except ConnectionClosed:
            if self._stalls > stalls:
                raise TimeoutError from None
            raise

    def _take(self, message: str | bytes, socket: ClientConnection, twins: scribe.Twins) -> None:
        heard = scribe.parse(message)
        if isinstance(heard, scribe.Hypothesis):
            self._deaf = 0  # no answer yet: connections that die this far must not go on for ever
            self._seems(heard.text)
        elif isinstance(heard, scribe.Committed):
            if not twins.is_second(heard):
                self._progress()
                self._cut(heard.text)
                self._arm(socket)
        elif heard is scribe.Signal.NOT_HEARD and (self._tape.outstanding or self._owed):
            self._progress()
            self._cut("")
            self._arm(socket)

    def _seems(self, text: str) -> None:
        if not text or text == self._partial:
            return
        self._partial = text
        if self._heard and isinstance(self._heard[-1], PartialTranscript):
            self._heard.pop()
        self._heard.append(PartialTranscript(text))
        self._wake.set()

    def _cut(self, text: str) -> None:
        """The service has ended an utterance, on our word or its own."""
        utterance = self._tape.answer()
        if not utterance and self._owed:
            utterance = self._owed.popleft()
        self._partial = ""
        self._bill()
        if not text and not utterance:
            return
        if text:
            self._said = f"{self._said} {text}"[-100:].lstrip()
        self._answer(text, utterance)

    def _answer(self, text: str, utterance: int) -> None:
        self._heard.append(FinalTranscript(text, utterance))
        self._wake.set()

    def _nothing_heard(self, utterance: int) -> None:
        """The silence is long and the service did not cut: nothing was said."""
        if utterance not in self._owed:
            return
        self._owed.remove(utterance)
        self._answer("", utterance)
        self._deaf += 1
        if self._deaf >= _MOST_DEAF and self._socket is not None:
            self._stalls = _MOST_STALLS - 1
            self._stall(self._socket)

    def _arm(self, socket: ClientConnection) -> None:
        """Watch the oldest commit that this connection has got."""
        self._disarm()
        if self._tape.outstanding:
            loop = asyncio.get_running_loop()
            self._overdue = loop.call_later(self._limits.between_s, self._stall, socket)

    def _disarm(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _stall(self, socket: ClientConnection) -> None:
        self._stalls += 1
        socket.transport.abort()

    async def _send(self, socket: ClientConnection) -> None:
        previous = self._said
        while True:
            item = self._tape.take(_PORTION, _LARGEST_PORTION)
            if item is None:
                await self._wait_for_work(socket)
            elif isinstance(item, int):
                await socket.send(scribe.COMMIT)
                if self._overdue is None:
                    self._arm(socket)
            else:
                text = scribe.first_audio(item, previous) if previous else scribe.audio(item)
                previous = ""
                if is_open(socket):  # before the wait: it is on the wire even if we are
                    self._billable += len(item)  # cancelled while the buffer drains
                await socket.send(text)
                if self._billable >= _BILL_BYTES:
                    self._bill()

    async def _wait_for_work(self, socket: ClientConnection) -> None:
        self._work.clear()
        try:
            async with asyncio.timeout(_KEEP_ALIVE_S):
                await self._work.wait()
        except TimeoutError:
            await socket.send(scribe.KEEP_ALIVE)

    def _bill(self) -> None:
        ms, self._billable = divmod(self._billable, BYTES_PER_MS)
        if ms:
            item = f"elevenlabs.stt.{self._config.model_id}.milliseconds"
            self._spend(Consumed(item, ms))


class ElevenLabsSpeechToText:
    """Opens the transcriber of one call; `spend` is called as audio goes over the wire."""

    __slots__ = ("_access", "_config", "_limits", "_spend")

    def __init__(
        self,
        access: Access,
        config: EarsConfig,
        spend: Callable[[Consumed], None],
        limits: Limits = LISTEN_LIMITS,
    ) -> None:
        self._access = access
        self._config = config
        self._spend = spend
        self._limits = limits

    @asynccontextmanager
    async def listen(self, facts: CallFacts) -> AsyncIterator[ElevenLabsTranscriber]:  # noqa: ARG002
        """Open a transcriber at once; it connects while the caller already speaks."""
        transcriber = ElevenLabsTranscriber(self._access, self._config, self._spend, self._limits)
        loop = asyncio.get_running_loop()
        running = loop.create_task(transcriber.run(), name="elevenlabs stt")
        try:
            yield transcriber
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)  # iterating told already
