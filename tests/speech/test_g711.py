from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.speech import g711

ALL_CODES = bytes(range(256))
ALL_SAMPLES = np.arange(-32768, 32768).astype(np.int16)


@pytest.mark.parametrize(
    ("code", "sample"),
    [
        # The segment ends of ITU-T G.711 table 2a, in 16-bit steps.
        (0xFF, 0),
        (0xFE, 8),
        (0xF0, 120),
        (0xEF, 132),
        (0xDF, 396),
        (0xCF, 924),
        (0xBF, 1980),
        (0xAF, 4092),
        (0x9F, 8316),
        (0x8F, 16764),
        (0x80, 32124),
        (0x7F, 0),
        (0x7E, -8),
        (0x0F, -16764),
        (0x00, -32124),
    ],
)
def test_a_code_stands_for_the_level_of_the_standard(code: int, sample: int):
    assert g711.decode(bytes([code])).tolist() == [sample]


def test_every_code_survives_the_way_there_and_back_but_negative_zero():
    back = g711.encode(g711.decode(ALL_CODES))

    assert back == ALL_CODES.replace(b"\x7f", b"\xff")


def test_every_sample_gets_the_level_of_its_interval():
    # Table 2a of the standard in 16-bit steps: segments of 16 intervals, each twice as wide as
    # the one before; the first interval is half cut off by zero.
    widths = np.repeat([8 << segment for segment in range(8)], 16)[1:]
    bounds = np.concatenate(([4], 4 + np.cumsum(widths[:126])))
    levels = g711.decode(ALL_CODES)[:127:-1].astype(np.int32)

    heard = g711.decode(g711.encode(ALL_SAMPLES)).astype(np.int32)

    interval = np.searchsorted(bounds, np.abs(ALL_SAMPLES.astype(np.int32)), side="right")
    assert np.array_equal(np.abs(heard), levels[interval])


def test_louder_never_becomes_quieter():
    heard = g711.decode(g711.encode(ALL_SAMPLES)).astype(np.int32)

    assert (np.diff(heard) >= 0).all()


def test_a_sample_and_its_negative_differ_in_the_sign_bit_only():
    positive = np.frombuffer(g711.encode(ALL_SAMPLES[ALL_SAMPLES > 0]), np.uint8)
    negative = np.frombuffer(g711.encode(-ALL_SAMPLES[ALL_SAMPLES > 0]), np.uint8)

    assert (positive ^ negative == 0x80).all()


@given(st.binary(max_size=400))
def test_floats_are_the_samples_at_full_scale(mulaw: bytes):
    assert np.array_equal(g711.decode_float(mulaw) * 32768, g711.decode(mulaw))
    assert g711.encode_float(g711.decode_float(mulaw)) == mulaw.replace(b"\x7f", b"\xff")


@pytest.mark.parametrize(
    ("level", "code"), [(9.0, 0x80), (1.0, 0x80), (-1.0, 0x00), (-9.0, 0x00), (0.0, 0xFF)]
)
def test_what_is_too_loud_is_clipped(level: float, code: int):
    assert g711.encode_float(np.array([level], np.float32)) == bytes([code])


def test_no_audio_is_no_audio():
    assert g711.encode(g711.decode(b"")) == b""
    assert g711.encode(np.zeros(1, np.int16)) == g711.SILENCE
