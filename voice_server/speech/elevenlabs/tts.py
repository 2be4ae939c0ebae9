"""Text to speech by ElevenLabs: a context per turn, HTTP when there is no socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from voice_server.call.events import Consumed, SpeechReady, TurnId
from voice_server.errors import ServiceError, ServiceUnavailable
from voice_server.ports import CallFacts
from voice_server.speech.elevenlabs.access import Access
from voice_server.speech.elevenlabs.config import VoiceConfig
from voice_server.speech.elevenlabs.failures import SERVICE
from voice_server.speech.elevenlabs.http_voice import stream
from voice_server.speech.elevenlabs.sockets import Context, VoiceSockets
from voice_server.speech.elevenlabs.subtitles import Subtitles
from voice_server.speech.g711 import SILENCE

_BREATH = SILENCE * 160  # carries text that has no sound of its own: 20 ms
_KEEP_ALIVE_S = 10.0  # half of what the service bears without a word


class _Script:
    """The text of a turn as it comes; `changed` is set whenever there is more to do."""

    __slots__ = ("changed", "ended", "error", "spoken")

    def __init__(self) -> None:
        self.spoken = Subtitles()
        self.changed = asyncio.Event()
        self.ended = False
        self.error: BaseException | None = None

    async def read(self, pieces: AsyncIterator[str]) -> None:
        """Take in all pieces; run in a task."""
        try:
            async for piece in pieces:
                self.spoken.give(piece)
                self.changed.set()
        except Exception as error:
            self.error = error
            raise
        finally:
            self.ended = True
            self.changed.set()


class ElevenLabsTextToSpeech:
    """Speaks for one call; `spend` is called as characters go over the wire.

    `sockets` is shared by all calls and outlives them.
    """

    __slots__ = ("_access", "_sockets", "_spend", "_voice")

    def __init__(
        self,
        access: Access,
        voice: VoiceConfig,
        sockets: VoiceSockets,
        spend: Callable[[Consumed], None],
    ) -> None:
        self._access = access
        self._voice = voice
        self._sockets = sockets
        self._spend = spend

    def warm(self) -> None:
        """Have a socket ready for the first words; does not wait."""
        self._sockets.warm(self._access, self._voice)

    async def speak(
        self,
        turn: TurnId,
        pieces: AsyncIterator[str],
        facts: CallFacts,  # noqa: ARG002
    ) -> AsyncGenerator[SpeechReady, None]:
        """Yield audio with the text it says; the texts add up to the pieces exactly.

        When the socket fails, HTTP speaks the rest, from the word that was cut. Closing the
        generator closes the context or the request. Raises `ServiceError`.
        """
        script = _Script()
        reading = asyncio.get_running_loop().create_task(
            script.read(pieces), name="elevenlabs tts script"
        )
        try:
            try:
                async with aclosing(self._over_socket(turn, script)) as speech:
                    async for ready in speech:
                        yield ready
            except ServiceUnavailable:
                async with aclosing(self._over_http(turn, script)) as speech:
                    async for ready in speech:
                        yield ready
            if rest := script.spoken.upto(len(script.spoken.text)):
                yield SpeechReady(turn, _BREATH, rest)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)  # its error was raised here
        if script.error is not None:
            raise script.error

    async def _over_socket(
        self, turn: TurnId, script: _Script
    ) -> AsyncGenerator[SpeechReady, None]:
        try:
            context = await self._sockets.context(self._access, self._voice, script.changed)
        except ServiceError as error:
            # HTTP may still answer, and says more exactly what is refused.
            raise ServiceUnavailable(SERVICE, "has no voice socket for us") from error
        try:
            patience = _Patience(self._sockets.limits.first_byte_s, self._sockets.limits.between_s)
            sent, finished = 0, False
            while True:
                script.changed.clear()
                sent = self._say_more(context, script.spoken.text, sent)
                if script.ended and not finished:
                    finished = True
                    patience.all_sent(self._sockets.limits.total_s)
                    context.finish()
                while (chunk := context.take()) is not None:
                    text = script.spoken.hear(chunk.mulaw, chunk.alignment)
                    patience.heard()
                    yield SpeechReady(turn, chunk.mulaw, text)
                if context.error is not None:
                    raise context.error
                if context.ended:
                    break
                owed = finished or _is_owed(script.spoken, sent)
                await patience.wait(script.changed, context, owed=owed)
            if script.spoken.is_cut_short:
                raise ServiceUnavailable(SERVICE, "ended a turn before its text")
        finally:
            context.release()

    def _say_more(self, context: Context, text: str, sent: int) -> int:
        """Send what has come since; returns how much of the text is sent."""
        if not text[sent:].strip():
            return sent
        context.say(text[sent:], self._book)
        return len(text)

    async def _over_http(self, turn: TurnId, script: _Script) -> AsyncGenerator[SpeechReady, None]:
        spoken = script.spoken
        begin = spoken.cut_word
        while True:
            script.changed.clear()
            end = len(spoken.text)
            if spoken.text[begin:].strip():
                spoken.restart(begin)
                chunks = stream(
                    self._sockets.http,
                    self._access,
                    self._voice,
                    spoken.text[begin:end],
                    previous=spoken.text[:begin],
                    limits=self._sockets.limits,
                    on_wire=self._book,
                )
                async with aclosing(chunks) as heard:
                    async for chunk in heard:
                        yield SpeechReady(
                            turn, chunk.mulaw, spoken.hear(chunk.mulaw, chunk.alignment)
                        )
                if rest := spoken.upto(end):
                    yield SpeechReady(turn, _BREATH, rest)
                begin = end
            elif script.ended:
                return
            else:
                await script.changed.wait()

    def _book(self, characters: int) -> None:
        self._spend(Consumed(f"elevenlabs.tts.{self._voice.model_id}.characters", characters))


def _is_owed(spoken: Subtitles, sent: int) -> bool:
    """Whether audio must come although more text may follow."""
    if spoken.aligned:
        return bool(spoken.text[spoken.position : sent].strip())
    return sent > 0 and spoken.position == 0


class _Patience:
    """How long the next sign of life of a context may take."""

    __slots__ = ("_between_s", "_first_s", "_heard", "_last", "_loop", "_over")

    def __init__(self, first_s: float, between_s: float) -> None:
        self._first_s = first_s
        self._between_s = between_s
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._heard = False
        self._over: float | None = None

    def all_sent(self, total_s: float) -> None:
        self._over = self._loop.time() + total_s

    def heard(self) -> None:
        self._heard = True
        self._last = self._loop.time()

    async def wait(self, changed: asyncio.Event, context: Context, *, owed: bool) -> None:
        """Wait for a change; raises `ServiceUnavailable` when owed audio takes too long."""
        limit = self._between_s if self._heard else self._first_s
        due = self._last + limit if owed else self._loop.time() + _KEEP_ALIVE_S
        if self._over is not None:
            due = min(due, self._over)
        try:
            async with asyncio.timeout_at(due):
                await changed.wait()
        except TimeoutError:
            if owed:
                raise ServiceUnavailable(SERVICE, "the voice does not answer in time") from None
            context.keep_alive()
        if not owed:
            self._last = self._loop.time()  # what is owed from here on is owed since now
