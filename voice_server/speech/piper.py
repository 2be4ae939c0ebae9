"""A Piper voice on plain onnxruntime: phonemes in, telephone audio out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from voice_server.speech import g711
from voice_server.speech.phonemes import Lexicon
from voice_server.speech.resample import Samples, resample
from voice_server.speech.sessions import open_session
from voice_server.speech.spoken import spoken

_TELEPHONE = 8000
# Variation of sound, slowness, variation of rhythm. Without variation the same text always
# sounds the same, and a recogniser mistakes 1.3 % of the words instead of 3.2 %.
_SCALES = np.array([0.0, 1.0, 0.0], np.float32)
_BLOCK_S = 0.01
_SPEECH = 0.02  # a block louder than this, as a part of the loudest block, is speech
_LEAD_S = 0.02  # silence kept before the first sound
_TAIL_S = 0.04
_PAUSE_S = {".": 0.28, "!": 0.28, "?": 0.28, ",": 0.1, ";": 0.16, ":": 0.16}
_LEVEL = 0.1  # root mean square of speech: -20 dB below full scale, a telephone's usual level
_PEAK = 0.9
_MOST_GAIN = 8.0
_MOST_PHONEMES = 600  # 40 s; a clause has less than 200


class _Audio(msgspec.Struct):
    sample_rate: int


class _Config(msgspec.Struct):
    """The part of the voice's configuration that we need."""

    audio: _Audio
    phoneme_id_map: dict[str, list[int]]


class PiperVoice:
    """A voice. Thread-safe: a run keeps all its state to itself."""

    __slots__ = ("_ids", "_lexicon", "_rate", "_session")

    def __init__(self, model: Path, config: Path, lexicon: Lexicon) -> None:
        parsed = msgspec.json.decode(config.read_bytes(), type=_Config)
        self._session = open_session(model)
        self._rate = parsed.audio.sample_rate
        self._ids: Mapping[str, list[int]] = parsed.phoneme_id_map
        self._lexicon = lexicon

    def say(self, text: str) -> bytes:
        """Telephone audio (8 kHz mu-law) of one clause, a pause by its punctuation included.

        b"" when the text holds nothing that can be said.
        """
        phonemes = self._lexicon.phonemes(spoken(text))
        if not phonemes.strip(" .,?!;:"):
            return b""
        ids = np.array([phoneme_ids(phonemes[:_MOST_PHONEMES], self._ids)], np.int64)
        feed = {
            "input": ids,
            "input_lengths": np.array([ids.shape[1]], np.int64),
            "scales": _SCALES,
        }
        raw = self._session.run(None, feed)[0].reshape(-1)
        heard = level(trim(resample(raw, self._rate, _TELEPHONE), _TELEPHONE))
        pause = int(_PAUSE_S.get(text.rstrip(" '\")]”’")[-1:], 0.0) * _TELEPHONE)
        return g711.encode_float(heard) + g711.SILENCE * pause


def phoneme_ids(phonemes: str, ids: Mapping[str, list[int]]) -> list[int]:
    """The voice's numbers: a start, every known symbol followed by a blank, an end."""
    blank = ids["_"]
    sequence = [*ids["^"], *blank]
    for symbol in phonemes:
        if symbol in ids:
            sequence += [*ids[symbol], *blank]
    return [*sequence, *ids["$"]]


def trim(samples: Samples, rate: int) -> Samples:
    """Without the silence around speech but for a breath, faded in and out."""
    block = int(rate * _BLOCK_S)
    usable = len(samples) // block * block
    if not usable:
        return samples
    loud = np.abs(samples[:usable]).reshape(-1, block).max(axis=1)
    speech = np.flatnonzero(loud > _SPEECH * loud.max())
    if not speech.size:
        return samples[:0]
    first = max(0, speech[0] * block - int(_LEAD_S * rate))
    last = min(len(samples), (speech[-1] + 1) * block + int(_TAIL_S * rate))
    cut: Samples = samples[first:last].copy()
    ramp = np.linspace(0, 1, min(block, len(cut)), dtype=np.float32)
    cut[: len(ramp)] *= ramp
    cut[len(cut) - len(ramp) :] *= ramp[::-1]
    return cut


def level(samples: Samples) -> Samples:
    """At a telephone's usual loudness; never clipped, never more than 18 dB louder."""
    if not samples.size:
        return samples
    block = max(1, int(_TELEPHONE * _BLOCK_S))
    usable = max(block, len(samples) // block * block)
    power = np.square(samples[:usable])
    blocks = power.reshape(-1, block).mean(axis=1) if len(power) >= block else power
    active = blocks[blocks > 0.01 * blocks.max()]
    peak = float(np.abs(samples).max())
    if peak == 0.0 or not active.size:
        return samples
    gain = min(_LEVEL / float(np.sqrt(active.mean())), _PEAK / peak, _MOST_GAIN)
    louder: Samples = (samples * np.float32(gain)).astype(np.float32)
    return louder
