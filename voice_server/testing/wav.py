"""Reads and writes G.711 mu-law WAV files (format 7), which the stdlib's `wave` cannot."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec

from voice_server.errors import VoiceServerError

SAMPLE_RATE = 8_000
SILENCE = b"\xff"  # mu-law zero

_MULAW = 7
_LIMIT = 256 * 1024 * 1024  # nine hours of one channel


class WavError(VoiceServerError):
    """A file is not a mu-law WAV of 8000 Hz; the message says what it is instead."""


class Recording(msgspec.Struct, frozen=True):
    """The channels of a mu-law file, all equally long, 8000 bytes a second each."""

    channels: tuple[bytes, ...]

    @property
    def duration_ms(self) -> int:
        return len(self.channels[0]) * 1000 // SAMPLE_RATE


def read(path: Path) -> Recording:
    """Read a mu-law WAV of any number of channels. Raises WavError, OSError.

    A data chunk cut short (a recorder that was killed) yields what is there.
    """
    if path.stat().st_size > _LIMIT:
        raise WavError(f"{path.name}: larger than {_LIMIT >> 20} MiB; cut it into parts")
    content = path.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise WavError(f"{path.name}: not a WAV file; it must start with RIFF....WAVE")
    channels, data = 0, None
    position = 12
    while position + 8 <= len(content) and data is None:
        name, size = struct.unpack_from("<4sI", content, position)
        body = content[position + 8 : position + 8 + size]
        if name == b"fmt ":
            channels = _check_format(path, body)
        elif name == b"data":
            data = body
        position += 8 + size + size % 2  # chunks are padded to an even length
    if data is None or not channels:
        raise WavError(f"{path.name}: no {'fmt' if not channels else 'data'} chunk")
    length = len(data) // channels
    return Recording(tuple(data[index::channels][:length] for index in range(channels)))


def _check_format(path: Path, body: bytes) -> int:
    if len(body) < 16:
        raise WavError(f"{path.name}: its fmt chunk is cut short")
    encoding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if (encoding, rate, bits) != (_MULAW, SAMPLE_RATE, 8) or channels < 1:
        raise WavError(
            f"{path.name}: format {encoding}, {channels} channels, {rate} Hz, {bits} bits; "
            "wanted mu-law (format 7), 8000 Hz, 8 bits. Convert it with: "
            "ffmpeg -i IN -ar 8000 -c:a pcm_mulaw OUT.wav"
        )
    return int(channels)


def write(path: Path, *channels: bytes) -> None:
    """Write one or more mu-law channels; the shorter ones end in silence."""
    path.write_bytes(encode(*channels))


def encode(*channels: bytes) -> bytes:
    """The bytes of a WAV file of one or more mu-law channels, padded with silence."""
    length = max(len(channel) for channel in channels)
    data = bytearray(length * len(channels))
    for index, channel in enumerate(channels):
        data[index :: len(channels)] = channel.ljust(length, SILENCE)
    return bytes(_header(len(channels), length) + data + b"\x00" * (len(data) % 2))


def _header(channels: int, length: int) -> bytes:
    size = channels * length
    # The fact chunk (samples per channel) is required of every format but PCM.
    chunks = struct.pack(
        "<4sIHHIIHHH4sII4sI",
        *(b"fmt ", 18, _MULAW, channels, SAMPLE_RATE, SAMPLE_RATE * channels, channels, 8, 0),
        *(b"fact", 4, length),
        *(b"data", size),
    )
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks) + size + size % 2, b"WAVE") + chunks
