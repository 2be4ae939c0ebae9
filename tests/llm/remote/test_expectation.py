"""What kind of answer the agent's last words ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call.events import Expectation
from voice_server.llm.remote.expectation import expected_answer

D, Y, S, A, X = (
    Expectation.DIGITS,
    Expectation.YES_NO,
    Expectation.SPELLING,
    Expectation.ADDRESS,
    Expectation.ANYTHING,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the best phone number to reach you?", D),
        ("Thank you. Could you tell me your phone number please?", D),
        ("Please key in your number, then press the pound key. Which digits?", D),
        ("What is your order number?", D),
        ("And what's the zip code?", D),
        ("Is that correct?", Y),
        ("So that's 555 0147, right?", Y),
        ("The phone number is 555 0147. Is that right?", Y),
        ("Shall I book it for you?", Y),
        ("Can I use the number you are calling from?", Y),
        ("Would you like me to book that? ", Y),
        ("Great, do you want that?", Y),
        ("Could you spell your last name?", S),
        ("Please spell that for me, letter by letter.", S),
        ("What's the address of the visit?", A),
        ("Great. Could I have your address?", A),
        ("Where should we come?", A),
        ("How can I help you today?", X),
        ("Is it a leak or a clog?", X),
        ("What is the problem?", X),
        ("Your order number is seven.", X),
        ("Is that right? Thank you, goodbye.", X),
        ("Can you describe the problem?", X),
        ("", X),
        ("   ", X),
    ],
)
def test_expected_answers(text, expected):
    assert expected_answer(text) is expected


@given(st.text(max_size=300))
def test_any_text_has_an_expectation(text):
    assert expected_answer(text) in Expectation


def test_a_very_long_text_is_read_quickly():
    assert expected_answer("word " * 4_000 + "?") is X
