from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.speech.resample import resample

RATES = [(8000, 16000), (22050, 8000), (16000, 8000), (24000, 8000)]


def tone(hz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def middle(samples: np.ndarray) -> np.ndarray:
    return samples[len(samples) // 10 : -len(samples) // 10]


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
@pytest.mark.parametrize("hz", [50, 440, 1000, 2000, 3000, 3400])
def test_a_tone_that_a_telephone_carries_stays_itself(from_hz: int, to_hz: int, hz: int):
    heard = resample(tone(hz, from_hz), from_hz, to_hz)

    assert len(heard) == to_hz
    assert np.abs(middle(heard - tone(hz, to_hz))).max() < 1e-3


@pytest.mark.parametrize("from_hz", [22050, 16000, 24000])
@pytest.mark.parametrize("hz", [4300, 5000, 6500, 7900])
def test_a_tone_above_the_band_does_not_come_back_as_an_alias(from_hz: int, hz: int):
    heard = resample(tone(hz, from_hz), from_hz, 8000)

    assert np.abs(middle(heard)).max() < 10 ** (-60 / 20)


def test_going_up_adds_no_mirror_image():
    heard = resample(tone(3000, 8000), 8000, 16000)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))

    assert spectrum[4500:].max() < 1e-3 * spectrum.max()


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_a_constant_stays_a_constant(from_hz: int, to_hz: int):
    heard = resample(np.full(from_hz // 4, 0.5, np.float32), from_hz, to_hz)

    assert np.abs(middle(heard) - 0.5).max() < 1e-4


@given(st.integers(0, 700), st.sampled_from(RATES))
def test_the_length_follows_the_rates(count: int, rates: tuple[int, int]):
    from_hz, to_hz = rates

    heard = resample(np.ones(count, np.float32), from_hz, to_hz)

    assert len(heard) == -(-count * to_hz // from_hz)
    assert heard.dtype == np.float32


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=60), st.sampled_from(RATES))
def test_the_sum_of_two_sounds_is_the_sum_of_their_resampled(sound, rates):
    one = np.array(sound, np.float32)
    other = one[::-1].copy()

    apart = resample(one, *rates) + resample(other, *rates)

    assert np.allclose(resample(one + other, *rates), apart, atol=1e-5)


def test_the_same_rate_changes_nothing():
    sound = tone(440, 8000)

    assert resample(sound, 8000, 8000) is sound
