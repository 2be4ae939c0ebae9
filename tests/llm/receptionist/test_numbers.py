from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.llm.receptionist import numbers


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("five five five, oh one two, three four five six", ["5550123456"]),
        ("five five five oh one two double three four", ["555012334"]),
        ("555-012-3456", ["5550123456"]),
        ("5 5 5 0 1 2 3 4 5 6", ["5550123456"]),
        ("(212) 555-0147", ["2125550147"]),
        ("two one two, five fifty five, oh one forty seven", ["2125550147"]),
        ("triple five one two three four", ["5551234"]),
        ("treble five one two three four", ["5551234"]),
        ("eight hundred five five five one two three four", ["8005551234"]),
        ("area code two one two and then five five five", ["212555"]),
        ("two one two uh five five five", ["212555"]),
        ("it's 212 dash 555 dash 0147", ["2125550147"]),
        ("twenty one twenty two", ["2122"]),
        ("nineteen ninety", ["1990"]),
        ("won two tree four", ["1234"]),
        ("five five five for to two nine", ["5554229"]),
        ("one niner nine", ["199"]),
        ("nothing here", []),
        ("", []),
    ],
)
def test_spoken_digits_are_collected(text: str, runs: list[str]) -> None:
    assert numbers.digit_runs(text, expected=True) == runs


@pytest.mark.parametrize(
    "text",
    [
        "I want to book for tomorrow",
        "this is for my mother",
        "oh no",
        "I ate too much",
        "to you too",
    ],
)
def test_homophones_are_words_where_no_digits_are_expected(text: str) -> None:
    assert numbers.digit_runs(text, expected=False) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("two one two five five five oh one four seven", "+12125550147"),
        ("212 555 0147", "+12125550147"),
        ("2-1-2, 5-5-5, 0-1-4-7.", "+12125550147"),
        ("my number is 2 1 2 5 5 5 0 1 4 7", "+12125550147"),
        ("one two one two five five five oh one four seven", "+12125550147"),
        ("It's area code 212, 555, 0147, thanks", "+12125550147"),
        ("two one two triple five oh one four seven", "+12125550147"),
        ("two twelve five five five oh one four seven", "+12125550147"),
        ("+1 212 555 0147", "+12125550147"),
        ("+44 20 7183 8750", "+442071838750"),
        ("two won too five five five owe one fore seven", "+12125550147"),
    ],
)
def test_a_phone_number_is_understood(text: str, number: str) -> None:
    assert numbers.find_phone(text, "US", expected=True) == numbers.Phone(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("you can call me on 212-555-0147 tomorrow at 10", "+12125550147"),
        ("I'm at 12 Oak Street, my number is two one two five five five oh one four seven",
         "+12125550147"),
        ("call 212 555 0147 about the 2 sinks", "+12125550147"),
    ],
)  # fmt: skip
def test_a_phone_number_is_found_beside_other_numbers(text: str, number: str) -> None:
    assert numbers.find_phone(text, "US", expected=False) == numbers.Phone(number)


@pytest.mark.parametrize(
    "text",
    ["tomorrow at ten thirty", "12 Oak Street", "in two hours", "I have three bathrooms", ""],
)
def test_other_numbers_are_no_phone_numbers(text: str) -> None:
    assert numbers.find_phone(text, "US", expected=False) is None


def test_a_number_given_in_two_parts_is_put_together() -> None:
    first = numbers.find_phone("two one two five five five", "US", expected=True)
    assert first == numbers.Phone("212555", missing=True)
    whole = numbers.find_phone("oh one four seven", "US", expected=True, before=first.number)
    assert whole == numbers.Phone("+12125550147")


def test_a_missing_area_code_goes_in_front() -> None:
    first = numbers.find_phone("555 0147", "US", expected=True)
    assert first == numbers.Phone("5550147", missing=True)
    whole = numbers.find_phone("two one two", "US", expected=True, before=first.number)
    assert whole == numbers.Phone("+12125550147") or whole == numbers.Phone("+15550147212")


