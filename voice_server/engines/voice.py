"""Voices in a chain: when one falls silent, the next goes on with the words still unsaid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import msgspec

from voice_server.call.events import Consumed, SpeechReady, TurnId
from voice_server.engines.health import Health
from voice_server.errors import ServiceError, ServiceUnavailable
from voice_server.limits import Limits
from voice_server.ports import CallFacts, TextToSpeech

_SHUNNED_S = 60.0  # a voice that failed: a call should not wait for it again and again

Sound = SpeechReady | Consumed


class VoiceLink(msgspec.Struct, frozen=True):
    """One voice of a chain. Of its limits, `total_s` is its own affair: a turn may be long."""

    voice: TextToSpeech
    health: Health
    limits: Limits


class VoiceChain:
    """A `TextToSpeech` of several, best first, for one call.

    The last is used however it has been doing; another that has failed rests for a minute.
    """

    def __init__(self, links: Sequence[VoiceLink]) -> None:
        assert links
        self._links = tuple(links)
        self._shunned: dict[int, float] = {}  # until when, by place

    async def speak(
        self, turn: TurnId, pieces: AsyncIterator[str], facts: CallFacts
    ) -> AsyncGenerator[Sound, None]:
        """Speak all pieces; the texts of the sounds add up to them, whoever spoke.

        A voice that takes over begins with the word that was cut, if one was. Raises
        `ServiceError` when the last voice failed.
        """
        loop = asyncio.get_running_loop()
        script = _Script(pieces)
        try:
            for place, link in enumerate(self._links):
                last = place == len(self._links) - 1
                now = loop.time()
                shunned = self._shunned.get(place, now) > now
                if not last and (shunned or not link.health.may_ask(now)):
                    continue
                if place:
                    link.health.took_over()
                try:
                    async with aclosing(_perform(link, turn, script, facts)) as sounds:
                        async for sound in sounds:
                            yield sound
                except ServiceError as error:
                    link.health.failed(loop.time(), error)
                    self._shunned[place] = loop.time() + _SHUNNED_S
                    if last:
                        raise
                    continue
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
    script.rewind()
    stream = link.voice.speak(turn, _Reading(script), facts)
    answered = False
    waiting: asyncio.Task[Sound | None] | None = None
    try:
        while True:
            waiting = loop.create_task(_next(stream), name=link.health.name)
            limits = link.limits
            sound = await _in_time(
                waiting, script, limits.between_s if answered else limits.first_byte_s, link
            )
            if sound is None:
                break
            if isinstance(sound, SpeechReady):
                sound = SpeechReady(sound.turn, sound.mulaw, script.hear(sound.text))
                if not answered:
                    answered = True
                    link.health.answered(script.waited)
            yield sound
        if script.owed_since is not None:
            raise ServiceUnavailable(link.health.name, "the voice left words unsaid")
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)  # told already, or too late
        await stream.aclose()
    if script.error is not None:
        raise script.error


async def _next(stream: AsyncGenerator[Sound, None]) -> Sound | None:
    return await anext(stream, None)


async def _in_time(
    waiting: asyncio.Task[Sound | None], script: _Script, limit_s: float, link: VoiceLink
) -> Sound | None:
    """The awaited sound; raises `ServiceUnavailable` when words are owed for too long."""
    loop = asyncio.get_running_loop()
    while not waiting.done():
        since = script.owed_since
        left = limit_s if since is None else since + limit_s - loop.time()
        if left <= 0:
            raise ServiceUnavailable(link.health.name, "the voice fell silent")
        await asyncio.wait([waiting], timeout=left)
    return waiting.result()


class _Script:
    """The words of a turn: kept, so that another voice can take over in the middle."""

    def __init__(self, pieces: AsyncIterator[str]) -> None:
        self.text = ""
        self.complete = False
        self.error: BaseException | None = None
        self.more = asyncio.Event()
        self.owed_since: float | None = None  # when the voice got words it has not said yet
        self.waited = 0.0  # for the newest sound, since words were owed
        self.begin = 0  # where the voice at work began
        self._said = 0  # characters that sounds have accounted for
        self._heard = 0  # the same of the voice at work; less while it repeats a cut word
        self._loop = asyncio.get_running_loop()
        self._pump = self._loop.create_task(self._fill(pieces), name="script")

    async def _fill(self, pieces: AsyncIterator[str]) -> None:
        try:
            async for piece in pieces:
                self.text += piece
                if self.owed_since is None:
                    self._settle()
                self.more.set()
        except Exception as error:
            self.error = error
            raise
        finally:
            self.complete = True
            self.more.set()

    def rewind(self) -> None:
        """Another voice begins: at the first word that was not said to its end."""
        begin = self._said
        if begin < len(self.text) and not self.text[begin].isspace():
            while begin and not self.text[begin - 1].isspace():
                begin -= 1
        self.begin = self._heard = begin
        self._settle()

    def hear(self, text: str) -> str:
        """The voice has said `text`; returns what of it was not said before."""
        fresh = text[max(0, self._said - self._heard) :]
        self._heard += len(text)
        self._said = max(self._said, self._heard)
        if self.owed_since is not None:
            self.waited = self._loop.time() - self.owed_since
        self._settle()
        return fresh

    def _settle(self) -> None:
        owes = bool(self.text[self._said :].strip())
        self.owed_since = self._loop.time() if owes else None

    async def close(self) -> None:
        """Stop reading."""
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)  # its error was raised above


class _Reading:
    """What is still to be said, from where a voice began to the end. Needs no closing."""

    def __init__(self, script: _Script) -> None:
        self._script = script
        self._given = script.begin

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> str:
        script = self._script
        while True:
            if len(script.text) > self._given:
                piece = script.text[self._given :]
                self._given = len(script.text)
                return piece
            if script.complete:
                raise StopAsyncIteration
            script.more.clear()
            await script.more.wait()
