"""Silence that nothing explains is broken by a few words."""

from __future__ import annotations

from tests.call.scenes import GREETING, Scene, only, started, thinking
from voice_server.call import Phase, Policy
from voice_server.call import commands as c
from voice_server.call import events as e


def interjects(out: list[c.Command]) -> list[str]:
    """The interjections asked for."""
    return [command.text for command in only(c.Interject, out)]


def interjected(scene: Scene, ms: int = 900) -> list[c.Command]:
    """The shell answers the newest request."""
    return scene.do(e.InterjectionReady(interjects(scene.all)[-1], bytes(8 * ms)))


FILLERS = Policy().fillers


def test_a_model_that_is_slow_is_excused_once_the_silence_is_too_long():
    scene = thinking()
    spoke_at = scene.call.caller.spoke_at
    assert interjects(scene.all) == [FILLERS[0]]
    [asked] = only(c.Interject, scene.all)
    assert scene.now > spoke_at + 1_250
    out = interjected(scene)
    assert [type(command) for command in out] == [c.Play]
    assert scene.call.phase is Phase.THINKING
    assert asked.text in FILLERS


def test_a_long_stall_is_excused_again_and_again_in_other_words():
    scene = thinking()
    interjected(scene)
    for _ in range(2):
        before = scene.now
        assert interjects(scene.wait(900 + 1_250))
        assert scene.now - before <= 900 + 1_500
        interjected(scene)
    assert interjects(scene.all) == list(FILLERS[:3])


def test_an_answer_in_good_time_needs_no_excuse():
    scene = started()
    scene.utter("My tap leaks.")
    scene.wait(500)
    scene.answer("We can fix that.")
    assert interjects(scene.all + scene.wait(5_000)) == []


def test_a_greeting_that_does_not_come_is_excused():
    scene = started(Policy(greeting=GREETING))
    assert interjects(scene.wait(1_249)) == []
    assert interjects(scene.wait(1)) == [FILLERS[0]]


def test_a_voice_that_stops_in_mid_answer_is_excused_when_its_sound_is_over():
    scene = thinking()
    scene.reply("We can fix that. When?")
    scene.speak("We can fix that. ", ms=2_000, last=False)
    before = len(scene.all)
    scene.wait(3_249)
    assert interjects(scene.all[before:]) == []
    assert interjects(scene.wait(1)) != []


def test_a_tool_at_work_is_excused_in_words_of_its_own():
    scene = thinking()
    interjected(scene)
    scene.do(e.ToolRequested(scene.turn, "r1", "look_up_order", "{}"), e.ReplyEnded(scene.turn))
    assert interjects(scene.wait(2_500))[0] in scene.call.policy.tool_fillers


def test_a_transcript_that_does_not_come_is_excused():
    scene = started()
    scene.voice(400)
    assert len(interjects(scene.hush(1_600))) == 1
    interjected(scene)
    assert scene.call.phase is Phase.LISTENING


def test_silence_that_waits_for_the_caller_needs_no_excuse():
    scene = started()
    assert interjects(scene.hush(7_900)) == []


def test_the_pause_of_a_caller_who_enters_keys_needs_no_excuse():
    scene = started()
    scene.do(e.DigitPressed("5"))
    assert interjects(scene.wait(2_400)) == []


def test_a_tenant_who_wants_silence_gets_it():
    scene = started(Policy(greeting="", fillers=()))
    scene.ask()
    assert interjects(scene.all + scene.wait(4_000)) == []


def test_an_interjection_is_told_when_it_has_been_heard_and_the_model_never_knows():
    scene = thinking()
    began = scene.now
    interjected(scene, 900)
    assert only(c.Record, scene.wait(899)) == []
    assert only(c.Record, scene.wait(1)) == [c.Record("agent", FILLERS[0], "", began, began + 900)]
    scene.answer("We can fix that.")
    said = [entry.text for entry in scene.call.dialogue.history]
    assert said == ["My tap leaks.", "We can fix that."]


def test_a_turn_does_not_wait_for_the_end_of_an_interjection():
    scene = thinking()
    interjected(scene)
    scene.answer("We can fix that.")
    assert scene.call.phase is Phase.LISTENING


def test_a_caller_who_talks_over_an_interjection_silences_it():
    scene = thinking()
    interjected(scene, 1_000)
    scene.wait(500)
    out = scene.voice(200)
    assert len(only(c.StopPlaying, out)) == 1
    [line] = only(c.Record, out)
    assert FILLERS[0].startswith(line.text)
    assert scene.call.phase is Phase.LISTENING


def test_a_caller_who_goes_on_while_their_transcript_is_awaited_silences_an_interjection():
    scene = started()
    scene.voice(400)
    scene.hush(1_600)
    interjected(scene, 1_000)
    assert len(only(c.StopPlaying, scene.voice(200))) == 1


def test_an_interjection_that_comes_when_the_answer_sounds_is_not_played():
    scene = thinking()
    scene.reply("We can fix that.")
    scene.speak("We can fix that.")
    assert interjected(scene) == []


def test_an_interjection_that_nobody_asked_for_is_not_played():
    scene = thinking()
    interjected(scene)
    assert scene.do(e.InterjectionReady("Hm.", bytes(800))) == []


def test_a_failure_lets_an_interjection_end_before_it_apologises():
    scene = thinking()
    interjected(scene)
    out = scene.do(e.PartFailed(e.Part.LANGUAGE_MODEL, scene.turn, True))
    assert only(c.StopPlaying, out) == []
    assert [say.text for say in only(c.Say, out)] == [scene.call.policy.apology]


def test_a_call_that_ends_in_an_interjection_tells_what_was_heard_of_it():
    scene = thinking()
    interjected(scene, 1_000)
    scene.wait(500)
    out = scene.do(e.MediaStopped(e.StopCause.CALLER_HUNG_UP))
    assert only(c.Record, out)[-1].text in FILLERS[0]
    assert isinstance(out[-1], c.HangUp)
