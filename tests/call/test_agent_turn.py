"""One turn of the agent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call import commands as c
from voice_server.call.agent_turn import AgentTurn
from voice_server.call.events import Expectation, ReplyEnded


def ended(turn: AgentTurn, **memo: object) -> list[c.Command]:
    return turn.reply_ended(ReplyEnded(turn.number, **memo))  # type: ignore[arg-type]


def test_a_fresh_turn_is_being_written_and_has_said_nothing():
    turn = AgentTurn(3, 1_000)
    assert turn.writing
    assert not turn.fully_planned
    assert (turn.text_at, turn.speech_at, turn.planned, turn.ending) == (-1, -1, "", None)
    assert (turn.held, turn.scripted, turn.speech_ended) == (False, False, False)


def test_text_is_said_in_clauses_and_the_first_is_timed():
    turn = AgentTurn(3, 0)
    assert turn.text("Of course", 500) == []
    assert turn.text(". When", 600) == [c.Say(3, "Of course. ")]
    assert turn.text_at == 500
    assert turn.planned == "Of course. When"


def test_the_end_of_the_reply_says_the_rest_and_keeps_its_memo():
    turn = AgentTurn(3, 0)
    turn.text("When", 0)
    out = ended(turn, expects=Expectation.DIGITS, note="asked")
    assert out == [c.Say(3, "When"), c.FinishSaying(3)]
    assert (turn.note, turn.expects) == ("asked", Expectation.DIGITS)
    assert not turn.writing
    assert turn.fully_planned


def test_an_empty_reply_says_nothing_but_is_finished():
    assert ended(AgentTurn(3, 0)) == [c.FinishSaying(3)]


def test_words_of_our_own_are_said_at_once_and_whole():
    turn = AgentTurn(1, 0)
    assert turn.words("Hello. How are you, my dear? Fine.", 40) == [
        c.Say(1, "Hello. How are you, my dear? Fine."),
        c.FinishSaying(1),
    ]
    assert turn.scripted
    assert turn.fully_planned
    assert not turn.writing
    assert turn.text_at == 40


@pytest.mark.parametrize(
    ("before", "after", "goes_on"),
    [
        ((), ("r1", "r2"), [False, True]),  # both after the reply: the last one counts
        (("r1",), ("r2",), [True]),
        (("r1", "r2"), (), []),  # the reply ended with nothing to wait for
    ],
)
def test_the_model_goes_on_when_it_has_stopped_and_all_tools_are_back(
    before: tuple[str, ...], after: tuple[str, ...], goes_on: list[bool]
):
    turn = AgentTurn(3, 0)
    turn.await_tool("r1")
    turn.await_tool("r2")
    assert not any(turn.tool_returned(key) for key in before)
    finished = c.FinishSaying(3) in ended(turn)
    assert finished is (not after)
    assert [turn.tool_returned(key) for key in after] == goes_on


@pytest.mark.parametrize("key", ["r9", "", "R1"])
def test_a_tool_the_turn_does_not_wait_for_changes_nothing(key: str):
    turn = AgentTurn(3, 0)
    turn.await_tool("r1")
    ended(turn)
    assert not turn.tool_returned(key)
    assert not turn.fully_planned


def test_after_a_tool_the_turn_is_written_on_and_finished_once():
    turn = AgentTurn(3, 0)
    turn.text("One moment. ", 0)
    turn.await_tool("r1")
    assert ended(turn) == []
    assert turn.tool_returned("r1")
    turn.think_on()
    assert turn.writing
    assert not turn.fully_planned
    assert turn.text("Booked. ", 900) == [c.Say(3, "Booked. ")]
    assert ended(turn) == [c.FinishSaying(3)]
    assert turn.text_at == 0


@pytest.mark.parametrize(
    ("heard", "unheard"),
    [
        ("", "We can fix that. When?"),
        ("We can", " fix that. When?"),
        ("We can fix that. When?", ""),
        ("Something else", ""),  # a voice that did not say what was planned
        ("We can fix that. When? And more", ""),
    ],
)
def test_what_nobody_heard_is_the_plan_beyond_the_heard_part(heard: str, unheard: str):
    turn = AgentTurn(3, 0)
    turn.text("We can fix that. When?", 0)
    assert turn.unheard(heard) == unheard


@given(st.lists(st.text("ab. ,", max_size=20), max_size=12))
def test_what_is_said_is_what_was_written(chunks: list[str]):
    turn = AgentTurn(3, 0)
    out: list[c.Command] = []
    for chunk in chunks:
        out += turn.text(chunk, 0)
    out += ended(turn)
    assert out.pop() == c.FinishSaying(3)
    said = [command.text for command in out if isinstance(command, c.Say)]
    assert all(said)
    assert "".join(said) == turn.planned == "".join(chunks)
