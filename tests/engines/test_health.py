"""When an engine is asked, and how long its answers are waited for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.engines import DOWN, REFUSED
from voice_server.engines.health import Health
from voice_server.errors import KeyRefused


def test_a_new_engine_is_asked():
    assert Health("x").may_ask(0.0)


def test_an_engine_rests_after_three_failures_in_half_a_minute():
    health = Health("x")
    for now in (0.0, 10.0, 20.0):
        assert health.may_ask(now)
        health.failed(now, DOWN)
    assert not health.may_ask(20.1)
    assert not health.may_ask(34.9)
    assert health.may_ask(35.0)


def test_rare_failures_do_not_count():
    health = Health("x")
    for now in (0.0, 20.0, 40.0, 60.0):
        health.failed(now, DOWN)
        assert health.may_ask(now)


def test_one_refusal_is_enough_to_rest_and_is_an_error_for_the_operator(caplog):
    health = Health("ears of a tenant")
    health.failed(0.0, DOWN)
    assert health.may_ask(0.5)
    health.failed(1.0, REFUSED)
    assert not health.may_ask(1.1)
    told = [(r.levelname, r.engine, r.problem) for r in caplog.records]
    assert told == [
        ("WARNING", "ears of a tenant", "fake: down"),
        ("ERROR", "ears of a tenant", "fake: no credit"),
    ]


def test_a_refused_key_is_told_and_rests_until_somebody_can_have_replaced_it():
    told: list[str] = []
    health = Health("x", lambda: told.append("refused"))
    health.failed(0.0, REFUSED)
    assert told == []
    health.failed(1.0, KeyRefused("fake", "not this key"))
    assert told == ["refused"]
    assert not health.may_ask(600.9)
    assert health.may_ask(601.0)
    health.answered()
    assert health.may_ask(601.1)


def test_after_a_rest_only_one_request_probes():
    health = Health("x")
    health.failed(0.0, REFUSED)
    assert health.may_ask(15.0)
    assert not health.may_ask(15.0)
    health.answered(0.1)
    assert health.may_ask(15.2)
    assert health.may_ask(15.2)


def test_a_probe_that_fails_makes_it_rest_again():
    health = Health("x")
    health.failed(0.0, REFUSED)
    assert health.may_ask(15.0)
    health.failed(16.0, DOWN)
    assert not health.may_ask(30.9)
    assert health.may_ask(31.0)


def test_a_probe_that_nobody_waited_for_blocks_the_engine_for_one_more_rest_only():
    health = Health("x")
    health.failed(0.0, REFUSED)
    assert health.may_ask(15.0)
    assert not health.may_ask(29.9)
    assert health.may_ask(30.0)


def test_an_answer_forgets_the_failures_before_it():
    health = Health("x")
    health.failed(0.0, DOWN)
    health.failed(1.0, DOWN)
    health.answered()
    health.failed(2.0, DOWN)
    assert health.may_ask(2.0)


def test_until_enough_is_known_a_second_engine_is_asked_after_800_ms():
    health = Health("x")
    for _ in range(7):
        health.answered(0.1)
    assert health.hedge_s == 0.8
    health.answered(0.1)
    assert health.hedge_s == 0.1


@given(st.lists(st.floats(0.0, 10.0), min_size=8, max_size=200))
def test_all_but_a_twentieth_of_the_late_answers_come_before_the_hedge(waits):
    health = Health("x")
    for wait in waits:
        health.answered(wait)
    late = waits[-64:]
    above = sum(wait > health.hedge_s for wait in late)
    assert above <= len(late) * 0.05
    assert health.hedge_s in late


def test_a_life_sign_without_a_question_says_nothing_about_waits():
    health = Health("x")
    for _ in range(100):
        health.answered()
    assert health.hedge_s == pytest.approx(0.8)
