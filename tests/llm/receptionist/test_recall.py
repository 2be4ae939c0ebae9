from __future__ import annotations

import pytest

from voice_server.call.history import AgentSaid, CallerPressed, CallerSaid, ToolUsed
from voice_server.llm.receptionist.recall import Said, recall
from voice_server.llm.receptionist.state import Ask, Memo, Slot, read_note, write_note

GREETING = AgentSaid("Hello, how can I help you?", False, "")
NOTE = write_note(Memo(ask=Ask.NAME, service="plumbing", problem="a leak"))
ASKED = AgentSaid("What's your name?", False, NOTE)


def test_an_empty_history_is_the_beginning() -> None:
    scene = recall(())
    assert scene.memo == Memo()
    assert scene.said == ()


def test_the_newest_note_is_the_state() -> None:
    newer = AgentSaid("And the address?", False, write_note(Memo(ask=Ask.ADDRESS)))
    scene = recall((GREETING, ASKED, CallerSaid("Mary"), newer))
    assert scene.memo.ask is Ask.ADDRESS
    assert scene.said == ()
    assert scene.heard == "And the address?"


def test_lines_with_nothing_heard_between_them_are_one_answer() -> None:
    scene = recall((GREETING, ASKED, CallerSaid("Mary"), CallerSaid("Jones")))
    assert scene.said == (Said("Mary Jones", "", False, False, 0),)


def test_a_line_said_again_counts_once() -> None:
    scene = recall((ASKED, CallerSaid("Mary Jones"), CallerSaid("Mary Jones")))
    assert scene.said[0].text == "Mary Jones"


def test_keys_and_words_belong_together() -> None:
    scene = recall((ASKED, CallerSaid("it is"), CallerPressed("555"), CallerPressed("0147#")))
    assert (scene.said[0].text, scene.said[0].keys) == ("it is", "5550147#")


def test_an_unknown_question_makes_what_follows_doubtful() -> None:
    prompt = AgentSaid("Are you still there?", False, "")
    scene = recall((ASKED, prompt, CallerSaid("yes")))
    assert scene.said == (Said("yes", "", True, False, 0),)


def test_an_unknown_statement_does_not() -> None:
    scene = recall((ASKED, AgentSaid("One mom", True, ""), CallerSaid("yes")))
    assert scene.said == (Said("yes", "", False, False, 0),)


def test_the_greeting_is_a_known_question() -> None:
    assert recall((GREETING, CallerSaid("yes"))).said == (Said("yes", "", False, False, 0),)


def test_lines_before_unknown_words_of_ours_stand_alone() -> None:
    sorry = AgentSaid("Sorry, could you say that again?", False, "")
    scene = recall((ASKED, CallerSaid("Mary"), sorry, CallerSaid("Mary Jones")))
    assert [said.text for said in scene.said] == ["Mary", "Mary Jones"]


def test_lines_before_a_tool_led_to_it() -> None:
    used = ToolUsed("book_order-1", "book_order", "{}", None)
    scene = recall((ASKED, CallerSaid("yes"), used, CallerSaid("hello?")))
    assert scene.said == (Said("yes", "", False, True, 0), Said("hello?", "", False, False, 1))
    assert scene.tools == (used,)


def test_all_tools_of_the_call_are_known() -> None:
    early = ToolUsed("look_up_order-1", "look_up_order", "{}", "{}")
    scene = recall((CallerSaid("x"), early, ASKED, CallerSaid("y")))
    assert scene.tools == (early,)
    assert scene.said[0].tool_count == 1


def test_an_interrupted_turn_keeps_its_note_and_what_was_heard() -> None:
    scene = recall((GREETING, AgentSaid("What's your", True, NOTE), CallerSaid("Mary")))
    assert scene.memo.ask is Ask.NAME
    assert (scene.heard, scene.interrupted) == ("What's your", True)


@pytest.mark.parametrize(
    "note", ["", "{", "null", "[]", "hello", '{"ask": "nonsense"}', '{"asked": 1}', '{"name": 5}']
)
def test_a_foreign_note_is_no_note(note: str) -> None:
    assert read_note(note) is None
    assert recall((ASKED, AgentSaid("x", False, note))).memo.ask is Ask.NAME


def test_a_note_holds_everything_and_little_else() -> None:
    memo = Memo(ask=Ask.CONFIRM, name="Mary", unread=(Slot.TIME,), asked={"name": 2}, when_at=5)
    assert read_note(write_note(memo)) == memo
    assert write_note(Memo()) == "{}"


def test_a_note_of_a_newer_version_with_unknown_fields_still_reads() -> None:
    memo = read_note('{"ask": "name", "mood": "sunny"}')
    assert memo is not None
    assert memo.ask is Ask.NAME
