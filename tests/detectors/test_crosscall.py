"""What other calls of a tenant tell of this one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.crosscall import ALIKE, CrossCall, Signal, similarity, sketch
from tests.detectors.noise import misheard
from tests.detectors.speech import BOOKING, ROBOCALL

SCRIPT = " ".join(ROBOCALL)
HONEST = " ".join(line for line in BOOKING if not line.startswith("A: "))
PITCH = "we call about your car and the warranty of it please press one to talk"
WORDS = PITCH.split()


def named(signals: tuple[Signal, ...]) -> dict[str, Signal]:
    return {signal.name: signal for signal in signals}


def test_a_first_call_tells_nothing() -> None:
    memory = CrossCall()
    assert memory.signals("ann", SCRIPT) == ()
    assert memory.signals("", "") == ()
    assert len(memory) == 0


def test_the_same_script_from_another_number_is_noticed() -> None:
    memory = CrossCall()
    memory.see("ann", SCRIPT)
    found = named(memory.signals("bob", SCRIPT))
    assert found["shared_script"] == Signal("shared_script", 0.4, 1, 1.0)


def test_a_script_of_a_flagged_call_weighs_more() -> None:
    memory = CrossCall()
    memory.see("ann", SCRIPT, flagged=True)
    (signal,) = memory.signals("bob", SCRIPT)
    assert signal.weight == 0.7


def test_a_caller_who_repeats_himself_is_no_second_number() -> None:
    memory = CrossCall()
    memory.see("ann", HONEST)
    assert memory.signals("ann", HONEST) == ()


def test_withheld_numbers_are_not_taken_for_one_caller() -> None:
    memory = CrossCall()
    for _ in range(5):
        memory.see("", SCRIPT)
    found = named(memory.signals("", SCRIPT))
    assert set(found) == {"shared_script"}
    assert found["shared_script"].calls == 5


def test_a_number_that_calls_often_and_one_that_was_flagged_are_named() -> None:
    memory = CrossCall()
    for number in range(3):
        memory.see("ann", f"call {number}", flagged=number == 1)
    found = named(memory.signals("ann"))
    assert found["repeated_number"].calls == 3
    assert found["flagged_number"].calls == 1
    assert memory.signals("ann")[0].name == "flagged_number"
    assert memory.signals("bob") == ()


@pytest.mark.parametrize("rate", [0.02, 0.05])
def test_a_script_is_known_again_although_it_is_misheard(rate: float) -> None:
    rng = random.Random(3)
    memory = CrossCall()
    long = f"{SCRIPT} {HONEST} {PITCH}"
    memory.see("ann", long)
    known = sum(bool(memory.signals("bob", misheard(long, rate, rng))) for _ in range(20))
    assert known >= 14


def test_honest_calls_on_one_topic_are_not_one_script() -> None:
    memory = CrossCall()
    memory.see("ann", HONEST)
    other = "hello my kitchen tap drips since monday could a plumber have a look at it on friday"
    assert memory.signals("bob", other) == ()


@pytest.mark.parametrize("text", ["", "yes", "yes please that is right thank you", "?!"])
def test_short_calls_have_no_script(text: str) -> None:
    assert sketch(text) == ()
    memory = CrossCall()
    memory.see("ann", text)
    assert memory.signals("bob", text) == ()


def test_the_oldest_calls_are_forgotten_wholly() -> None:
    memory = CrossCall(limit=10)
    memory.see("ann", SCRIPT, flagged=True)
    for number in range(10):
        memory.see(f"caller {number}", f"{HONEST} {number}")
    assert len(memory) == 10
    assert memory.signals("ann", SCRIPT) == ()


def test_memory_stays_bounded() -> None:
    memory = CrossCall(limit=20)
    rng = random.Random(4)
    for number in range(200):
        memory.see(f"{number}", " ".join(rng.choices(WORDS, k=60)))
        memory.signals("x", " ".join(rng.choices(WORDS, k=60)))
    assert len(memory) == 20


@settings(max_examples=50)
@given(words=st.lists(st.sampled_from(WORDS), min_size=20, max_size=80))
def test_a_text_is_like_itself_whatever_its_case(words: list[str]) -> None:
    text = " ".join(words)
    one, other = sketch(text), sketch(text.upper() + ".")
    assert one == other
    assert similarity(one, other) in (0.0, 1.0)


@settings(max_examples=50)
@given(
    one=st.lists(st.sampled_from(WORDS), max_size=60),
    other=st.lists(st.sampled_from(WORDS), max_size=60),
)
def test_likeness_is_a_share_and_works_both_ways(one: list[str], other: list[str]) -> None:
    a, b = sketch(" ".join(one)), sketch(" ".join(other))
    assert similarity(a, b) == similarity(b, a)
    assert 0 <= similarity(a, b) <= 1
    assert 0 < ALIKE < 1
