from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.llm.receptionist import names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My name is Mary Jones.", "Mary Jones"),
        ("my name is mary jones", "Mary Jones"),
        ("This is Mary Jones.", "Mary Jones"),
        ("Hi, this is Mary Jones and my sink is leaking", "Mary Jones"),
        ("I'm Peter Brown, I need a plumber", "Peter Brown"),
        ("The name is O'Brien", "O'Brien"),
        ("name's Anna-Lena Schmidt", "Anna-Lena Schmidt"),
        ("my name is mr. john smith", "John Smith"),
        ("Call me Bob", "Bob"),
        ("you're speaking with Laura King", "Laura King"),
        ("put it under the name of Garcia", "Garcia"),
        ("My name is Ludwig van Beethoven", "Ludwig van Beethoven"),
        ("no, my name is Joan, not June", "Joan"),
        ("Mary Jones here", "Mary Jones"),
        ("my name is José Álvarez", "José Álvarez"),
    ],
)
def test_a_person_who_is_introduced_is_known(text: str, name: str) -> None:
    assert names.introduced_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "I'm calling about my sink",
        "i'm at 12 oak street",
        "I'm locked out",
        "this is about my toilet",
        "This is an emergency",
        "it's urgent",
        "it's leaking",
        "it's Oak Street",
        "I am having trouble with the lights",
        "this is the third time",
        "here is my address",
        "call me back tomorrow",
        "call me at 555 0147",
        "my name is",
        "I'm sorry",
        "",
    ],
)
def test_other_introductions_name_nobody(text: str) -> None:
    assert names.introduced_name(text) == ""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Mary Jones.", "Mary Jones"),
        ("mary jones", "Mary Jones"),
        ("Uh, Mary Jones, please.", "Mary Jones"),
        ("Yes, Mary.", "Mary"),
        ("Mrs. Jones", "Jones"),
        ("MARY JONES", "Mary Jones"),
        ("Jean-Luc Picard", "Jean-Luc Picard"),
        ("McDonald", "McDonald"),
        ("Of course. Juan de la Cruz", "Juan de la Cruz"),
    ],
)
def test_a_bare_name_is_an_answer(text: str, name: str) -> None:
    assert names.bare_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "what?",
        "I don't know",
        "can you repeat that",
        "my sink is leaking",
        "12 Oak Street",
        "tomorrow morning",
        "5550147",
        "the quick brown fox jumps over",
        "hold on",
        "thank you",
        "...",
        "",
    ],
)
def test_other_answers_are_no_names(text: str) -> None:
    assert names.bare_name(text) == ""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("M A R Y", "Mary"),
        ("M-A-R-Y", "Mary"),
        ("m, a, r, y.", "Mary"),
        ("It's J O N E S", "Jones"),
        ("M as in Mike, A as in Alpha, R, Y", "Mary"),
        ("mike alpha romeo yankee", "Mary"),
        ("em ay ar why", "Mary"),
        ("B for Bravo, O, B", "Bob"),
        ("M A double T", "Matt"),
        ("M A R Y new word J O N E S", "Mary Jones"),
        ("M A R Y space J O N E S", "Mary Jones"),
        ("double u I L L", "Will"),
        ("that's S M I T H", "Smith"),
    ],
)
def test_a_spelled_name_is_put_together(text: str, name: str) -> None:
    assert names.spelled_name(text) == name


@pytest.mark.parametrize(
    "text",
    ["", "I don't want to spell it for you", "what do you mean", "x", "hello there my friend"],
)
def test_other_talk_spells_nothing(text: str) -> None:
    assert names.spelled_name(text) == ""


@pytest.mark.parametrize(
    ("given_name", "tidied"),
    [("mary", "Mary"), ("ANNA-LENA", "Anna-Lena"), ("McDonald", "McDonald"), ("", "")],
)
def test_only_names_without_any_case_get_capitals(given_name: str, tidied: str) -> None:
    assert names.tidy(given_name) == tidied


@given(st.text(max_size=80))
def test_any_text_is_survived(text: str) -> None:
    for find in (names.introduced_name, names.bare_name, names.spelled_name):
        assert len(find(text)) <= 2 * len(text) + 2


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=12))
def test_letters_come_back_as_spelled(word: str) -> None:
    assert names.spelled_name(" ".join(word.upper())) == word.capitalize()
