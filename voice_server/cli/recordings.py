"""Turns recordings into conversations with the local recogniser, faster than real time."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np

from detectors.transcripts import Said, Talk
from voice_server.call.caller import CallerSide
from voice_server.call.events import FinalTranscript, PartialTranscript
from voice_server.call.policy import Policy
from voice_server.call.risk import PREVIEW_MS
from voice_server.call.turns import Edge
from voice_server.call.voice_activity import loudness
from voice_server.speech import g711
from voice_server.speech.engines import LocalEngines
from voice_server.speech.resample import Samples, resample
from voice_server.speech.transcriber import LocalTranscriber
from voice_server.testing import wav

RATE = 8_000
_FRAME, _FRAME_MS = 160, 20
_BLOCK_S = 30  # how much is resampled at once: half a minute of 48 kHz takes 60 MB
_CHANNELS = 2
_REMOTE, _OURS = "caller", "agent"

Advance = Callable[[float], None]


class RecordingError(Exception):
    """A file is not a recording we can read; the message says what it is instead."""


def read_channels(path: Path) -> tuple[bytes, ...]:
    """Read a mu-law or PCM WAV as mu-law channels of 8000 Hz. Raises RecordingError, OSError."""
    try:
        with wave.open(str(path), "rb") as file:
            channels = _from_pcm(file)
    except (wave.Error, EOFError):
        try:
            channels = wav.read(path).channels
        except wav.WavError as error:
            raise RecordingError(str(error).removeprefix(f"{path.name}: ")) from None
    if len(channels) > _CHANNELS:
        raise RecordingError(f"{len(channels)} channels; wanted one, or two: remote party, us")
    return channels


def _from_pcm(file: wave.Wave_read) -> tuple[bytes, ...]:
    width, count, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
    if width not in (1, 2, 3, 4) or not rate:
        raise RecordingError(f"PCM of {8 * width} bits, {rate} Hz; wanted 8 to 32 bits")
    parts: list[list[bytes]] = [[] for _ in range(count)]
    while block := file.readframes(_BLOCK_S * rate):
        whole = len(block) // (width * count) * width * count
        for index, samples in enumerate(_samples(block[:whole], width).reshape(-1, count).T):
            even = resample(np.ascontiguousarray(samples), rate, RATE)
            parts[index].append(g711.encode_float(even))
    return tuple(b"".join(part) for part in parts)


def _samples(block: bytes, width: int) -> Samples:
    """Little-endian PCM to -1 .. 1; 8 bits are unsigned (RIFF)."""
    if width == 1:
        return np.frombuffer(block, np.uint8).astype(np.float32) / np.float32(128) - np.float32(1)
    if width == 3:  # the top three bytes of a 32-bit sample
        padded = np.zeros((len(block) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(block, np.uint8).reshape(-1, 3)
        return padded.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    whole = np.frombuffer(block, "<i2" if width == 2 else "<i4")
    return whole.astype(np.float32) / np.float32(2 ** (8 * width - 1))


async def hear(path: Path, engines: LocalEngines, advance: Advance) -> Talk:
    """Transcribe a recording: channel 0 is the remote party, channel 1 our side.

    `advance` is told seconds of audio as they are done. The turns of both channels come in the
    order in which their words were known; provisional ones are those that a live call would
    show its scam detector. The time that the recogniser itself takes is not counted. Raises
    RecordingError, OSError, ServiceRejected.
    """
    turns: list[Said] = []
    for index, channel in enumerate(read_channels(path)):
        speaker = _REMOTE if index == 0 else _OURS
        async with aclosing(_turns(channel, speaker, engines, advance)) as heard:
            turns += [said async for said in heard]
    turns.sort(key=lambda said: said.known or 0.0)
    return Talk(path.stem, tuple(turns))


async def _turns(
    channel: bytes, speaker: str, engines: LocalEngines, advance: Advance
) -> AsyncGenerator[Said, None]:
    """Hear one channel as a live call does: the same gate, commits and partial transcripts."""
    async with engines.speech_to_text.open() as transcriber:
        ear = _Ear(speaker, transcriber, engines)
        try:
            for frame in _frames(channel):
                for said in await ear.hear(frame):
                    yield said
                advance(_FRAME_MS / 1_000)
            for said in await ear.end():
                yield said
        finally:
            ear.close()


class _Ear:
    """One channel on its way through the engines; each frame waits until all is known of it."""

    __slots__ = ("_caller", "_looked", "_now", "_previewed_at", "_speaker", "_track", "_words")

    def __init__(self, speaker: str, words: LocalTranscriber, engines: LocalEngines) -> None:
        self._speaker = speaker
        self._words = words
        self._caller = CallerSide(Policy())
        self._now = 0
        self._previewed_at = -PREVIEW_MS
        self._looked = asyncio.Event()
        self._track = engines.voice_activity.watch(self._score)

    async def hear(self, frame: bytes) -> list[Said]:
        """Take one frame, return what is known after it."""
        self._words.push(frame)
        self._track.push(frame)
        while self._track.waiting or self._track.busy:
            self._looked.clear()
            await self._looked.wait()
        self._now += _FRAME_MS
        if self._caller.hear(loudness(frame), self._now) is Edge.CLOSED:
            self._words.commit(self._caller.utterance)
        return await self._known()

    async def end(self) -> list[Said]:
        """Return what was being said when the recording ended."""
        if self._caller.speaking:
            self._words.commit(self._caller.utterance + 1)
        return await self._known()

    def close(self) -> None:
        """Stop looking."""
        self._track.close()

    def _score(self, percent: int) -> None:
        self._caller.score(percent, self._now)
        self._looked.set()

    async def _known(self) -> list[Said]:
        found: list[Said] = []
        for heard in await self._words.settled():
            match heard:
                case PartialTranscript(text=text):
                    if self._now - self._previewed_at >= PREVIEW_MS:
                        self._previewed_at = self._now
                        found.append(self._said(text, provisional=True))
                case FinalTranscript(text=text) if text:
                    found.append(self._said(text, provisional=False))
        return found

    def _said(self, text: str, *, provisional: bool) -> Said:
        begin, end = (at / 1_000 for at in self._caller.span)
        known = self._now / 1_000
        return Said(text, self._speaker, begin, end, known, provisional=provisional)


def _frames(audio: bytes) -> Iterator[bytes]:
    return (audio[at : at + _FRAME] for at in range(0, len(audio), _FRAME))
