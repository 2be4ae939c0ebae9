"""What the tests of ElevenLabs share: a running simulator, ears and a voice at it, a ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from tests.speech.conftest import FACTS
from voice_server.call.events import Consumed, FinalTranscript, PartialTranscript, SpeechReady
from voice_server.errors import ServiceError
from voice_server.speech.elevenlabs import (
    Access,
    EarsConfig,
    ElevenLabsSpeechToText,
    ElevenLabsTextToSpeech,
    VoiceConfig,
    VoiceSockets,
)
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs import ElevenLabsLab, open_elevenlabs

FRAME_S = 0.02
EARS = EarsConfig()
VOICE = VoiceConfig()


class Ledger:
    """What the adapters have booked."""

    def __init__(self) -> None:
        self.items: Counter[str] = Counter()

    def spend(self, consumed: Consumed) -> None:
        assert consumed.quantity > 0
        self.items[consumed.item] += consumed.quantity


def now() -> float:
    return asyncio.get_running_loop().time()


def access(lab: ElevenLabsLab, key: str = "") -> Access:
    return Access(SecretStr(key or lab.key), lab.url)


class Ear:
    """A transcriber under test and a caller who talks to it in real (virtual) time."""

    def __init__(self, transcriber: Any) -> None:
        self.transcriber = transcriber
        self.heard: list[PartialTranscript | FinalTranscript] = []
        self.times: list[float] = []
        self.error: ServiceError | None = None
        self.error_at = -1.0
        self.committed_at: dict[int, float] = {}
        self._commits = 0

    async def listen(self) -> None:
        try:
            async for event in self.transcriber:
                self.heard.append(event)
                self.times.append(now())
        except ServiceError as error:
            self.error, self.error_at = error, now()

    async def play(self, audio: bytes) -> None:
        for at in range(0, len(audio), 160):
            self.transcriber.push(audio[at : at + 160])
            await asyncio.sleep(FRAME_S)

    async def say(self, text: str, *, pause_ms: int = 240) -> int:
        """Speak, pause, commit."""
        await self.play(sound.spoken(text) + sound.SILENCE * (pause_ms // 20))
        self._commits += 1
        self.committed_at[self._commits] = now()
        self.transcriber.commit(self._commits)
        return self._commits

    @property
    def finals(self) -> list[FinalTranscript]:
        return [event for event in self.heard if isinstance(event, FinalTranscript)]

    @property
    def partials(self) -> list[str]:
        return [event.text for event in self.heard if isinstance(event, PartialTranscript)]

    @property
    def words(self) -> str:
        return " ".join(final.text for final in self.finals if final.text)

    def answered_after(self, utterance: int) -> float:
        for event, at in zip(self.heard, self.times, strict=True):
            if isinstance(event, FinalTranscript) and event.utterance == utterance:
                return at - self.committed_at[utterance]
        raise AssertionError(f"utterance {utterance} has no answer")


@asynccontextmanager
async def ears(
    config: EarsConfig = EARS, *, key: str = "", **options: Any
) -> AsyncIterator[tuple[ElevenLabsLab, Ear, Ledger]]:
    """A transcriber at a simulator; checks on the way out that both count the same."""
    ledger = Ledger()
    async with open_elevenlabs(**options) as lab:
        speech_to_text = ElevenLabsSpeechToText(access(lab, key), config, ledger.spend)
        async with speech_to_text.listen(FACTS) as transcriber:
            ear = Ear(transcriber)
            listening = asyncio.create_task(ear.listen())
            try:
                yield lab, ear, ledger
            finally:
                listening.cancel()
                await asyncio.wait([listening])
        await asyncio.sleep(0.01)
        assert dict(ledger.items) == lab.meter.items


class Turn:
    """What one turn brought."""

    def __init__(self) -> None:
        self.speech: list[SpeechReady] = []
        self.times: list[float] = []
        self.began = now()
        self.error: ServiceError | None = None
        self.error_at = -1.0

    @property
    def text(self) -> str:
        return "".join(ready.text for ready in self.speech)

    @property
    def audio(self) -> bytes:
        return b"".join(ready.mulaw for ready in self.speech)

    @property
    def first_s(self) -> float:
        return self.times[0] - self.began if self.times else -1.0


async def given(*pieces: str, gap_s: float = 0.0) -> AsyncIterator[str]:
    for number, piece in enumerate(pieces):
        if number:
            await asyncio.sleep(gap_s)
        yield piece


class Mouth:
    """A voice under test."""

    def __init__(self, lab: ElevenLabsLab, sockets: VoiceSockets, voice: Any, ledger: Ledger):
        self.voice = voice
        self.lab = lab
        self.sockets = sockets
        self.ledger = ledger
        self._turns = 0

    async def say(self, *pieces: str, gap_s: float = 0.0) -> Turn:
        self._turns += 1
        number, turn = self._turns, Turn()
        try:
            async for ready in self.voice.speak(number, given(*pieces, gap_s=gap_s), FACTS):
                assert ready.turn == number
                turn.speech.append(ready)
                turn.times.append(now())
        except ServiceError as error:
            turn.error, turn.error_at = error, now() - turn.began
        return turn


@asynccontextmanager
async def mouth(
    voice: VoiceConfig = VOICE, *, key: str = "", **options: Any
) -> AsyncIterator[Mouth]:
    """A voice at a simulator; checks on the way out that both count the same."""
    ledger = Ledger()
    async with open_elevenlabs(**options) as lab:
        sockets = VoiceSockets()
        try:
            speech = ElevenLabsTextToSpeech(access(lab, key), voice, sockets, ledger.spend)
            yield Mouth(lab, sockets, speech, ledger)
        finally:
            await sockets.close()
        assert dict(ledger.items) == lab.meter.items
