"""A caller who talks over the agent: what stops it, what was heard, and how it goes on."""

from __future__ import annotations

from tests.call.scenes import Scene, only, speaking, thinking, without
from voice_server.call import Disposition, EndReason, Outcome, Phase, Policy
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.history import AgentSaid, CallerSaid


def test_barge_in_stops_the_agent_and_keeps_only_what_was_heard():
    scene = speaking("one two three four five six seven eight nine ten")
    scene.hush(500)
    out = scene.voice(300)
    kinds = [type(command) for command in without(out, c.Transcribe, c.Publish, c.AssessRisk)]
    assert kinds == [c.Abandon, c.StopPlaying, c.Record]
    (line,) = only(c.Record, out)
    assert line.text.startswith("one two three")
    assert line.text + " " + line.unheard == "one two three four five six seven eight nine ten"
    assert "eight" not in line.text
    entry = scene.call.dialogue.history[-1]
    assert entry == AgentSaid(line.text, interrupted=True, note="")


def test_marks_that_a_clear_returns_do_not_count_as_heard():
    scene = speaking("one two three four five six seven eight nine ten")
    scene.hush(200)
    scene.voice(300)
    before = scene.call.dialogue.history
    assert scene.do(e.MarkPlayed("m1"), e.MarkPlayed("m7")) == []
    assert scene.call.dialogue.history == before


def test_a_short_noise_over_the_agent_is_no_barge_in():
    scene = speaking()
    scene.hush(200)
    assert only(c.StopPlaying, scene.voice(100) + scene.hush(100)) == []


def test_an_agent_that_must_not_be_interrupted_is_not():
    scene = speaking(policy=Policy(greeting="", interruptible=False))
    assert only(c.StopPlaying, scene.voice(600)) == []
    assert scene.call.phase is Phase.SPEAKING


def test_a_caller_who_goes_on_while_the_agent_thinks_takes_the_turn_back():
    scene = thinking()
    turn = scene.turn
    out = scene.voice(300)
    assert only(c.Abandon, out) == [c.Abandon(turn)]
    assert scene.do(e.ReplyText(turn, "Late. "), e.ReplyEnded(turn)) == []
    assert scene.do(e.SpeechReady(turn, bytes(800), "Late."), e.SpeechEnded(turn)) == []
    scene.hush(300)
    (think,) = only(c.Think, scene.do(e.FinalTranscript("It is urgent.", 2)) + scene.hush(900))
    assert think.turn == turn + 1
    assert [entry.text for entry in think.history] == ["My tap leaks.", "It is urgent."]


def test_a_cough_over_the_agent_makes_it_go_on_where_it_was_cut():
    text = "We can fix that tomorrow. When does it suit you best?"
    scene = speaking(text)
    scene.hush(300)
    (line,) = only(c.Record, scene.voice(300))
    out = scene.hush(300) + scene.do(e.FinalTranscript("", 2)) + scene.hush(800)
    (said,) = only(c.Say, out)
    assert said.text.strip() == line.unheard
    assert (line.text + " " + said.text.strip()) == text


def coughed_over(scene: Scene) -> list[c.Command]:
    """Somebody makes a noise that holds no words, right after the last word was played."""
    scene.hush(1_000)
    out = scene.voice(300) + scene.hush(300)
    return out + scene.do(e.FinalTranscript("", 2)) + scene.hush(800)


def test_a_cough_after_the_last_word_leaves_nothing_to_go_on_with():
    scene = speaking("We can fix that.")
    out = coughed_over(scene)
    assert only(c.Say, out) == only(c.HangUp, out) == []
    assert [say.text for say in only(c.Say, scene.hush(8_000))] == ["Are you still there?"]


def test_a_cough_after_the_last_word_of_a_goodbye_does_not_keep_the_call():
    scene = thinking()
    turn = scene.turn
    scene.do(e.ReplyText(turn, "Goodbye."), e.ToolRequested(turn, "r1", "end_call", "{}"))
    scene.do(e.ReplyEnded(turn))
    scene.speak("Goodbye.")
    assert only(c.HangUp, coughed_over(scene)) == [
        c.HangUp(Outcome(Disposition.ANSWERED, EndReason.AGENT_GOODBYE))
    ]


def test_a_lost_mark_in_mid_answer_does_not_cost_the_rest_of_the_answer():
    scene = thinking()
    scene.do(e.ReplyText(scene.turn, "We can fix that. "))
    scene.speak("We can fix that. ", last=False)
    scene.hush(4_500)
    out = scene.do(e.ReplyText(scene.turn, "When?"), e.ReplyEnded(scene.turn))
    assert [say.text for say in only(c.Say, out)] == ["When?"]
    scene.speak("When?")
    scene.hush(4_500)
    assert scene.call.phase is Phase.LISTENING


def test_a_goodbye_whose_marks_are_lost_ends_the_call_all_the_same():
    scene = thinking()
    turn = scene.turn
    scene.do(e.ReplyText(turn, "Goodbye."), e.ToolRequested(turn, "r1", "end_call", "{}"))
    scene.do(e.ReplyEnded(turn))
    scene.speak("Goodbye.")
    assert len(only(c.HangUp, scene.hush(5_000))) == 1


def test_what_the_caller_says_while_it_may_not_interrupt_is_answered_afterwards():
    scene = speaking(policy=Policy(greeting="", interruptible=False))
    scene.voice(400)
    (commit,) = only(c.Commit, scene.hush(300))
    assert scene.call.phase is Phase.SPEAKING
    scene.do(e.FinalTranscript("And the sink.", commit.utterance))
    scene.played()
    (think,) = only(c.Think, scene.hush(1_000))
    assert think.history[-2] == CallerSaid("And the sink.")


def test_the_voice_model_hears_a_barge_in_sooner_and_a_door_not_at_all():
    for percent, stopped in ((95, 1), (5, 0)):
        scene = speaking("one two three four five six")
        out: list[c.Command] = []
        for _ in range(12):
            out += scene.do(e.VoiceScored(percent)) + scene.voice(20)
        assert len(only(c.StopPlaying, out)) == stopped


def test_a_cough_while_the_agent_thinks_makes_it_think_again():
    scene = thinking()
    scene.voice(200)
    out = scene.hush(300) + scene.do(e.FinalTranscript("", 2)) + scene.hush(800)
    assert len(only(c.Think, out)) == 1
