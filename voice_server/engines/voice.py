"""Voices in a chain: when one falls silent, the next goes on with the words still unsaid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import msgspec

from voice_server.call.events import Consumed, SpeechReady, TurnId
from voice_server.engines.health import Health
from voice_server.errors import ServiceError, ServiceUnavailable
from voice_server.limits import Limits
from voice_server.ports import CallFacts, TextToSpeech

Sound = SpeechReady | Consumed


class VoiceLink(msgspec.Struct, frozen=True):
    """One voice of a chain."""

    voice: TextToSpeech
    health: Health
    limits: Limits


class VoiceChain:
    """A `TextToSpeech` of several, best first; the last is used however it has been doing."""

    def __init__(self, links: Sequence[VoiceLink]) -> None:
        assert links
        self._links = tuple(links)

    async def speak(
        self, turn: TurnId, pieces: AsyncIterator[str], facts: CallFacts
    ) -> AsyncGenerator[Sound, None]:
        """Speak all pieces; raises `ServiceError` when the last voice failed."""
        loop = asyncio.get_running_loop()
        script = _Script(pieces)
        try:
            for place, link in enumerate(self._links):
                last = place == len(self._links) - 1
                if not last and not link.health.is_open(loop.time()):
                    continue
                performance = _perform(link, turn, script, facts)
                try:
                    async for sound in performance:
                        if isinstance(sound, SpeechReady):
                            script.said += sound.text
                        yield sound
                except ServiceError as error:
                    link.health.failed(loop.time(), lasting=not error.retryable)
                    if last:
                        raise
                    continue
                finally:
                    await performance.aclose()
                return
        finally:
            await script.close()


async def _perform(
    link: VoiceLink, turn: TurnId, script: _Script, facts: CallFacts
) -> AsyncGenerator[Sound, None]:
    """One voice on the rest of the script, under its limits.

    A voice that has nothing to say may wait for words as long as it likes; the clock runs
    while it owes some.
    """
    loop = asyncio.get_running_loop()
    stream = link.voice.speak(turn, script.rest(), facts)
    asked_at, answered = loop.time(), False
    waiting: asyncio.Task[Sound] | None = None
    try:
        while True:
            waiting = loop.create_task(anext(stream))
            limit = link.limits.between_s if answered else link.limits.first_byte_s
            while not waiting.done():
                owed = script.owes
                await asyncio.wait([waiting], timeout=limit)
                if not waiting.done() and owed:
                    raise ServiceUnavailable(link.health.name, "the voice fell silent")
            try:
                sound = waiting.result()
            except StopAsyncIteration:
                return
            if not answered:
                answered = True
                link.health.answered(loop.time() - asked_at)
            yield sound
    finally:
        if waiting is not None and not waiting.done():
            waiting.cancel()
            await asyncio.wait([waiting])
        await stream.aclose()


class _Script:
    """The words of a turn: kept, so that another voice can take over in the middle."""

    def __init__(self, pieces: AsyncIterator[str]) -> None:
        self.said = ""
        self._text = ""
        self._complete = False
        self._more = asyncio.Event()
        self._pump = asyncio.get_running_loop().create_task(self._fill(pieces))

    async def _fill(self, pieces: AsyncIterator[str]) -> None:
        try:
            async for piece in pieces:
                self._text += piece
                self._more.set()
        finally:
            self._complete = True
            self._more.set()

    @property
    def owes(self) -> bool:
        """Words are there that nobody has said."""
        return len(self._text) > len(self.said)

    async def rest(self) -> AsyncGenerator[str, None]:
        """What is still to be said, from here to the end."""
        given = len(self.said)
        while True:
            if len(self._text) > given:
                piece, given = self._text[given:], len(self._text)
                yield piece
            elif self._complete:
                return
            else:
                self._more.clear()
                await self._more.wait()

    async def close(self) -> None:
        """Stop reading."""
        self._pump.cancel()
        await asyncio.wait([self._pump])