def test_a_number_said_anew_replaces_its_beginning() -> None:
    again = numbers.find_phone("212 555 0147", "US", expected=True, before="212")
    assert again == numbers.Phone("+12125550147")


@pytest.mark.parametrize(
    ("keys", "digits"),
    [
        ("2125550147#", "2125550147"),
        ("2125550147", "2125550147"),
        ("99*2125550147#", "2125550147"),
        ("1*2*3#4", "3"),
        ("#", ""),
        ("*", ""),
        ("A1B2", "12"),
        ("", ""),
    ],
)
def test_keys_star_restarts_and_pound_ends(keys: str, digits: str) -> None:
    assert numbers.keyed_digits(keys) == digits


@pytest.mark.parametrize(
    ("number", "spoken"),
    [
        ("+12125550147", "2 1 2, 5 5 5, 0 1 4 7"),
        ("+442071838750", "0 2 0, 7 1 8 3, 8 7 5 0"),
        ("5550147", "5 5 5, 0 1 4 7"),
        ("123456789", "1 2 3, 4 5 6, 7 8 9"),
        ("not given", ""),
    ],
)
def test_numbers_are_read_in_groups(number: str, spoken: str) -> None:
    assert numbers.spoken_phone(number) == spoken


def test_the_last_digits_name_a_number() -> None:
    assert numbers.last_digits("+12125554217") == "4 2 1 7"


@pytest.mark.parametrize(
    ("number", "dialable"),
    [
        ("+12125550147", True),
        ("anonymous", False),
        ("", False),
        ("+1", False),
        ("12125550147", False),
        ("client:demo", False),
    ],
)
def test_only_e164_can_be_called_back(number: str, dialable: bool) -> None:
    assert numbers.is_dialable(number) is dialable


@pytest.mark.parametrize(
    ("given_numbers", "region"),
    [
        (("+442071838750",), "GB"),
        (("", "+12125550100"), "US"),
        (("anonymous", "client:x"), "US"),
        ((), "US"),
    ],
)
def test_the_country_comes_from_the_line_called(
    given_numbers: tuple[str, ...], region: str
) -> None:
    assert numbers.region_of(*given_numbers) == region


@pytest.mark.parametrize(
    ("reference", "spoken"),
    [("ORD-7F3K9Q", "7 F 3, K 9 Q"), ("12345678", "1 2 3, 4 5 6, 7 8"), ("", "")],
)
def test_order_numbers_are_spelled_without_their_prefix(reference: str, spoken: str) -> None:
    assert numbers.spelled_reference(reference) == spoken


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("7 F 3 K 9 Q", "7F3K9Q"),
        ("seven f three k nine q", "7F3K9Q"),
        ("It's O R D, seven, F, three, K, nine, Q.", "7F3K9Q"),
        ("the number is 7 F 3, K 9 Q please", "7F3K9Q"),
        ("I don't know", ""),
        ("", ""),
    ],
)
def test_order_numbers_are_understood(text: str, reference: str) -> None:
    assert numbers.said_reference(text) == reference


@given(st.from_regex(r"\A[2-9][0-9]{2}[2-9][0-9]{6}\Z"))
def test_what_is_read_back_is_understood_again(national: str) -> None:
    found = numbers.find_phone(numbers.spoken_phone("+1" + national), "US", expected=True)
    assert found == numbers.Phone("+1" + national)


@given(st.text(max_size=60), st.booleans(), st.text("0123456789", max_size=16))
def test_any_text_gives_a_number_or_none(text: str, expected: bool, before: str) -> None:
    found = numbers.find_phone(text, "US", expected=expected, before=before)
    if found is not None and not found.missing:
        assert found.number.startswith("+")
        assert found.number[1:].isdigit()


@given(st.text(max_size=30))
def test_keys_never_give_anything_but_digits(keys: str) -> None:
    assert all(digit.isdigit() for digit in numbers.keyed_digits(keys))
