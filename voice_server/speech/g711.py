"""mu-law (ITU-T G.711) by table: 8 kHz telephone audio to and from 16-bit samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SILENCE = b"\xff"
"""One sample of silence; multiply for more."""

_BIAS = 132  # added before the logarithm, so that the lowest segment is as linear as the rest
_CLIP = 32635  # the largest magnitude that still fits after the bias


def _decode_table() -> npt.NDArray[np.int16]:
    bits = ~np.arange(256) & 0xFF
    magnitude = ((((bits & 0x0F) << 3) + _BIAS) << ((bits & 0x70) >> 4)) - _BIAS
    return np.where(bits & 0x80, -magnitude, magnitude).astype(np.int16)


def _encode_table() -> npt.NDArray[np.uint8]:
    """Indexed by the sample's two's complement bits."""
    sample = np.arange(65536).astype(np.uint16).view(np.int16).astype(np.int32)
    magnitude = np.minimum(np.abs(sample), _CLIP) + _BIAS
    segment = np.frexp(magnitude)[1] - 8
    mantissa = (magnitude >> (segment + 3)) & 0x0F
    sign = np.where(sample < 0, 0x80, 0)
    code: npt.NDArray[np.uint8] = (~(sign | (segment << 4) | mantissa) & 0xFF).astype(np.uint8)
    return code


_DECODE = _decode_table()
_DECODE_FLOAT = (_DECODE / 32768.0).astype(np.float32)
_ENCODE = _encode_table()


def decode(mulaw: bytes) -> npt.NDArray[np.int16]:
    """One 16-bit sample per byte."""
    return _DECODE[np.frombuffer(mulaw, np.uint8)]


def decode_float(mulaw: bytes) -> npt.NDArray[np.float32]:
    """One sample per byte, -1 to 1."""
    return _DECODE_FLOAT[np.frombuffer(mulaw, np.uint8)]


def encode(pcm: npt.NDArray[np.int16]) -> bytes:
    """One byte per 16-bit sample; negative zero (0x7F) never comes out."""
    return _ENCODE[pcm.view(np.uint16)].tobytes()


def encode_float(samples: npt.NDArray[np.float32]) -> bytes:
    """One byte per sample; what lies outside -1 to 1 is clipped."""
    scaled = np.clip(np.rint(samples * 32768.0), -32768, 32767)
    return encode(scaled.astype(np.int16))
