"""The moves of a conversation, made one by one."""

from __future__ import annotations

import pytest

from tests.call.scenes import QUIETLY, only
from voice_server.call import commands as c
from voice_server.call.conversation import Conversation
from voice_server.call.deadlines import Deadline
from voice_server.call.outcome import FAILED, SILENCE
from voice_server.call.phase import Phase


def listening() -> Conversation:
    """A conversation in which the caller has the word."""
    talk = Conversation(QUIETLY)
    talk.listen(0)
    talk.take_out()
    return talk


def armed(talk: Conversation) -> list[Deadline]:
    """The deadlines that are set; looking takes them."""
    return list(iter(lambda: talk.deadlines.take_due(10**9), None))


def test_the_commands_of_a_move_are_taken_once():
    talk = Conversation(QUIETLY)
    talk.listen(0)
    assert talk.take_out()
    assert talk.take_out() == []


def test_a_phase_is_never_entered_against_the_table_of_moves():
    with pytest.raises(AssertionError, match="-> "):
        Conversation(QUIETLY).think(0)


def test_words_of_our_own_are_a_turn_that_needs_no_model():
    talk = listening()
    turn = talk.say("Are you still there?", 8_000)
    out = talk.take_out()
    assert not only(c.Think, out)
    assert only(c.Say, out) == [c.Say(turn.number, "Are you still there?")]
    assert only(c.FinishSaying, out) == [c.FinishSaying(turn.number)]
    assert talk.phase is Phase.SPEAKING


def test_nobody_interrupts_closing_words():
    talk = listening()
    talk.close("Goodbye.", SILENCE, 9_000)
    assert not talk.interrupt(9_500)
    assert talk.phase is Phase.SPEAKING
    assert Deadline.CLOSING in armed(talk)


def test_a_second_reason_to_close_leaves_the_closing_words_alone():
    talk = listening()
    talk.close("Goodbye.", SILENCE, 9_000)
    talk.take_out()
    talk.close("A technical problem.", FAILED, 9_100)
    assert talk.take_out() == []


def test_without_closing_words_the_call_just_ends():
    talk = listening()
    talk.close("", SILENCE, 9_000)
    assert talk.outcome == SILENCE
    assert only(c.HangUp, talk.take_out()) == [c.HangUp(SILENCE)]


def test_the_caller_may_take_the_word_when_nobody_has_it():
    talk = listening()
    assert talk.interrupt(100)
    assert talk.take_out() == []


def interjecting() -> Conversation:
    """An interjection of a second plays while the model thinks."""
    talk = listening()
    talk.dialogue.caller_said("My tap leaks.")
    talk.think(1_000)
    talk.mind_silence(1_000)
    talk.interject(2_000)
    talk.interjected(talk.policy.fillers[0], bytes(8_000), 2_000)
    talk.take_out()
    return talk


def test_dropping_a_turn_that_made_no_sound_lets_an_interjection_play_on():
    talk = interjecting()
    assert talk.agent.turn is not None
    talk.drop(talk.agent.turn, 2_500)
    assert only(c.StopPlaying, talk.take_out()) == []
    assert Deadline.ASIDE in armed(talk)


def test_an_interruption_silences_an_interjection_and_tells_what_was_heard():
    talk = interjecting()
    assert talk.interrupt(2_500)
    out = talk.take_out()
    assert only(c.StopPlaying, out) == [c.StopPlaying()]
    assert only(c.Record, out) == [c.Record("agent", "One", "", 2_000, 2_500)]
    assert Deadline.ASIDE not in armed(talk)


def test_silence_is_minded_only_while_a_sound_is_owed():
    talk = listening()
    talk.mind_silence(0)
    assert Deadline.FILLER not in armed(talk)
    talk.say("Are you still there?", 8_000)
    talk.mind_silence(8_000)
    assert Deadline.FILLER in armed(talk)
    talk.end(SILENCE, 9_000)
    talk.mind_silence(9_000)
    assert talk.deadlines.next is None
