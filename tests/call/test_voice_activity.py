"""Loudness of mu-law frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call.voice_activity import loudness


def magnitude(code: int) -> int:
    """The 16-bit magnitude of a code, from the segment formula of ITU-T G.711."""
    flipped = 255 - code
    segment, step = flipped % 128 // 16, flipped % 16
    return 4 * (int((2 * step + 33) * 2**segment) - 33)


@pytest.mark.parametrize("code", range(256))
def test_every_code_is_as_loud_as_the_standard_says(code: int):
    assert loudness(bytes([code])) == min(255, magnitude(code) // 32)


@pytest.mark.parametrize(("mulaw", "level"), [(b"", 0), (b"\xff" * 160, 0), (b"\x7f" * 160, 0)])
def test_nothing_and_both_zeros_are_silent(mulaw: bytes, level: int):
    assert loudness(mulaw) == level


@pytest.mark.parametrize("code", [0x00, 0x80])
def test_full_scale_is_as_loud_as_it_gets(code: int):
    assert loudness(bytes([code]) * 160) == 255


@given(st.binary(min_size=1, max_size=400))
def test_a_frame_is_as_loud_as_its_samples_on_average(mulaw: bytes):
    levels = [min(255, magnitude(code) // 32) for code in mulaw]
    assert loudness(mulaw) == sum(levels) // len(levels)


@given(st.binary(max_size=400))
def test_the_sign_of_a_sample_does_not_matter(mulaw: bytes):
    assert loudness(mulaw) == loudness(bytes(code ^ 0x80 for code in mulaw))


@given(st.integers(0, 126))
def test_a_louder_code_is_never_measured_as_quieter(code: int):
    assert loudness(bytes([code])) >= loudness(bytes([code + 1]))
