from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.speech.numerals import cardinal, decimal, digits, in_pairs, ordinal, year

UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
VALUES = {word: value for value, word in enumerate(UNITS.split(" "))} | {
    word: 10 * place
    for place, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def understood(words: str) -> int:
    """What a listener takes a cardinal for."""
    total = group = 0
    for word in words.split(" "):
        if word == "hundred":
            group *= 100
        elif word in SCALES:
            total += group * SCALES[word]
            group = 0
        else:
            group += VALUES[word]
    return total + group


@given(st.integers(0, 10**15 - 1))
def test_a_listener_understands_the_number(number: int):
    assert understood(cardinal(number)) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety nine"),
        (100, "one hundred"),
        (101, "one hundred one"),
        (1_000, "one thousand"),
        (1_204, "one thousand two hundred four"),
        (20_019, "twenty thousand nineteen"),
        (1_000_001, "one million one"),
        (-7, "minus seven"),
        (10**15, "one" + " zero" * 15),
    ],
)
def test_cardinals(number: int, words: str):
    assert cardinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "first"),
        (2, "second"),
        (3, "third"),
        (4, "fourth"),
        (5, "fifth"),
        (8, "eighth"),
        (9, "ninth"),
        (12, "twelfth"),
        (20, "twentieth"),
        (21, "twenty first"),
        (30, "thirtieth"),
        (100, "one hundredth"),
        (112, "one hundred twelfth"),
        (1000, "one thousandth"),
    ],
)
def test_ordinals(number: int, words: str):
    assert ordinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1234, "twelve thirty four"),
        (1905, "nineteen oh five"),
        (1500, "fifteen hundred"),
        (1000, "one thousand"),
        (3012, "three thousand twelve"),
    ],
)
def test_house_numbers_go_in_pairs(number: int, words: str):
    assert in_pairs(number) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1984, "nineteen eighty four"),
        (1900, "nineteen hundred"),
        (2000, "two thousand"),
        (2005, "two thousand five"),
        (2010, "twenty ten"),
        (2026, "twenty twenty six"),
    ],
)
def test_years(number: int, words: str):
    assert year(number) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [("3.50", "three point five zero"), ("12", "twelve"), (".5", "zero point five")],
)
def test_decimals(text: str, words: str):
    assert decimal(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [("0911", "zero nine one one"), ("555-12", "five five five one two"), ("x", ""), ("٣", "")],
)
def test_digits(text: str, words: str):
    assert digits(text) == words
