from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.speech.clauses import ClauseCutter


def cut(*pieces: str) -> list[str]:
    cutter = ClauseCutter()
    clauses = [clause for piece in pieces for clause in cutter.add(piece)]
    return clauses + cutter.finish()


prose = st.lists(
    st.sampled_from(
        ["I", "can", "send", "a", "plumber,", "and", "Dr.", "Smith.", "3.5", "what?", "well;",
         "e.g.", "Elm", "St.", "  ", "\n", "supercalifragilisticexpialidocious", "—", "...", "!"]
    ),
    max_size=60,
)  # fmt: skip


@given(prose, st.integers(1, 9))
def test_clauses_together_are_the_text_space_for_space(words: list[str], size: int):
    text = " ".join(words)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    assert "".join(cut(*pieces)) == text


@given(st.lists(st.text(max_size=30), max_size=10))
def test_any_text_in_any_pieces_survives(pieces: list[str]):
    clauses = cut(*pieces)

    assert "".join(clauses) == "".join(pieces)
    assert all(clauses)


@given(prose)
def test_no_clause_is_longer_than_the_voice_should_say_at_once(words: list[str]):
    assert all(len(clause) <= 190 for clause in cut(" ".join(words)))


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Hello, how can I help you today?", ["Hello, how can I help you today?"]),
        ("Yes. I will do that.", ["Yes. ", "I will do that."]),
        (
            "Thank you, Mr. Smith. I have got that.",
            ["Thank you, Mr. Smith. ", "I have got that."],
        ),
        (
            "All right then, I will send somebody over tomorrow in the morning.",
            ["All right then, ", "I will send somebody over tomorrow in the morning."],
        ),
        ("It is 3.5 miles to Elm St. and back.", ["It is 3.5 miles to Elm St. and back."]),
        ("J. Smith called at 5 p.m. today.", ["J. Smith called at 5 p.m. today."]),
        ("Wait... what?! Really?", ["Wait... ", "what?! ", "Really?"]),
        ('He said "no." Then he left.', ['He said "no." ', "Then he left."]),
        ("   ", ["   "]),
        ("...", ["..."]),
        ("", []),
    ],
)
def test_where_it_cuts(text: str, clauses: list[str]):
    assert cut(text) == clauses


def test_the_first_clause_is_shorter_than_the_others():
    text = (
        "I can send a plumber to your house tomorrow morning if that suits you and somebody "
        "will be there to open the door for him because he has no key and cannot wait outside "
        "for long when it rains"
    )

    first, second, *_ = cut(text)

    assert len(first) <= 60 < len(second) <= 180


def test_a_long_stretch_is_cut_before_a_joining_word():
    first, *_ = cut("I can send a plumber to your house tomorrow and he will bring the parts along")

    assert first == "I can send a plumber to your house tomorrow "


def test_a_word_without_end_is_cut_anyway():
    assert [len(clause) for clause in cut("x" * 400)] == [60, 180, 160]


def test_a_sentence_is_given_as_soon_as_its_end_is_seen():
    cutter = ClauseCutter()

    assert cutter.add("Good morning") == []
    assert cutter.add(".") == ["Good morning."]
    assert cutter.add(" How are you?") == [" How are you?"]


def test_a_dot_after_a_digit_waits_for_what_follows():
    cutter = ClauseCutter()

    assert cutter.add("That makes 3.") == []
    assert cutter.add("50") == []
    assert cutter.add(" in all. ") == ["That makes 3.50 in all. "]


def test_a_space_after_a_sentence_that_was_given_stays_alone():
    cutter = ClauseCutter()
    cutter.add("Good morning.")

    assert cutter.add(" ") == []
    assert cutter.finish() == [" "]
