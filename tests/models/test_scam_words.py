"""Spoken text to plain words, and words to features."""

from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.scam.features import DIMENSION, content_words, features
from models.scam.words import plain_text, spoken_words


def plain(text: str) -> str:
    return plain_text(spoken_words(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, WORLD!", "hello world"),
        ("Don't", "dont"),
        ("don’t", "dont"),
        ("don t hang up", "dont hang up"),
        ("you re late", "youre late"),
        ("s i t", "s i t"),
        ("press ONE or twenty-two", "press 1 or 20 2"),
        ("$1,499.50", "1 499 50"),
        ("U.S. Customs", "u s customs"),
        ("snake_case", "snake case"),
        ("", ""),
        ("?!…", ""),
        ("Straße", "strasse"),
        ("İstanbul", "i̇stanbul"),
    ],
)
def test_words_are_plain_however_they_were_written(text: str, expected: str) -> None:
    assert plain(text) == expected


@given(st.text(max_size=200))
def test_every_word_stands_where_it_says(text: str) -> None:
    end = 0
    for word in spoken_words(text):
        assert end <= word.start < word.end <= len(text)
        assert word.plain
        end = word.end


@given(st.lists(st.text(string.ascii_lowercase, min_size=3, max_size=9), max_size=20))
def test_case_and_punctuation_change_no_feature(words: list[str]) -> None:
    def found(text: str) -> list[int]:
        return features([word.plain for word in spoken_words(text)]).tolist()

    assert found(" ".join(words)) == found(", ".join(words).upper() + ".")


def test_what_tells_corpora_apart_is_left_out() -> None:
    text = "hello this is harper valley national bank press 1 for 20 dollars uh please"
    kept = "this is bank press 0 for 0 dollars"
    assert content_words(text.split()) == kept.split()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("thank you very much", ""),
        ("thanks so much again sir goodbye", ""),
        ("thank you for calling", "for calling"),
        ("so thank you you have won", "so have won"),
        ("you have won please hold", "you have won hold"),
    ],
)
def test_courtesies_are_left_out(text: str, kept: str) -> None:
    assert content_words(text.split()) == kept.split()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("7 seconds", "0 seconds"),
        ("555 1234", "000 000"),
        ("2 thousand pounds", "0 000 dollars"),
        ("50 quid", "0 dollars"),
    ],
)
def test_numbers_count_by_their_size_alone(text: str, kept: str) -> None:
    assert content_words(text.split()) == kept.split()


@given(st.lists(st.text(max_size=20), max_size=30))
def test_features_lie_in_range_and_grow_with_the_words_alone(words: list[str]) -> None:
    found = features(words)
    assert found.dtype == np.int64
    assert all(0 <= feature < DIMENSION for feature in found.tolist())
    assert len(found) <= 2 * len(words)


def test_features_are_the_same_in_every_process() -> None:
    # pinned: other hashes would make the shipped weights meaningless
    assert features(["warrant"]).tolist() == [25735, 88037]
