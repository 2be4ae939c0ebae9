from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.speech.guess import guess


@pytest.mark.parametrize(
    ("word", "sound"),
    [
        ("Roomba", "ɹˈumbə"),
        ("Vandenberg", "vˈændɛnbəɹɡ"),
        ("Knightley", "nˈItli"),
        ("Schwartz", "ʃwˈɑɹts"),
        ("Szymanski", "simˈænski"),
        ("Petrov", "pˈɛtɹɑv"),
        ("Kenmore", "kˈɛnmɔɹ"),
        ("lake", "lˈAk"),
        ("Blaine", "blˈAn"),
        ("tiles", "tˈIlz"),
        ("Whitt", "wˈɪt"),
        ("Phelan", "fˈɛlæn"),
        ("quark", "kwˈɑɹk"),
    ],
)
def test_a_name_is_said_so_that_its_owner_knows_it(word: str, sound: str):
    assert guess(word) == sound


@pytest.mark.parametrize("word", ["", "a", "ssn", "qzx", "brrr", "hvc", "strngthmpo"])
def test_what_is_no_word_is_not_guessed(word: str):
    assert guess(word) is None


@given(st.from_regex(r"\A[A-Za-z]{2,14}\Z"))
def test_a_guess_has_one_main_stress_before_a_vowel(word: str):
    sound = guess(word)

    if sound is not None and set(sound) & set("AIOWYaeiouæɑɛɜɪɔʊʌə"):
        assert sound.count("ˈ") == 1
        assert sound[sound.index("ˈ") + 1] in "AIOWYaeiouæɑɐəɚɛɜɪɔʊʌᵻ"


@given(st.text(max_size=20))
def test_any_text_has_a_guess_or_none_but_no_error(text: str):
    guess(text)
