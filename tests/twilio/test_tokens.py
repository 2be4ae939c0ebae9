from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voice_server.twilio.tokens import BadToken, MediaTokens


def test_a_token_opens_its_own_call_once():
    tokens = MediaTokens(60)
    token = tokens.issue("CA1", "call-1", now=0)
    assert tokens.redeem(token, "CA1", "call-1", now=59.9) is None
    assert tokens.redeem(token, "CA1", "call-1", now=59.9) is BadToken.UNKNOWN


def test_a_token_dies_of_age():
    tokens = MediaTokens(60)
    token = tokens.issue("CA1", "call-1", now=0)
    assert tokens.redeem(token, "CA1", "call-1", now=60) is BadToken.EXPIRED
    assert tokens.redeem(token, "CA1", "call-1", now=0) is BadToken.UNKNOWN


def test_a_token_opens_no_other_call_and_survives_the_attempt():
    tokens = MediaTokens(60)
    token = tokens.issue("CA1", "call-1", now=0)
    assert tokens.redeem(token, "CA2", "call-1", now=1) is BadToken.FOREIGN
    assert tokens.redeem(token, "CA1", "call-2", now=1) is BadToken.FOREIGN
    assert tokens.redeem(token, "CA1", "call-1", now=1) is None


def test_no_token_and_a_made_up_one_are_told_apart():
    tokens = MediaTokens(60)
    assert tokens.redeem("", "CA1", "call-1", now=0) is BadToken.MISSING
    assert tokens.redeem("guess", "CA1", "call-1", now=0) is BadToken.UNKNOWN


def test_every_answer_to_a_repeated_webhook_carries_a_good_token_of_its_own():
    tokens = MediaTokens(60)
    first, second = (tokens.issue("CA1", "call-1", now=0) for _ in range(2))
    assert first != second
    assert tokens.redeem(second, "CA1", "call-1", now=0) is None
    assert tokens.redeem(first, "CA1", "call-1", now=0) is None


def test_tokens_fit_a_twiml_parameter():
    assert len(MediaTokens(60).issue("CA1", "call-1", now=0)) < 400


def test_when_full_the_oldest_makes_room():
    tokens = MediaTokens(60, capacity=2)
    first, second, third = (tokens.issue("CA1", "c", now=at) for at in range(3))
    assert tokens.redeem(first, "CA1", "c", now=3) is BadToken.UNKNOWN
    assert tokens.redeem(second, "CA1", "c", now=3) is None
    assert tokens.redeem(third, "CA1", "c", now=3) is None


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 5))
def test_the_table_never_outgrows_its_capacity_and_sheds_what_expired(pauses, capacity):
    tokens = MediaTokens(10, capacity=capacity)
    now, issued = 0.0, []
    for pause in pauses:
        now += pause
        tokens.issue("CA1", "c", now=now)
        issued.append(now)
        assert len(tokens) == min(capacity, sum(at + 10 > now for at in issued))
