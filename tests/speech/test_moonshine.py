from __future__ import annotations

import re
import time

import numpy as np
import pytest

from models.weights import WeightsMissing, path
from tests.speech.conftest import spoken_turns
from voice_server.speech import g711
from voice_server.speech.moonshine import (
    RATE,
    Moonshine,
    is_credible,
    loop_surplus,
    read_pieces,
)
from voice_server.speech.resample import resample
from voice_server.speech.spoken import spoken


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", spoken(text).lower())


def edits(said: list[str], heard: list[str]) -> int:
    """The least number of words to change, add or drop."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def test_pieces_have_lengths_of_one_or_two_bytes():
    long = b"x" * 300
    data = bytes([2]) + b"ab" + bytes([0]) + bytes([128 + 300 // 128, 300 % 128]) + long

    assert read_pieces(data) == [b"ab", b"", long]


@pytest.mark.parametrize(
    ("tokens", "surplus"),
    [
        ([], 0),
        ([5, 6, 7], 0),
        ([5] * 7, 0),
        ([5] * 8, 7),
        ([1, 2] * 3, 0),
        ([1, 2] * 4, 6),
        ([9, 1, 2, 3, 4, *[1, 2, 3, 4] * 2], 8),
        ([*range(16)] * 3, 32),
        ([*range(17)] * 3, 0),
    ],
)
def test_a_phrase_said_over_and_over_is_surplus(tokens: list[int], surplus: int):
    assert loop_surplus(tokens) == surplus


@pytest.mark.parametrize(
    ("text", "certainty", "credible"),
    [
        ("My sink is leaking.", -0.3, True),
        ("My sink is leaking.", -0.9, True),
        ("I'm going to be doing this.", -1.4, False),
        ("You", -0.9, False),
        ("Thank you for watching.", -0.44, False),
        ("Thank you.", -0.15, True),
        ("Yeah.", -0.1, True),
        ("", -0.1, False),
        ("♪", -0.1, False),
    ],
)
def test_uncertain_words_and_phantoms_are_not_believed(text, certainty, credible):
    assert is_credible(text, certainty) is credible


@pytest.fixture(scope="module")
def moonshine() -> Moonshine:
    try:
        files = [path(f"moonshine_{part}") for part in ("encoder", "decoder", "tokenizer")]
    except WeightsMissing as missing:
        pytest.skip(str(missing))
    return Moonshine(*files)


def noise(seconds: float, level: float) -> np.ndarray:
    random = np.random.default_rng(7)
    return (random.standard_normal(int(RATE * seconds)) * level).astype(np.float32)


def hum(seconds: float, hz: float) -> np.ndarray:
    return 0.1 * np.sin(2 * np.pi * hz * np.arange(int(RATE * seconds)) / RATE, dtype=np.float32)


@pytest.mark.weights
@pytest.mark.parametrize(
    "sound",
    [
        noise(1, 0.002),
        noise(2, 0.01),
        noise(4, 0.05),
        noise(3, 0.2),
        np.zeros(RATE, np.float32),
        np.zeros(10, np.float32),
        np.zeros(0, np.float32),
        hum(2, 60),
        hum(2, 120),
        hum(1, 770) + hum(1, 1336),
    ],
)
def test_what_is_not_speech_has_no_words(moonshine: Moonshine, sound: np.ndarray):
    assert moonshine.transcribe(sound) == ""


@pytest.mark.weights
def test_it_stops_when_told(moonshine: Moonshine):
    asked = iter([False, False, True])

    assert len(moonshine.transcribe(noise(1, 0.2), lambda: next(asked)).split()) <= 2


@pytest.mark.weights
@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "most", "ceiling"),
    [
        # Transcripts of the first two were made by machine, so half of the errors are theirs.
        ("tel_*.wav", 6, 0.25),
        ("rc_*.wav", 8, 0.17),
        ("tts_assistant*.wav", 8, 0.20),
    ],
)
def test_word_errors_on_recordings(moonshine: Moonshine, pattern, most, ceiling, record_property):
    errors = total = 0
    seconds = 0.0
    began = time.process_time()
    for text, audio in spoken_turns(pattern, most):
        heard = moonshine.transcribe(resample(g711.decode_float(audio), 8000, RATE))
        errors += edits(words(text), words(heard))
        total += len(words(text))
        seconds += len(audio) / 8000
    cost = (time.process_time() - began) / seconds

    figures = f"{errors / total:.1%} of {total} words wrong, {cost:.3f} CPU s per s"
    print(f"{pattern}: {figures}")  # noqa: T201  # pytest -s shows the figures
    record_property("wer", errors / total)
    assert errors / total < ceiling
