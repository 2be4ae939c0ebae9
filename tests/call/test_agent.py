"""The agent's side: turns, their numbers, tools and what was heard."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.agent import AgentSide
from voice_server.call.dialogue import Dialogue
from voice_server.call.history import ToolUsed
from voice_server.call.outcome import Disposition, EndReason, Outcome

GOODBYE = Outcome(Disposition.ANSWERED, EndReason.AGENT_GOODBYE)
TRANSFER = Outcome(Disposition.HANDED_OVER, EndReason.TRANSFER)
SCAM = Outcome(Disposition.SCAM, EndReason.SCAM)


def at_work() -> AgentSide:
    """An agent whose first turn has begun."""
    agent = AgentSide(Dialogue())
    agent.begin(0)
    return agent


def said(text: str = "one two three four", *, ms: int = 1_000) -> AgentSide:
    """The whole turn is written and sent to the caller."""
    agent = at_work()
    agent.replied(e.ReplyText(1, text), 0)
    agent.replied(e.ReplyEnded(1), 0)
    agent.speech(bytes(8 * ms), text)
    agent.speech_ended(1)
    return agent


def booked() -> AgentSide:
    """An order stands."""
    agent = at_work()
    agent.replied(e.ToolRequested(1, "r1", "book_order", "{}"), 0)
    agent.tool_returned(e.ToolReturned("r1", "{}", True))
    return agent


def test_turns_are_numbered_from_one():
    agent = AgentSide(Dialogue())
    assert agent.number == 0
    assert [agent.begin(0).number for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("number", [-1, 0, 2, 99])
def test_only_the_turn_in_progress_is_at_work(number: int):
    agent = at_work()
    assert agent.at_work(1) is agent.turn
    assert agent.at_work(number) is None


@pytest.mark.parametrize(
    "event",
    [
        e.ReplyText(7, "Late. "),
        e.ReplyEnded(7),
        e.ToolRequested(7, "r1", "look_up", "{}"),
        e.ToolRequested(7, "r1", "end_call", "{}"),
    ],
)
def test_pieces_of_another_turn_are_not_welcome(event):
    agent = at_work()
    assert agent.replied(event, 0) is None
    assert agent.ending is None


@pytest.mark.parametrize(
    "event",
    [
        e.ReplyText(1, "More. "),
        e.ReplyEnded(1),
        e.ToolRequested(1, "r1", "look_up", "{}"),
        e.ToolRequested(1, "r1", "end_call", "{}"),
    ],
)
def test_nothing_is_welcome_after_the_reply_has_ended(event):
    agent = at_work()
    agent.replied(e.ReplyEnded(1), 0)
    assert agent.replied(event, 0) is None
    assert agent.ending is None


def test_a_tool_is_run_once_and_put_into_the_history():
    dialogue = Dialogue()
    agent = AgentSide(dialogue)
    agent.begin(0)
    request = e.ToolRequested(1, "r1", "look_up", '{"n":1}')
    assert agent.replied(request, 0) == [c.RunTool("r1", "look_up", '{"n":1}')]
    assert agent.replied(request, 0) == []
    assert dialogue.history == (ToolUsed("r1", "look_up", '{"n":1}', None),)


def test_a_tool_that_the_shield_has_blocked_is_refused_and_waited_for_like_any_other():
    agent = at_work()
    agent.blocked_tools = frozenset({"pay"})
    assert agent.replied(e.ToolRequested(1, "r1", "pay", "{}"), 0) == [c.RefuseTool("r1")]
    assert agent.replied(e.ToolRequested(1, "r1", "pay", "{}"), 0) == []
    agent.replied(e.ReplyEnded(1), 0)
    assert agent.tool_returned(e.ToolReturned("r1", "refused", False)) is True


@pytest.mark.parametrize(
    ("tool", "ending"), [("end_call", GOODBYE), ("transfer_call", TRANSFER), ("look_up", None)]
)
def test_moves_of_the_call_are_not_run_but_kept_for_its_end(tool: str, ending: Outcome | None):
    agent = at_work()
    commands = agent.replied(e.ToolRequested(1, "r1", tool, "{}"), 0)
    assert (commands == []) is (ending is not None)
    assert agent.ending == ending


def test_results_are_taken_once_and_tell_whether_the_turn_goes_on():
    agent = at_work()
    agent.replied(e.ToolRequested(1, "r1", "look_up", "{}"), 0)
    agent.replied(e.ReplyEnded(1), 0)
    assert agent.tool_returned(e.ToolReturned("r9", "{}", True)) is None
    assert agent.tool_returned(e.ToolReturned("r1", "{}", True)) is True
    assert agent.tool_returned(e.ToolReturned("r1", "{}", True)) is None


def test_a_result_for_a_dropped_turn_is_taken_but_moves_no_turn():
    agent = at_work()
    agent.replied(e.ToolRequested(1, "r1", "book_order", "{}"), 0)
    agent.replied(e.ReplyEnded(1), 0)
    agent.drop()
    assert agent.tool_returned(e.ToolReturned("r1", "{}", True)) is False
    assert agent.booked


@pytest.mark.parametrize(
    ("tool", "succeeded", "stands"),
    [("book_order", True, True), ("book_order", False, False), ("look_up", True, False)],
)
def test_an_order_stands_when_it_was_booked_with_success(tool: str, succeeded: bool, stands: bool):
    agent = at_work()
    agent.replied(e.ToolRequested(1, "r1", tool, "{}"), 0)
    agent.tool_returned(e.ToolReturned("r1", "{}", succeeded))
    assert agent.booked is stands


def test_an_order_stands_whatever_other_tools_return_later():
    agent = booked()
    agent.replied(e.ToolRequested(1, "r2", "book_order", "{}"), 0)
    agent.tool_returned(e.ToolReturned("r2", "{}", False))
    assert agent.booked


def test_speech_is_played_with_a_mark_behind_it():
    agent = at_work()
    assert agent.played_out
    assert agent.speech(b"12345678", "Hm.") == [c.Play(b"12345678"), c.PlaceMark("m1")]
    assert not agent.played_out


def test_a_turn_is_heard_out_when_it_is_written_spoken_and_played():
    agent = at_work()
    agent.replied(e.ReplyText(1, "one"), 0)
    agent.speech(bytes(800), "one")
    agent.mark("m1")
    assert agent.heard_out is None
    agent.speech_ended(1)
    assert agent.heard_out is None
    agent.replied(e.ReplyEnded(1), 0)
    assert agent.heard_out is agent.turn
    assert agent.finish() == "one"
    assert agent.turn is None
    assert agent.heard_out is None


@pytest.mark.parametrize("number", [0, 2])
def test_the_end_of_another_turns_speech_ends_nothing(number: int):
    agent = said()
    agent.mark("m1")
    assert agent.turn is not None
    agent.turn.speech_ended = False
    agent.speech_ended(number)
    assert agent.heard_out is None


@pytest.mark.parametrize(("name", "owed"), [("m1", True), ("m2", False), ("", False)])
def test_only_marks_that_are_owed_count(name: str, *, owed: bool):
    assert said().mark(name) is owed


@pytest.mark.parametrize(
    ("media_ms", "heard"), [(0, ""), (500, "one two"), (1_000, "one two three four")]
)
def test_a_dropped_turn_was_heard_as_far_as_the_media_clock_says(media_ms: int, heard: str):
    agent = said()
    agent.media_ms = media_ms
    assert agent.drop() == heard
    assert agent.turn is None
    assert agent.played_out


def test_nothing_is_heard_of_a_dropped_turn_that_made_no_sound():
    assert at_work().drop() == ""


def test_a_dropped_turn_whose_sound_is_over_was_heard():
    agent = said()
    agent.mark("m1")
    assert agent.drop() == "one two three four"


@pytest.mark.parametrize(
    ("undo", "heard"),
    [
        (lambda agent: None, ""),
        (AgentSide.hushed, "one two"),
        (AgentSide.restart_clock, "one two"),
    ],
    ids=["plays", "was thrown away", "was of another stream"],
)
def test_words_wait_for_an_interjection_that(undo: Callable[[AgentSide], None], heard: str):
    agent = AgentSide(Dialogue())
    agent.interjected(bytes(8 * 1_000))
    undo(agent)
    agent.begin(0)
    agent.speech(bytes(8 * 1_000), "one two three four")
    agent.media_ms = 500
    assert agent.drop() == heard


def test_the_next_turn_forgets_what_was_cut_off():
    agent = at_work()
    assert agent.turn is not None
    agent.cut_off = (agent.turn, "rest")
    agent.begin(0)
    assert agent.cut_off is None


@pytest.mark.parametrize(
    ("end", "with_order"),
    [
        (GOODBYE, Outcome(Disposition.BOOKED, EndReason.AGENT_GOODBYE)),
        (
            Outcome(Disposition.ABANDONED, EndReason.STREAM_LOST),
            Outcome(Disposition.BOOKED, EndReason.STREAM_LOST),
        ),
        (
            Outcome(Disposition.FAILED, EndReason.PART_FAILED),
            Outcome(Disposition.BOOKED, EndReason.PART_FAILED),
        ),
        (TRANSFER, TRANSFER),
        (SCAM, SCAM),
    ],
)
def test_what_was_booked_stays_booked(end: Outcome, with_order: Outcome):
    assert at_work().or_booked(end) == end
    assert booked().or_booked(end) == with_order


@pytest.mark.parametrize(
    ("ending", "disposition"),
    [
        (None, Disposition.ABANDONED),
        (GOODBYE, Disposition.ANSWERED),
        (TRANSFER, Disposition.ABANDONED),
        (SCAM, Disposition.SCAM),
    ],
)
def test_a_caller_who_leaves_early_leaves_the_call_at_what_it_came_to(
    ending: Outcome | None, disposition: Disposition
):
    agent = at_work()
    assert agent.turn is not None
    agent.turn.ending = ending
    assert agent.outcome_if_gone(EndReason.STREAM_LOST) == Outcome(
        disposition, EndReason.STREAM_LOST
    )


def test_without_a_turn_a_caller_who_leaves_abandons_the_call():
    assert AgentSide(Dialogue()).outcome_if_gone(EndReason.CALLER_HUNG_UP) == Outcome(
        Disposition.ABANDONED, EndReason.CALLER_HUNG_UP
    )
