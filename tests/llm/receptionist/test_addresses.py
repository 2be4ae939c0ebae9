from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.llm.receptionist import addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("12 Oak Street", "12 Oak Street"),
        ("I'm at 12 Oak Street.", "12 Oak Street"),
        ("i'm at twelve oak street", "12 Oak Street"),
        ("It's forty five Elm Avenue", "45 Elm Avenue"),
        ("one twenty three Main Street", "123 Main Street"),
        ("forty five oh six Elm Avenue", "4506 Elm Avenue"),
        ("two hundred five Park Road", "205 Park Road"),
        ("two hundred Park Road", "200 Park Road"),
        ("one thousand and twelve Lake Drive", "1012 Lake Drive"),
        ("221B Baker Street", "221B Baker Street"),
        ("twenty two b Baker Street", "22B Baker Street"),
        ("5 Martin Luther King Boulevard", "5 Martin Luther King Boulevard"),
        ("12 Oak Street, apartment 4B", "12 Oak Street, apartment 4B"),
        ("12 Oak Street apt 4", "12 Oak Street apt 4"),
        ("12 Oak St", "12 Oak St"),
        ("12 Oak Street, Springfield", "12 Oak Street, Springfield"),
        ("12 Oak Street in New Haven", "12 Oak Street in New Haven"),
        ("12 Oak Street and my name is Mary", "12 Oak Street"),
        ("my address is 12 Oak Street, this is Mary Jones", "12 Oak Street"),
        ("come to 1600 Pennsylvania Avenue North West please", "1600 Pennsylvania Avenue North"),
        ("7 West Way", "7 West Way"),
    ],
)
def test_a_street_address_is_found_in_a_sentence(text: str, address: str) -> None:
    found, (start, end) = addresses.find_address(text)
    assert found == address
    assert 0 <= start < end <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "my sink is leaking",
        "tomorrow at ten",
        "two one two five five five oh one four seven",
        "I have two bathrooms and a kitchen",
        "it takes three hours",
        "I'm at home all day",
        "on the way",
        "",
    ],
)
def test_other_talk_holds_no_address(text: str) -> None:
    assert addresses.find_address(text) == ("", (0, 0))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("12 Oak Street", "12 Oak Street"),
        ("twelve oak", "12 Oak"),
        ("It's 45 Broadway", "45 Broadway"),
        ("um, Oak Street twelve", "Oak Street twelve"),
        ("Rose Cottage, Church Lane", "Rose Cottage, Church Lane"),
        ("yes it's 9 Willow Creek", "9 Willow Creek"),
    ],
)
def test_an_answer_to_the_question_may_be_shorter(text: str, address: str) -> None:
    assert addresses.bare_address(text) == address


@pytest.mark.parametrize(
    "text", ["yes", "I don't know", "Mary Jones", "at ten o'clock", "two hours", "what?", ""]
)
def test_other_answers_are_no_addresses(text: str) -> None:
    assert addresses.bare_address(text) == ""


@given(st.text(max_size=120))
def test_any_text_is_survived(text: str) -> None:
    assert len(addresses.bare_address(text)) <= 130


@given(st.integers(1, 9999), st.sampled_from(["Street", "Road", "Lane"]))
def test_every_house_number_is_kept(number: int, kind: str) -> None:
    assert addresses.find_address(f"I live at {number} Maple {kind}")[0] == f"{number} Maple {kind}"


def test_a_long_rambling_text_is_read_in_no_time() -> None:
    text = "one two three four and five six seven hundred oak maple " * 18
    assert addresses.find_address(text)[0] == ""
