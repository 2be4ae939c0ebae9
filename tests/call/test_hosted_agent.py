"""A hosted agent takes part in the call: what it may bring about, and what not."""

from __future__ import annotations

from tests.call.scenes import GREETING, only, speaking, started, thinking
from voice_server.call import Phase, Policy
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.history import AgentSaid, CallerSaid


def test_words_that_nobody_asked_for_are_asked_for_when_nobody_speaks():
    scene = started()
    (think,) = only(c.Think, scene.do(e.ReplyOffered()))
    assert (think.turn, think.history) == (1, ())
    assert scene.call.phase is Phase.THINKING


def test_an_agent_that_is_ready_early_need_not_wait_for_our_patience():
    scene = started()
    scene.utter("It is my")  # an unfinished sentence, which our own patience would wait for
    (think,) = only(c.Think, scene.do(e.ReplyOffered()))
    assert think.history == (CallerSaid("It is my"),)


def test_an_agent_that_is_ready_while_the_caller_speaks_has_to_wait():
    scene = started()
    scene.voice(400)
    assert only(c.Think, scene.do(e.ReplyOffered())) == []
    assert scene.call.phase is Phase.LISTENING


def test_what_is_offered_during_a_noise_is_asked_for_when_that_was_no_word():
    scene = started()
    scene.voice(400)
    scene.do(e.ReplyOffered())
    (commit,) = only(c.Commit, scene.hush(300))
    scene.do(e.FinalTranscript("", commit.utterance))
    assert len(only(c.Think, scene.hush(1_000))) == 1


def test_an_offer_changes_nothing_while_an_answer_is_on_its_way():
    scene = thinking()
    assert scene.do(e.ReplyOffered()) == []


def test_what_is_offered_while_the_agent_speaks_follows_once_that_was_heard():
    scene = speaking("One moment.")
    assert scene.do(e.ReplyOffered()) == []
    out = scene.played() + scene.wait(20)
    (think,) = only(c.Think, out)
    assert think.history[-1] == AgentSaid("One moment.", False, "")


def test_a_turn_that_turns_out_empty_leaves_the_word_to_the_caller():
    scene = started()
    scene.do(e.ReplyOffered())
    scene.do(e.ReplyEnded(1), e.SpeechEnded(1))
    assert scene.call.phase is Phase.LISTENING
    assert only(c.Record, scene.all) == []


def test_the_agent_may_end_the_call_without_another_word():
    scene = started()
    scene.do(e.ReplyOffered())
    out = scene.do(e.ToolRequested(1, "end", "end_call", "{}"), e.ReplyEnded(1), e.SpeechEnded(1))
    assert len(only(c.HangUp, out)) == 1


def test_an_interruption_that_the_service_heard_stops_the_agent_as_our_own_would():
    scene = speaking()
    out = scene.do(e.CallerInterrupted())
    assert only(c.Abandon, out) == [c.Abandon(1)]
    assert only(c.StopPlaying, out) == [c.StopPlaying()]
    assert scene.call.phase is Phase.LISTENING


def test_an_interruption_without_a_word_lets_the_agent_say_the_rest():
    scene = speaking("We can fix that. When?")
    scene.hush(600)
    scene.do(e.CallerInterrupted())
    said = only(c.Say, scene.hush(1_500))
    assert [say.text for say in said] == [" that. When?"]
    assert scene.call.phase is Phase.SPEAKING


def test_an_interruption_by_a_voice_too_soft_for_us_is_answered_when_its_words_come():
    scene = speaking()
    scene.hush(300)
    scene.do(e.CallerInterrupted())
    scene.hush(300)
    scene.do(e.FinalTranscript("No, wait.", 0))
    out = scene.hush(1_500)
    assert only(c.Say, out) == []
    assert len(only(c.Think, out)) == 1


def test_an_interruption_changes_nothing_unless_the_agent_speaks():
    for scene in (started(), thinking()):
        assert scene.do(e.CallerInterrupted()) == []


def test_an_agent_that_may_not_be_interrupted_goes_on():
    scene = started(Policy(greeting=GREETING, interruptible=False))
    assert scene.do(e.CallerInterrupted()) == []
    assert scene.call.phase is Phase.SPEAKING


def test_the_name_of_the_conversation_is_kept_with_the_record():
    scene = started()
    assert scene.call.record.conversation_id == ""
    assert scene.do(e.ConversationOpened("conv_1")) == []
    assert scene.call.record.conversation_id == "conv_1"
