from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.speech.spoken import letters, spoken


def table(*rows: tuple[str, str]):
    return pytest.mark.parametrize(("written", "said"), rows)


@table(
    ("$149", "one hundred forty nine dollars"),
    ("$1", "one dollar"),
    ("$0.50", "fifty cents"),
    ("$0.01", "one cent"),
    ("$1,499.99", "one thousand four hundred ninety nine dollars and ninety nine cents"),
    ("$20.00", "twenty dollars"),
    ("$5 million", "five million dollars"),
    ("$2.5 billion", "two point five billion dollars"),
    ("It costs $30.", "It costs thirty dollars."),
    ("$15 dollars", "fifteen dollars"),
)
def test_money(written: str, said: str):
    assert spoken(written) == said


@table(
    ("3:30 PM", "three thirty P M"),
    ("9:05 a.m. sharp", "nine oh five A M sharp"),
    ("at 5pm", "at five P M"),
    ("at 8 a.m.", "at eight A M."),
    ("10:00", "ten o'clock"),
    ("10:00 AM", "ten A M"),
    ("12:30", "twelve thirty"),
    ("14:00", "fourteen hundred hours"),
    ("at 9:30.", "at nine thirty."),
)
def test_times(written: str, said: str):
    assert spoken(written) == said


@table(
    ("2026-03-04", "March fourth, twenty twenty six"),
    ("3/4/2026", "March fourth, twenty twenty six"),
    ("3/4/05", "March fourth, two thousand five"),
    ("12/25", "December twenty fifth"),
    ("March 3", "March third"),
    ("March 3rd, 2026", "March third, twenty twenty six"),
    ("Jan. 5 at 10:00 AM", "January fifth at ten A M"),
    ("Sept. 21", "September twenty first"),
    ("Mon. to Fri.", "Monday to Friday."),
    ("13/45", "thirteen over forty five"),
    ("1/2 inch", "one half inch"),
    ("open 24/7", "open twenty four seven"),
    ("2026-13-45", "twenty twenty six thirteen forty five"),
)
def test_dates(written: str, said: str):
    assert spoken(written) == said


@table(
    ("(555) 123-4567", "five five five, one two three, four five six seven"),
    ("555-123-4567", "five five five, one two three, four five six seven"),
    ("555.123.4567", "five five five, one two three, four five six seven"),
    ("5551234567", "five five five, one two three, four five six seven"),
    ("+1 555-123-4567", "plus one, five five five, one two three, four five six seven"),
    ("+15551234567", "plus one, five five five, one two three, four five six seven"),
    ("call 555-0123 now", "call five five five, zero one two three now"),
)
def test_phone_numbers(written: str, said: str):
    assert spoken(written) == said


@table(
    ("742 Elm", "seven hundred forty two Elm"),
    ("1234 Elm", "twelve thirty four Elm"),
    ("90210", "nine zero two one zero"),
    ("007", "zero zero seven"),
    ("1,000,000", "one million"),
    ("3000", "three thousand"),
    ("1000000", "one million"),
    ("3.5 hours", "three point five hours"),
    ("21st", "twenty first"),
    ("9-5", "nine to five"),
    ("10 - 12", "ten to twelve"),
    ("-5", "minus five"),
    ("50%", "fifty percent"),
    ("in 1984", "in nineteen eighty four"),
    ("AMZ0987", "A M Z zero nine eight seven"),
    ("5B", "five B"),
    ("No. 5", "number five"),
    ("5 ft. 10", "five feet ten"),
    ("20 lbs", "twenty pounds"),
    ("30 min", "thirty minutes"),
    ("72°F", "seventy two degrees F"),
)
def test_numbers(written: str, said: str):
    assert spoken(written) == said


@table(
    ("Dr. Smith", "Doctor Smith"),
    ("Mr. and Mrs. Lee", "Mister and Missus Lee"),
    ("Mr Lee", "Mister Lee"),
    ("Oak Dr. is near", "Oak Drive is near"),
    ("Elm St., Apt. 5", "Elm Street, apartment five"),
    ("on Main St.", "on Main Street."),
    ("near St. Mary", "near Saint Mary"),
    ("5 Park Ave", "five Park Avenue"),
    ("pipes, valves etc.", "pipes, valves et cetera."),
    ("e.g. a leak, i.e. water", "for example a leak, that is water"),
    ("U.S.A.", "U S A"),
    ("No. I said no.", "No. I said no."),
)
def test_abbreviations(written: str, said: str):
    assert spoken(written) == said


@table(
    ("Tom & Ann", "Tom and Ann"),
    ("press #1 + *", "press number one plus"),
    ("ann@example.com", "ann at example dot com"),
    ("www.example.com/help", "W W W dot example dot com slash help"),
    ("https://example.org/", "example dot org"),
    ("go to example.com.", "go to example dot com."),
    ("S-M-I-T-H", "S, M, I, T, H"),
    ("x-ray", "x ray"),
    ("“Yes” – it’s fine…", "Yes it's fine."),
    ("wait — what?", "wait, what?"),
    ("café", "cafe"),
    ("(really)", "really"),
    ("one,, two", "one, two"),
    ("", ""),
    ("   ", ""),
)
def test_symbols_and_punctuation(written: str, said: str):
    assert spoken(written) == said


def test_letters_stand_alone():
    assert letters("hvac") == "H V A C"


@given(st.text(max_size=120))
def test_any_text_becomes_plain_words(text: str):
    assert re.fullmatch(r"[A-Za-z'.,?!;: ]*", spoken(text))


written_forms = st.lists(
    st.sampled_from(
        ["$", "1", "23", "4567", "0", ",", ".", "-", "/", ":", " ", "am", "PM", "th", "%", "Dr.",
         "St.", "Jan", "March", "(", ")", "+", "@", "a", "No."]
    ),
    max_size=14,
)  # fmt: skip


@given(written_forms.map("".join))
def test_no_mixture_of_written_forms_leaves_a_digit(text: str):
    assert re.fullmatch(r"[A-Za-z'.,?!;: ]*", spoken(text))


@given(st.lists(st.from_regex(r"\A[a-z]{1,8}\Z"), max_size=12).map(" ".join))
def test_plain_lower_case_words_stay_as_they_are(text: str):
    assert spoken(text) == text
