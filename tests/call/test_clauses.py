"""A model's stream of text becomes pieces that can be spoken."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call.clauses import Clauses


def pieces(*chunks: str) -> list[str]:
    """What comes out, the rest included."""
    clauses = Clauses()
    out = [clauses.add(chunk) for chunk in chunks]
    return [piece for piece in [*out, clauses.rest()] if piece]


@pytest.mark.parametrize(
    ("chunks", "spoken"),
    [
        ((), []),
        (("",), []),
        (("Hello",), ["Hello"]),
        (("Hello. ",), ["Hello. "]),
        (("Hello.",), ["Hello."]),
        (("Hello.", " How are you?"), ["Hello. ", "How are you?"]),
        (("Hel", "lo. I", "s it", " you? ", "Yes"), ["Hello. ", "Is it you? ", "Yes"]),
        (("One. Two! Three? Four",), ["One. Two! Three? ", "Four"]),
        (("Wait… what",), ["Wait… ", "what"]),
        (('He said "no." Then left',), ['He said "no." ', "Then left"]),
        (("(Really.) Yes",), ["(Really.) ", "Yes"]),
        (("One.\n\nTwo",), ["One.\n\n", "Two"]),
    ],
)
def test_a_sentence_is_spoken_as_soon_as_it_is_known_to_be_over(
    chunks: tuple[str, ...], spoken: list[str]
):
    assert pieces(*chunks) == spoken


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Lee",
        "mr. Lee",
        "Mrs. Lee",
        "Ms. Lee",
        "St. Ives",
        "No. 5",
        "J. R. Ewing",
        "e.g. a tap",
        "approx. nine",
        "taps etc. and sinks",
        "us vs. them",
        "at 3.50 dollars",
        "version 1.2.3 of it",
        "see example.com for more",
    ],
)
def test_a_dot_that_ends_no_sentence_ends_no_piece(text: str):
    assert Clauses().add(text) == ""


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Dr. Lee comes. He", "Dr. Lee comes. "),
        ("It costs 3.50. Is", "It costs 3.50. "),
        ("At 5. Then", "At 5. "),
        ("I know. Mr. Lee", "I know. "),
        ("The album. Yes", "The album. "),  # not the abbreviation "m."
    ],
)
def test_sentences_around_abbreviations_and_numbers_are_found(text: str, first: str):
    assert Clauses().add(text) == first


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Well, yes", ""),  # too short to be worth a piece
        ("Of course, I", ""),
        ("Very good news; we", "Very good news; "),
        ("Listen here: it", "Listen here: "),
        ("We can – if", ""),
        ("We could do – if", "We could do – "),
        ("It is 12,500 in all", ""),  # no blank behind the comma
        ("At 10:30 in the morning", ""),
    ],
)
def test_the_first_piece_may_be_a_short_clause(text: str, first: str):
    assert Clauses().add(text) == first


@pytest.mark.parametrize(("words", "cut"), [(9, False), (11, False), (12, True), (20, True)])
def test_later_clauses_must_be_long_to_stand_alone(words: int, *, cut: bool):
    clauses = Clauses()
    assert clauses.add("Yes. ") == "Yes. "
    text = "word " * (words - 1) + "word, "
    assert clauses.add(text + "and") == (text if cut else "")


def test_the_cut_is_made_at_the_last_good_place():
    assert (
        Clauses().add("Of course, my dear, that is so, but") == "Of course, my dear, that is so, "
    )


def test_a_sentence_end_is_preferred_to_a_later_clause_end():
    assert Clauses().add("Of course. My dear friend, but") == "Of course. "


def test_the_rest_is_given_out_once():
    clauses = Clauses()
    clauses.add("Hello")
    assert clauses.rest() == "Hello"
    assert clauses.rest() == ""


PROSE = st.text(st.sampled_from("ab .,!?;:\"')]…-–\n1Dr"), max_size=120)


def split(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


@given(PROSE | st.text(max_size=80), st.lists(st.integers(0, 200), max_size=12))
def test_however_the_text_arrives_all_of_it_is_spoken_in_order(text: str, cuts: list[int]):
    assert "".join(pieces(*split(text, cuts))) == text


@given(PROSE, st.lists(st.integers(0, 200), max_size=12))
def test_a_piece_ends_with_a_blank_or_with_the_text(text: str, cuts: list[int]):
    for piece in pieces(*split(text, cuts))[:-1]:
        assert piece[-1].isspace()


@given(PROSE)
def test_letter_by_letter_nothing_is_spoken_before_the_next_word_is_sure_to_begin(text: str):
    clauses, taken = Clauses(), 0
    for place, letter in enumerate(text, start=1):
        piece = clauses.add(letter)
        taken += len(piece)
        assert not piece or (taken == place and letter.isspace())
