"""Engines that cost nothing, to show what the server itself costs.

Everything they say is decided beforehand: each utterance of a caller has the same transcript,
each reply is the same sentence, and the voice is two and a half seconds of a tone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from voice_server.call.events import (
    Consumed,
    FinalTranscript,
    ReplyEnded,
    ReplyText,
    SpeechReady,
    ToolRequested,
    TurnId,
)
from voice_server.ports import CallFacts, ReplyRequest, VoiceActivity
from voice_server.speech.engines import LocalEngines

HEARD = "Can you tell me how much that is going to cost?"
REPLY = "That depends on the work, so let me look it up for you."
TONE = (b"\x20" * 4 + b"\xa0" * 4) * 2_500  # 2.5 s of 1 kHz, as loud as a voice


class Transcriber:
    """Answers each commit at once."""

    def __init__(self) -> None:
        self._finals: deque[FinalTranscript] = deque()
        self._wake = asyncio.Event()

    def push(self, mulaw: bytes) -> None: ...

    def commit(self, utterance: int) -> None:
        self._finals.append(FinalTranscript(HEARD, utterance))
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[FinalTranscript]:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._finals:
                yield self._finals.popleft()


class SpeechToText:
    """Hears the same in every utterance."""

    @asynccontextmanager
    async def listen(self, facts: CallFacts) -> AsyncIterator[Transcriber]:  # noqa: ARG002
        yield Transcriber()


class LanguageModel:
    """Gives the same answer to everything."""

    async def reply(
        self, request: ReplyRequest
    ) -> AsyncGenerator[ReplyText | ToolRequested | ReplyEnded | Consumed, None]:
        yield ReplyText(request.turn, REPLY)
        yield ReplyEnded(request.turn)


class TextToSpeech:
    """Sounds the same tone for every text."""

    async def speak(
        self,
        turn: TurnId,
        pieces: AsyncIterator[str],
        facts: CallFacts,  # noqa: ARG002
    ) -> AsyncGenerator[SpeechReady | Consumed, None]:
        async for piece in pieces:
            yield SpeechReady(turn, TONE, piece)

    async def warm(self, texts: Iterable[str]) -> None: ...


class NoTrack:
    """Scores nothing."""

    def push(self, mulaw: bytes) -> None: ...

    def close(self) -> None: ...


class NoVoiceActivity:
    """Leaves the call to judge by loudness alone."""

    def watch(self, on_score: Callable[[int], None]) -> NoTrack:  # noqa: ARG002
        return NoTrack()


class Engines:
    """Stands for `LocalEngines`. With `local` its voice activity model is the real one."""

    def __init__(self, local: LocalEngines | None = None) -> None:
        self._local = local
        self.speech_to_text = SpeechToText()
        self.text_to_speech = TextToSpeech()
        self.voice_activity: VoiceActivity = NoVoiceActivity()
        if local is not None:
            self.voice_activity = local.voice_activity

    async def warm(self) -> None: ...

    def close(self) -> None:
        """Close the real engines, if any."""
        if self._local is not None:
            self._local.close()
