"""The audio formats of the simulated service, which itself thinks in mu-law at 8 kHz."""

from __future__ import annotations

import re

import numpy as np

from voice_server.speech import g711
from voice_server.speech.resample import resample

_TELEPHONE = 8000
_PCM = re.compile(r"pcm_(\d{4,5})")


def to_mulaw(audio: bytes, audio_format: str) -> bytes:
    """What a client has sent, each portion by itself."""
    if (rate := _pcm_rate(audio_format)) is None:
        return audio
    pcm = np.frombuffer(audio[: len(audio) // 2 * 2], np.int16)
    if rate == _TELEPHONE:
        return g711.encode(pcm)
    samples = pcm.astype(np.float32) / np.float32(32768)
    return g711.encode_float(resample(samples, rate, _TELEPHONE))


def from_mulaw(mulaw: bytes, audio_format: str) -> bytes:
    """What a client wants to get. A format that is not PCM is left as it is: mu-law."""
    if (rate := _pcm_rate(audio_format)) is None:
        return mulaw
    if rate == _TELEPHONE:
        return g711.decode(mulaw).tobytes()
    louder = resample(g711.decode_float(mulaw), _TELEPHONE, rate) * 32768
    return np.clip(np.rint(louder), -32768, 32767).astype(np.int16).tobytes()


def _pcm_rate(audio_format: str) -> int | None:
    found = _PCM.fullmatch(audio_format)
    return int(found[1]) if found else None
