"""Engines that fail or fall silent: the caller is told, and the call ends in good order."""

from __future__ import annotations

import pytest

from tests.call.scenes import GREETING, Scene, only, speaking, started, thinking
from voice_server.call import Disposition, EndReason, Outcome, Policy
from voice_server.call import commands as c
from voice_server.call import events as e


def test_the_model_is_given_up_when_it_stays_silent():
    scene = thinking(Policy(greeting="", reply_wait_ms=3_000))
    turn = scene.turn
    out = scene.hush(4_000)
    assert only(c.Abandon, out) == [c.Abandon(turn)]
    assert only(c.Say, out) == [c.Say(turn + 1, Policy().apology)]


def test_a_model_that_stalls_in_mid_sentence_is_given_up_too():
    scene = thinking(Policy(greeting="", reply_wait_ms=3_000))
    turn = scene.turn
    scene.do(e.ReplyText(turn, "Well. "))
    scene.speak("Well. ", last=False)
    scene.played()
    assert only(c.Abandon, scene.hush(4_000)) == [c.Abandon(turn)]


@pytest.mark.parametrize("part", [e.Part.LANGUAGE_MODEL, e.Part.VOICE])
def test_a_failed_part_is_excused_once_and_ends_the_call_the_second_time(part: e.Part):
    scene = thinking()
    out = scene.do(e.PartFailed(part, scene.turn, True))
    assert [say.text for say in only(c.Say, out)] == [Policy().apology]
    out = scene.do(e.PartFailed(part, scene.turn, True))
    assert [say.text for say in only(c.Say, out)] == [Policy().failure_closing]
    out = scene.do(e.PartFailed(part, scene.turn, True))
    assert only(c.HangUp, out) == [c.HangUp(Outcome(Disposition.FAILED, EndReason.PART_FAILED))]


def test_an_apology_that_was_heard_does_not_make_up_for_a_dead_model():
    scene = thinking()
    scene.do(e.PartFailed(e.Part.LANGUAGE_MODEL, scene.turn, True))
    scene.speak(Policy().apology)
    scene.played()
    scene.ask("My tap leaks!")
    out = scene.do(e.PartFailed(e.Part.LANGUAGE_MODEL, scene.turn, True))
    assert [say.text for say in only(c.Say, out)] == [Policy().failure_closing]


def test_an_answer_that_was_heard_makes_up_for_a_failure():
    scene = thinking()
    scene.do(e.PartFailed(e.Part.LANGUAGE_MODEL, scene.turn, True))
    scene.speak(Policy().apology)
    scene.played()
    scene.ask("My tap leaks!")
    scene.answer("When?")
    scene.ask("Today.")
    out = scene.do(e.PartFailed(e.Part.LANGUAGE_MODEL, scene.turn, True))
    assert [say.text for say in only(c.Say, out)] == [Policy().apology]


@pytest.mark.parametrize("part", [e.Part.LANGUAGE_MODEL, e.Part.VOICE])
def test_a_part_that_fails_before_the_stream_is_open_is_not_apologised_for(part: e.Part):
    scene = Scene(Policy(greeting=GREETING))
    assert scene.do(e.PartFailed(part, 0, True)) == []
    assert [say.text for say in only(c.Say, scene.do(e.MediaStarted()))] == [GREETING]


def test_ears_lost_during_the_closing_words_do_not_cut_them():
    scene = started()
    scene.do(e.ServerClosing())
    assert scene.do(e.PartFailed(e.Part.TRANSCRIBER, 0, False)) == []
    scene.speak(Policy().server_closing)
    assert only(c.HangUp, scene.played())


def test_after_an_apology_the_words_cut_off_before_are_not_said():
    scene = speaking("We can fix that tomorrow. When does it suit you best?")
    scene.hush(300)
    scene.voice(300)
    scene.hush(300)
    scene.do(e.PartFailed(e.Part.VOICE, 0, True))
    scene.speak(Policy().apology)
    scene.played()
    assert only(c.Say, scene.do(e.FinalTranscript("", 2)) + scene.hush(1_000)) == []


def test_the_failure_of_an_abandoned_turn_is_nobodys_business():
    scene = thinking()
    turn = scene.turn
    scene.voice(300)
    assert scene.do(e.PartFailed(e.Part.LANGUAGE_MODEL, turn, False)) == []


def test_a_lost_scam_detector_does_not_disturb_the_call():
    assert thinking().do(e.PartFailed(e.Part.RISK, 0, False)) == []


def test_a_lost_transcriber_ends_the_call_with_a_word():
    scene = started()
    out = scene.do(e.PartFailed(e.Part.TRANSCRIBER, 0, False))
    assert [say.text for say in only(c.Say, out)] == [Policy().failure_closing]
    scene.speak(Policy().failure_closing)
    (hang_up,) = only(c.HangUp, scene.played())
    assert hang_up.outcome.disposition is Disposition.FAILED
