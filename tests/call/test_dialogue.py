"""The history while it grows, and whether somebody waits for an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call.dialogue import Dialogue
from voice_server.call.history import AgentSaid, CallerPressed, CallerSaid, ToolUsed


def asked(text: str = "My tap leaks.") -> Dialogue:
    """The caller has said something and the model has been asked."""
    dialogue = Dialogue()
    dialogue.caller_said(text)
    dialogue.ask()
    return dialogue


def test_a_fresh_dialogue_is_empty_and_owes_nobody():
    dialogue = Dialogue()
    assert dialogue.history == dialogue.ask() == ()
    assert not dialogue.unanswered


def test_everything_is_kept_in_the_order_it_happened():
    dialogue = Dialogue()
    dialogue.agent_said("Hello.", interrupted=False, note="")
    dialogue.caller_said("Hi.")
    dialogue.caller_pressed("55#")
    dialogue.tool_requested("r1", "look_up", '{"n": 5}')
    dialogue.agent_said("One mo", interrupted=True, note="n")
    dialogue.tool_returned("r1", "[]")
    assert dialogue.history == (
        AgentSaid("Hello.", False, ""),
        CallerSaid("Hi."),
        CallerPressed("55#"),
        ToolUsed("r1", "look_up", '{"n": 5}', "[]"),
        AgentSaid("One mo", True, "n"),
    )


def test_a_history_given_out_does_not_grow():
    dialogue = Dialogue()
    before = dialogue.ask()
    dialogue.caller_said("Hi.")
    assert before == ()


@pytest.mark.parametrize(
    ("text", "interrupted", "note", "entries", "still_waits"),
    [
        ("Yes.", False, "", [AgentSaid("Yes.", False, "")], False),
        ("Yes.", False, "n", [AgentSaid("Yes.", False, "n")], False),
        ("Ye", True, "n", [AgentSaid("Ye", True, "n")], False),
        ("", False, "n", [AgentSaid("", False, "n")], False),  # it chose to say nothing
        ("", False, "", [], False),
        ("", True, "n", [], True),  # nobody heard it: the note is forgotten, the caller waits
        ("", True, "", [], True),
    ],
)
def test_what_was_heard_of_an_answer_decides(
    text: str, interrupted: bool, note: str, entries: list[AgentSaid], still_waits: bool
):
    dialogue = asked()
    dialogue.agent_said(text, interrupted=interrupted, note=note)
    assert list(dialogue.history[1:]) == entries
    assert dialogue.unanswered is still_waits


@pytest.mark.parametrize(
    "speak",
    [
        lambda dialogue: dialogue.caller_said("And the sink."),
        lambda dialogue: dialogue.caller_pressed("1"),
        lambda dialogue: dialogue.tool_returned("r1", "{}"),
    ],
    ids=["words", "keys", "a result"],
)
def test_what_comes_after_the_question_is_not_answered_by_its_answer(speak):
    dialogue = Dialogue()
    dialogue.caller_said("My tap leaks.")
    dialogue.tool_requested("r1", "look_up", "{}")
    dialogue.ask()
    speak(dialogue)
    dialogue.agent_said("When?", interrupted=False, note="")
    assert dialogue.unanswered
    dialogue.ask()
    dialogue.agent_said("Noted.", interrupted=False, note="")
    assert not dialogue.unanswered


def test_asking_again_after_an_unheard_answer_keeps_the_caller_waiting():
    dialogue = asked()
    dialogue.agent_said("", interrupted=True, note="")
    dialogue.ask()
    assert dialogue.unanswered


def test_asking_without_a_question_makes_nobody_wait():
    dialogue = Dialogue()
    dialogue.ask()
    assert not dialogue.unanswered


def test_a_caller_who_is_asked_to_repeat_waits_no_more():
    dialogue = asked()
    dialogue.caller_said("Hello?")
    dialogue.forget_question()
    assert not dialogue.unanswered
    assert len(dialogue.history) == 2


def test_a_tool_request_is_known_by_its_id():
    dialogue = Dialogue()
    assert dialogue.tool_requested("r1", "book_order", "{}")
    assert not dialogue.tool_requested("r1", "book_order", '{"other": 1}')
    assert dialogue.history == (ToolUsed("r1", "book_order", "{}", None),)


def test_a_result_completes_the_record_where_the_request_stands():
    dialogue = Dialogue()
    dialogue.tool_requested("r1", "a", "1")
    dialogue.tool_requested("r2", "b", "2")
    assert dialogue.tool_returned("r2", "two") == ToolUsed("r2", "b", "2", "two")
    assert dialogue.history == (ToolUsed("r1", "a", "1", None), ToolUsed("r2", "b", "2", "two"))


@pytest.mark.parametrize("result", ["{}", "", "null"])
def test_a_result_counts_once(result: str):
    dialogue = Dialogue()
    dialogue.tool_requested("r1", "a", "{}")
    assert dialogue.tool_returned("r1", result) is not None
    dialogue.ask()
    assert dialogue.tool_returned("r1", "another") is None
    assert dialogue.history == (ToolUsed("r1", "a", "{}", result),)


def test_a_result_nobody_asked_for_changes_nothing():
    dialogue = Dialogue()
    assert dialogue.tool_returned("r1", "{}") is None
    assert not dialogue.unanswered


def test_a_running_tool_alone_makes_nobody_wait():
    dialogue = Dialogue()
    dialogue.tool_requested("r1", "a", "{}")
    assert not dialogue.unanswered


@given(st.lists(st.tuples(st.sampled_from("cktrah"), st.integers(0, 3)), max_size=30))
def test_the_history_only_grows_and_its_past_changes_only_where_a_result_comes(
    acts: list[tuple[str, int]],
):
    dialogue = Dialogue()
    before = dialogue.history
    for act, n in acts:
        match act:
            case "c":
                dialogue.caller_said(f"words {n}")
            case "k":
                dialogue.caller_pressed(str(n))
            case "t":
                dialogue.tool_requested(f"r{n}", "a", "{}")
            case "r":
                dialogue.tool_returned(f"r{n}", "{}")
            case "a":
                dialogue.agent_said("heard" * (n % 2), interrupted=n > 1, note="n")
            case "h":
                dialogue.ask()
        after = dialogue.history
        assert len(before) <= len(after) <= len(before) + 1
        for old, new in zip(before, after, strict=False):
            if old != new:
                assert isinstance(old, ToolUsed)
                assert old.result is None
                assert new == ToolUsed(old.request_id, old.name, old.arguments, "{}")
        before = after
