"""Callers, ears and a voice whose audio carries its words: whole calls without a model run.

The server, its remote engines and the sockets are real; the local engines are stood in for by
these, which take as long as the real ones were measured to take and answer as surely.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import msgspec

from benchmarks.trivial import NoVoiceActivity
from voice_server.call.events import Consumed, FinalTranscript, SpeechReady, TurnId
from voice_server.ports import CallFacts
from voice_server.speech.engines import LocalEngines
from voice_server.testing.caller import Conversation
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.script import Script, Turn

BYTES_PER_S = 8_000
_FINAL_S = 0.15  # Moonshine on two seconds of speech
_CLAUSE_S = 0.4  # Piper on a clause it has not said before


class TaggedTranscriber:
    """Answers each commit with the words that its audio carries."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._commits: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()

    def push(self, mulaw: bytes) -> None:
        """Take a frame."""
        self._audio += mulaw

    def commit(self, utterance: int) -> None:
        """Answer what came since the last commit."""
        self._commits.put_nowait((utterance, bytes(self._audio)))
        self._audio.clear()

    async def __aiter__(self) -> AsyncIterator[FinalTranscript]:
        while True:
            utterance, audio = await self._commits.get()
            await asyncio.sleep(_FINAL_S)
            yield FinalTranscript(sound.heard(audio), utterance)


class TaggedEars:
    """A `SpeechToText`."""

    @asynccontextmanager
    async def listen(self, facts: CallFacts) -> AsyncIterator[TaggedTranscriber]:  # noqa: ARG002
        """Open a transcriber."""
        yield TaggedTranscriber()


class TaggedVoice:
    """A `TextToSpeech` that has only its fixed phrases at hand: replies are new in every call."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    async def speak(
        self,
        turn: TurnId,
        pieces: AsyncIterator[str],
        facts: CallFacts,  # noqa: ARG002
    ) -> AsyncGenerator[SpeechReady | Consumed, None]:
        """Speak each piece: at once where it is known, else after a while."""
        async for piece in pieces:
            if piece not in self._known:
                await asyncio.sleep(_CLAUSE_S)
            yield SpeechReady(turn, sound.voice(piece), piece)

    async def warm(self, texts: Iterable[str]) -> None:
        """Know these."""
        self._known.update(texts)


class TaggedEngines:
    """Stands for `LocalEngines`; loudness alone tells speech from silence."""

    def __init__(self) -> None:
        self.speech_to_text = TaggedEars()
        self.text_to_speech = TaggedVoice()
        self.voice_activity = NoVoiceActivity()

    async def warm(self) -> None:
        """There is nothing to load."""

    def close(self) -> None:
        """There is nothing to free."""


def tagged_engines() -> LocalEngines:
    """Engines for `open_box`."""
    return cast(LocalEngines, TaggedEngines())


def talker(turns: Sequence[str | Turn], **script: object) -> Conversation:
    """A caller who says these in turn; a `Turn` brings its own text and timing.

    `script` are the other fields of `Script`.
    """
    voice, told = bytearray(), []
    for turn in turns:
        said = Turn(text=turn) if isinstance(turn, str) else turn
        begin = len(voice) / BYTES_PER_S
        voice += sound.spoken(said.text)
        end = len(voice) / BYTES_PER_S
        told.append(msgspec.structs.replace(said, start=begin, end=end))
    plan = msgspec.convert({"turns": [], **script}, Script)
    return Conversation(msgspec.structs.replace(plan, turns=tuple(told)), bytes(voice))
