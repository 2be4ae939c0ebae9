from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.weights import WeightsMissing, path
from tests.speech.test_moonshine import edits, words
from voice_server.speech import g711
from voice_server.speech.moonshine import RATE, Moonshine
from voice_server.speech.phonemes import Lexicon
from voice_server.speech.piper import PiperVoice, level, phoneme_ids, trim
from voice_server.speech.resample import resample

IDS = {"_": [0], "^": [1], "$": [2], " ": [3], "a": [14], "ː": [122]}


@pytest.mark.parametrize(
    ("phonemes", "ids"),
    [
        ("", [1, 0, 2]),
        ("a", [1, 0, 14, 0, 2]),
        ("aː a", [1, 0, 14, 0, 122, 0, 3, 0, 14, 0, 2]),
        ("a?a", [1, 0, 14, 0, 14, 0, 2]),
    ],
)
def test_every_known_sound_is_followed_by_a_blank(phonemes: str, ids: list[int]):
    assert phoneme_ids(phonemes, IDS) == ids


def tone(seconds: float, loud: float) -> np.ndarray:
    count = np.arange(int(seconds * 8000))
    return (loud * np.sin(2 * np.pi * 440 * count / 8000)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * 8000), np.float32)


def test_silence_around_speech_is_cut_off():
    cut = trim(np.concatenate((silence(0.5), tone(1, 0.3), silence(0.7))), 8000)

    assert len(cut) == pytest.approx(1.06 * 8000, abs=160)
    assert abs(cut[0]) < 1e-6
    assert abs(cut[-1]) < 1e-3


def test_a_pause_within_speech_stays():
    sound = np.concatenate((tone(0.3, 0.3), silence(0.4), tone(0.3, 0.3)))

    assert len(trim(sound, 8000)) == pytest.approx(8000, abs=160)


@pytest.mark.parametrize("length", [0, 3, 79])
def test_a_sound_too_short_to_judge_stays(length: int):
    assert len(trim(np.ones(length, np.float32), 8000)) == length


def test_pure_silence_is_nothing():
    assert len(trim(silence(1), 8000)) == 0


@pytest.mark.parametrize("loud", [0.02, 0.1, 0.5, 1.0])
def test_speech_gets_a_telephones_loudness(loud: float):
    heard = level(np.concatenate((tone(1, loud), silence(1))))

    assert np.sqrt(np.mean(heard[:8000] ** 2)) == pytest.approx(0.1, rel=0.05)


def test_a_whisper_is_raised_by_18_db_at_most():
    assert np.abs(level(tone(1, 0.001))).max() == pytest.approx(0.008, rel=0.01)


def test_a_click_is_not_raised_into_clipping():
    clicks = tone(1, 0.01)
    clicks[4000] = 0.5

    assert np.abs(level(clicks)).max() <= 0.9 + 1e-6


@given(st.lists(st.floats(-1, 1, width=32), max_size=300))
def test_any_sound_is_levelled_without_error(sound: list[float]):
    heard = level(np.array(sound, np.float32))

    assert len(heard) == len(sound)
    assert np.isfinite(heard).all()


@pytest.fixture(scope="module")
def voice() -> PiperVoice:
    try:
        lexicon = Lexicon.load(path("lexicon_gold"), path("lexicon_silver"))
        return PiperVoice(path("piper_joe"), path("piper_joe_config"), lexicon)
    except WeightsMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.weights
@pytest.mark.parametrize("text", ["", " ", "...", "?!", "***", "\n"])
def test_text_without_words_has_no_audio(voice: PiperVoice, text: str):
    assert voice.say(text) == b""


@pytest.mark.weights
def test_speech_has_a_telephones_level_and_no_clipping(voice: PiperVoice):
    samples = g711.decode_float(voice.say("Could you spell your last name for me, please?"))

    assert 0.03 < samples.std() < 0.12
    assert np.abs(samples).max() < 0.95


@pytest.mark.weights
def test_the_same_words_always_sound_the_same(voice: PiperVoice):
    assert voice.say("I'll see you tomorrow.") == voice.say("I'll see you tomorrow.")


@pytest.mark.weights
def test_punctuation_makes_the_pause_after_it(voice: PiperVoice):
    def quiet_end(text: str) -> int:
        audio = voice.say(text)
        return len(audio) - len(audio.rstrip(g711.SILENCE))

    assert quiet_end("Good morning.") >= 2240 > quiet_end("Good morning,") >= 800
    assert quiet_end("Good morning") < 400


@pytest.mark.weights
def test_the_end_of_the_longest_clause_is_bounded(voice: PiperVoice):
    assert len(voice.say("word " * 400)) < 60 * 8000


SENTENCES = (
    "Hello, how can I help you today?",
    "I can send a plumber tomorrow at 3:30 in the afternoon.",
    "Your appointment is on Tuesday, March 3rd.",
    "Could you spell your last name for me, please?",
    "My kitchen sink is leaking and the water will not stop.",
    "What is the best phone number to reach you?",
    "I'm sorry, I didn't catch that.",
    "Yes.",
    "No.",
    "I need an electrician, the lights keep flickering.",
    "The total comes to $149.",
    "One moment, I will connect you with a colleague.",
)


@pytest.mark.weights
def test_a_listener_understands_what_the_voice_says(voice: PiperVoice, record_property):
    try:
        files = [path(f"moonshine_{part}") for part in ("encoder", "decoder", "tokenizer")]
    except WeightsMissing as missing:
        pytest.skip(str(missing))
    ears = Moonshine(*files)
    errors = total = 0
    seconds = cost = 0.0
    for sentence in SENTENCES:
        began = time.thread_time()
        audio = voice.say(sentence)
        cost += time.thread_time() - began
        seconds += len(audio) / 8000
        heard = ears.transcribe(resample(g711.decode_float(audio), 8000, RATE))
        errors += edits(words(sentence), words(heard))
        total += len(words(sentence))

    figures = f"{errors / total:.1%} of {total} words wrong, {cost / seconds:.3f} CPU s per s"
    print(f"the voice: {figures}")  # noqa: T201  # pytest -s shows the figures
    record_property("wer", errors / total)
    assert errors / total < 0.15
