"""Turns recordings into conversations with the local recogniser, faster than real time."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import msgspec
import numpy as np

from detectors.transcripts import Said, Talk
from voice_server.call.events import FinalTranscript
from voice_server.call.policy import Policy
from voice_server.call.turns import Edge, VoiceGate
from voice_server.call.voice_activity import loudness
from voice_server.speech import g711
from voice_server.speech.engines import LocalEngines
from voice_server.speech.resample import Samples, resample
from voice_server.speech.vad import SileroTrack
from voice_server.testing import wav

RATE = 8_000
_FRAME, _FRAME_MS = 160, 20
_BLOCK_S = 30  # how much is resampled at once: half a minute of 48 kHz takes 60 MB
_CHANNELS = 2
# Who talks without a pause is committed at the next breath after six seconds, and in
# mid-speech before the recogniser's own limit of 15 s, whose cuts carry no time.
_LONG_MS, _BREATH_MS, _LONGEST_MS = 6_000, 200, 14_000
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


class Piece(msgspec.Struct, frozen=True):
    """Audio between two moments of speech; a live call would have its words after `cut_ms`."""

    started_ms: int
    ended_ms: int
    cut_ms: int
    audio: bytes


async def hear(path: Path, engines: LocalEngines, advance: Advance) -> Talk:
    """Transcribe a recording: channel 0 is the remote party, channel 1 our side.

    `advance` is told seconds of audio as they are done. The turns of both channels come in the
    order in which their words were known. Raises RecordingError, OSError, ServiceRejected.
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
    """Cut one channel where a live call would, and transcribe each piece."""
    pieces = _pieces(channel, engines, advance)
    async with engines.speech_to_text.open() as ears, aclosing(pieces):
        told = aiter(ears)
        number = 0
        async for piece in pieces:
            number += 1
            for frame in _frames(piece.audio):
                ears.push(frame)
            ears.commit(number)
            if text := await _final(told, number):
                times = (piece.started_ms, piece.ended_ms, piece.cut_ms)
                begin, end, known = (time / 1_000 for time in times)
                yield Said(text, speaker, begin, end, known)


async def _final(told: AsyncIterator[object], number: int) -> str:
    async for heard in told:
        if isinstance(heard, FinalTranscript) and heard.utterance == number:
            return heard.text
    return ""


async def _pieces(
    channel: bytes, engines: LocalEngines, advance: Advance
) -> AsyncGenerator[Piece, None]:
    """Yield all audio since the piece before, whenever a turn would end."""
    gate = VoiceGate(Policy().end_of_turn_ms)
    now = taken = 0
    looked = asyncio.Event()

    def take(percent: int) -> None:
        gate.score(percent, now)
        looked.set()

    track = engines.voice_activity.watch(take)
    try:
        for frame in _frames(channel):
            await _look(track, frame, looked)
            now += _FRAME_MS
            advance(_FRAME_MS / 1_000)
            edge = gate.hear(loudness(frame), now)
            if edge is Edge.CLOSED or _is_long(gate, max(taken, gate.onset_at), now):
                began = max(taken, gate.onset_at)
                yield Piece(began, gate.last_voice_at, now, _slice(channel, taken, now))
                taken = now
    finally:
        track.close()
    if gate.open:
        yield Piece(max(taken, gate.onset_at), now, now, _slice(channel, taken, now))


def _is_long(gate: VoiceGate, began: int, now: int) -> bool:
    """Whether somebody has talked long enough to be cut at a breath, or at once."""
    if not gate.open:
        return False
    spoken = now - began
    breathes = now - gate.last_voice_at >= _BREATH_MS
    return spoken >= _LONGEST_MS or (spoken >= _LONG_MS and breathes)


async def _look(track: SileroTrack, frame: bytes, looked: asyncio.Event) -> None:
    """Let the model see a frame before the next one comes, for its backlog is short."""
    track.push(frame)
    while track.waiting or track.busy:
        looked.clear()
        await looked.wait()


def _frames(audio: bytes) -> Iterator[bytes]:
    return (audio[at : at + _FRAME] for at in range(0, len(audio), _FRAME))


def _slice(channel: bytes, begin_ms: int, end_ms: int) -> bytes:
    return channel[begin_ms * RATE // 1_000 : end_ms * RATE // 1_000]
