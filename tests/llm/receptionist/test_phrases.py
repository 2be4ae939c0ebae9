from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.llm.receptionist import phrases
from voice_server.llm.receptionist.phrases import QUESTIONS, Voice
from voice_server.llm.receptionist.services import EMERGENCY_SERVICE
from voice_server.orders.arguments import SERVICE_TYPES

VOICE = Voice(turn=0, casual=False, agent_name="Anna", tenant_name="Miller Home Services")
_LONGEST_SENTENCE = 160  # characters; speech starts when the first sentence is there


@pytest.mark.parametrize(
    ("words", "turned"),
    [
        ("my kitchen sink is leaking", "your kitchen sink is leaking"),
        ("My kitchen sink is leaking.", "your kitchen sink is leaking"),
        ("I have no water", "you have no water"),
        ("we've lost our keys", "you've lost your keys"),
        ("I'm locked out of my house", "you're locked out of your house"),
        ("I am cold", "you are cold"),
        ("the tap drips", "the tap drips"),
        ("", ""),
    ],
)
def test_the_callers_words_are_turned_to_the_caller(words: str, turned: str) -> None:
    assert phrases.as_you(words) == turned


@pytest.mark.parametrize("service", SERVICE_TYPES)
def test_every_trade_has_words(service: str) -> None:
    assert phrases.trade(service)
    assert phrases.visit(service).endswith("visit")


@pytest.mark.parametrize("kind", EMERGENCY_SERVICE)
def test_every_emergency_has_a_safety_line(kind: str) -> None:
    assert phrases.SAFETY[kind]


@pytest.mark.parametrize("ask", QUESTIONS)
def test_a_question_is_reworded_and_stays_a_question_or_a_request(ask: phrases.Ask) -> None:
    wordings = [VOICE.question(ask, times) for times in range(5)]
    assert len(set(wordings)) == len(QUESTIONS[ask]) > 1
    assert all(line.endswith(("?", ".")) for line in wordings)
    assert all(len(line) < _LONGEST_SENTENCE for line in wordings)


def test_wording_changes_with_the_turn_and_with_nothing_else() -> None:
    voices = [Voice(turn, False, "Anna", "Miller") for turn in range(3)]
    assert len({voice.thanks() for voice in voices}) == 3
    assert voices[0].thanks() == Voice(0, False, "Bert", "Other").thanks()


@pytest.mark.parametrize(
    ("agent", "tenant", "line"),
    [
        ("Anna", "Miller", "This is Anna, the automated assistant of Miller."),
        ("", "Miller", "This is the automated assistant of Miller."),
        ("", "", "This is the automated assistant."),
    ],
)
def test_it_introduces_itself_with_what_is_known(agent: str, tenant: str, line: str) -> None:
    assert Voice(0, False, agent, tenant).introduction() == line


def test_it_never_claims_to_be_human() -> None:
    assert "automated" in VOICE.robot()


@given(st.text(max_size=60))
def test_any_words_are_turned(words: str) -> None:
    assert isinstance(phrases.as_you(words), str)
