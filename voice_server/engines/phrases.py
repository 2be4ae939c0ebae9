"""Short phrases at hand before they are needed: what breaks a silence must not wait itself."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import numpy as np

from voice_server.call.events import Consumed, SpeechReady, TurnId
from voice_server.errors import ServiceError
from voice_server.ports import CallFacts, TextToSpeech
from voice_server.speech import g711

_SAMPLE_RATE = 8_000
_TONE_S = 0.25
_TONE_HZ = (440.0, 660.0)  # a fifth, one after the other: a knock, not an alarm
_TONE_LEVEL = 0.12  # as loud as a soft voice
_BOOK_BYTES = 16 << 20  # 35 minutes: the phrases of some hundred voices
_LOCAL = ""  # the name of the voice that needs no service


def _tone() -> bytes:
    """A soft sound that says "still here", with edges that do not click."""
    moments = np.arange(int(_SAMPLE_RATE * _TONE_S / len(_TONE_HZ))) / _SAMPLE_RATE
    swell = np.sin(np.pi * moments / moments[-1])
    notes = [swell * np.sin(2 * np.pi * hz * moments) for hz in _TONE_HZ]
    return g711.encode_float((_TONE_LEVEL * np.concatenate(notes)).astype(np.float32))


TONE = _tone()


class PhraseBook:
    """The phrases of all calls of a process, by voice and text; the least used are forgotten."""

    __slots__ = ("_at_work", "_audio", "_bytes", "_limit", "local")

    def __init__(self, local: TextToSpeech, limit_bytes: int = _BOOK_BYTES) -> None:
        self.local = local
        self._limit = limit_bytes
        self._audio: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._bytes = 0
        self._at_work: set[tuple[str, str]] = set()

    def look_up(self, voice: str, text: str) -> bytes | None:
        """The phrase in this voice, if it is there."""
        audio = self._audio.get((voice, text))
        if audio is not None:
            self._audio.move_to_end((voice, text))
        return audio

    def keep(self, voice: str, text: str, audio: bytes) -> None:
        """Put a phrase into the book."""
        self._bytes += len(audio) - len(self._audio.pop((voice, text), b""))
        self._audio[voice, text] = audio
        while self._bytes > self._limit:
            self._bytes -= len(self._audio.popitem(last=False)[1])

    def reserve(self, voice: str, text: str) -> bool:
        """Whether the phrase is still to be said, and by nobody else; give it back afterwards."""
        if (voice, text) in self._audio or (voice, text) in self._at_work:
            return False
        self._at_work.add((voice, text))
        return True

    def give_back(self, voice: str, text: str) -> None:
        """The phrase has been said, or could not be."""
        self._at_work.discard((voice, text))


class Phrases:
    """The phrases of one call, in its own voice; `name` is what distinguishes this voice."""

    __slots__ = ("_book", "_name", "_voice")

    def __init__(
        self, book: PhraseBook, voice: TextToSpeech | None = None, name: str = _LOCAL
    ) -> None:
        self._book = book
        self._voice = voice or book.local
        self._name = name

    def own(self, text: str) -> bytes | None:
        """The phrase in the call's own voice, if that has said it."""
        return self._book.look_up(self._name, text)

    def audio(self, text: str) -> bytes:
        """Mu-law of the phrase, at once: the own voice, the local one, or a soft tone."""
        return self.own(text) or self._book.look_up(_LOCAL, text) or TONE

    async def prepare(
        self, texts: Sequence[str], facts: CallFacts, after: asyncio.Event
    ) -> AsyncGenerator[Consumed, None]:
        """Have the phrases said, first by the local voice, `after` that by the call's own.

        What another call has had said costs nothing. A voice that fails is left alone until
        the next call.
        """
        try:
            async with aclosing(self._say_all(self._book.local, _LOCAL, texts, facts)) as costs:
                async for consumed in costs:
                    yield consumed
            if self._name == _LOCAL:
                return
            await after.wait()
            async with aclosing(self._say_all(self._voice, self._name, texts, facts)) as costs:
                async for consumed in costs:
                    yield consumed
        except ServiceError:
            return  # told of where it was met; the next voice on the list stands in

    async def _say_all(
        self, voice: TextToSpeech, name: str, texts: Sequence[str], facts: CallFacts
    ) -> AsyncGenerator[Consumed, None]:
        for text in texts:
            if not self._book.reserve(name, text):
                continue
            try:
                audio = bytearray()
                async with (
                    aclosing(_once(text)) as pieces,
                    aclosing(voice.speak(0, pieces, facts)) as sounds,
                ):
                    async for sound in sounds:
                        if isinstance(sound, Consumed):
                            yield sound
                        else:
                            audio += sound.mulaw
                # A chain of voices may have ended at the local one: that is no voice to keep.
                stand_in = self._book.look_up(_LOCAL, text)
                if audio and (stand_in is None or audio != stand_in):
                    self._book.keep(name, text, bytes(audio))
            finally:
                self._book.give_back(name, text)


class PreparedVoice:
    """A `TextToSpeech` that says what is at hand at once, and free of charge."""

    __slots__ = ("_phrases", "_voice")

    def __init__(self, voice: TextToSpeech, phrases: Phrases) -> None:
        self._voice = voice
        self._phrases = phrases

    async def speak(
        self, turn: TurnId, pieces: AsyncIterator[str], facts: CallFacts
    ) -> AsyncGenerator[SpeechReady | Consumed, None]:
        """Speak all pieces; the leading ones that are at hand need no service."""
        async for piece in pieces:
            audio = self._phrases.own(piece)
            if audio is None:
                async with (
                    aclosing(_before(piece, pieces)) as rest,
                    aclosing(self._voice.speak(turn, rest, facts)) as sounds,
                ):
                    async for sound in sounds:
                        yield sound
                return
            yield SpeechReady(turn, audio, piece)


async def _once(text: str) -> AsyncGenerator[str, None]:
    yield text


async def _before(first: str, others: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    yield first
    async for other in others:
        yield other
