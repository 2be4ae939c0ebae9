"""The call as a whole: what it does, told as scenes."""

from __future__ import annotations

import pytest

from detectors.assessment import Severity
from tests.call.scenes import GREETING, Scene, only, speaking, started, thinking, view, without
from voice_server.call import MOVES, Disposition, EndReason, Outcome, Phase, Policy, Rate
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.history import AgentSaid, CallerPressed, CallerSaid, ToolUsed
from voice_server.call.outcome import FAILED


def test_the_agent_greets_when_the_media_stream_opens():
    scene = Scene(Policy(greeting=GREETING))
    out = scene.do(e.MediaStarted())
    assert without(out, c.Publish) == [c.Say(1, GREETING), c.FinishSaying(1)]
    assert scene.call.phase is Phase.SPEAKING


def test_a_second_start_of_the_stream_changes_nothing():
    scene = started(Policy(greeting=GREETING))
    assert scene.do(e.MediaStarted()) == []


def test_a_call_without_a_greeting_listens_at_once():
    assert started().call.phase is Phase.LISTENING


def test_every_frame_goes_to_the_transcriber_whatever_the_agent_does():
    for scene in (started(), thinking(), speaking()):
        out = scene.hush(100)
        assert len(only(c.Transcribe, out)) == 5


def test_a_pause_commits_the_utterance_and_a_longer_one_takes_the_turn():
    scene = started()
    out = scene.voice(400) + scene.hush(300)
    assert only(c.Commit, out) == [c.Commit(1)]
    scene.do(e.FinalTranscript("My tap leaks.", 1))
    assert scene.call.phase is Phase.LISTENING
    (think,) = only(c.Think, scene.hush(600))
    assert think.history == (CallerSaid("My tap leaks."),)
    assert scene.call.phase is Phase.THINKING


def test_two_utterances_with_a_short_pause_are_one_question():
    scene = started()
    scene.utter("My tap leaks")
    out = scene.utter("since yesterday.") + scene.hush(1_000)
    (think,) = only(c.Think, out)
    assert think.history == (CallerSaid("My tap leaks"), CallerSaid("since yesterday."))


def test_the_turn_waits_for_a_late_transcript_but_not_for_ever():
    scene = started(Policy(greeting="", transcript_wait_ms=2_000))
    scene.voice(400)
    assert only(c.Think, scene.hush(1_500)) == []
    late = scene.do(e.FinalTranscript("Hello?", 1)) + scene.hush(40)
    assert len(only(c.Think, late)) == 1

    lost = started(Policy(greeting="", transcript_wait_ms=2_000))
    lost.voice(400)
    out = lost.hush(3_000)
    assert only(c.Think, out) == []  # nothing was understood
    assert [say.text for say in only(c.Say, out)] == [lost.call.policy.apology]


def test_a_transcript_that_comes_while_the_agent_thinks_is_answered_afterwards():
    scene = thinking()
    scene.do(e.FinalTranscript("And the sink too.", 0))
    scene.answer("When does it suit you?")
    (think,) = only(c.Think, scene.hush(1_000))
    assert think.history[-2:] == (
        CallerSaid("And the sink too."),
        AgentSaid("When does it suit you?", interrupted=False, note=""),
    )


def test_reply_text_is_said_clause_by_clause_and_the_rest_at_the_end():
    scene = thinking()
    turn = scene.turn
    assert scene.do(e.ReplyText(turn, "Of course. I can ")) == [c.Say(turn, "Of course. ")]
    assert scene.do(e.ReplyText(turn, "help with that.")) == []
    assert scene.do(e.ReplyEnded(turn)) == [
        c.Say(turn, "I can help with that."),
        c.FinishSaying(turn),
    ]


def test_speech_is_played_behind_a_mark_and_its_latency_is_measured():
    scene = thinking()
    scene.reply("Sure.")
    out = scene.speak("Sure.", ms=500, last=False)
    assert without(out, c.Publish, c.Measure) == [c.Play(bytes(4_000)), c.PlaceMark("m1")]
    (measure,) = only(c.Measure, out)
    assert measure.turn == scene.turn
    assert measure.first_audio_ms >= measure.first_text_ms >= measure.transcript_ms > 0
    assert scene.call.phase is Phase.SPEAKING


def test_only_words_the_carrier_played_enter_the_history():
    scene = speaking("We can fix that. When?")
    assert scene.call.dialogue.history == (CallerSaid("My tap leaks."),)
    out = scene.played()
    (line,) = only(c.Record, out)
    assert (line.speaker, line.text, line.unheard) == ("agent", "We can fix that. When?", "")
    assert scene.call.dialogue.history[-1] == AgentSaid("We can fix that. When?", False, "")
    assert scene.call.phase is Phase.LISTENING


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


def test_keys_completed_while_the_caller_speaks_wait_for_the_pause():
    scene = started()
    scene.voice(300)
    assert only(c.Think, scene.do(e.DigitPressed("1"), e.DigitPressed("#"))) == []
    out = scene.hush(300) + scene.do(e.FinalTranscript("", 1)) + scene.hush(1_000)
    assert only(c.Think, out)[0].history == (CallerPressed("1#"),)


def test_a_long_answer_in_many_pieces_is_measured_once():
    scene = thinking()
    scene.reply("We can fix that. When?")
    out = scene.speak("We can fix that. ", last=False) + scene.speak("When?")
    assert len(only(c.Measure, out)) == 1
    assert [mark.name for mark in only(c.PlaceMark, out)] == ["m1", "m2"]


def test_the_voice_model_hears_a_barge_in_sooner_and_a_door_not_at_all():
    for percent, stopped in ((95, 1), (5, 0)):
        scene = speaking("one two three four five six")
        out: list[c.Command] = []
        for _ in range(12):
            out += scene.do(e.VoiceScored(percent)) + scene.voice(20)
        assert len(only(c.StopPlaying, out)) == stopped


def test_a_second_reason_to_close_changes_no_closing_words():
    scene = started()
    scene.do(e.ServerClosing())
    assert only(c.Say, scene.do(e.ServerClosing())) == []
    assert only(c.Say, scene.do(e.RiskAssessed(view(Severity.CRITICAL)))) == []


def test_a_call_without_closing_words_ends_at_once():
    scene = started(Policy(greeting="", server_closing=""))
    assert len(only(c.HangUp, scene.do(e.ServerClosing()))) == 1


def test_a_cough_while_the_agent_thinks_makes_it_think_again():
    scene = thinking()
    scene.voice(200)
    out = scene.hush(300) + scene.do(e.FinalTranscript("", 2)) + scene.hush(800)
    assert len(only(c.Think, out)) == 1


def test_the_note_of_a_turn_nobody_heard_is_forgotten():
    scene = thinking()
    scene.reply("We can fix that.", note="asked")
    scene.voice(300)
    assert scene.call.dialogue.history == (CallerSaid("My tap leaks."),)


def test_the_note_of_a_heard_turn_comes_back_in_the_history():
    scene = thinking()
    scene.answer("When?", note="asked time")
    assert scene.call.dialogue.history[-1] == AgentSaid("When?", False, "asked time")


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


def test_silence_is_asked_about_once_and_then_ends_the_call():
    policy = Policy(greeting="", silence_ms=5_000)
    scene = started(policy)
    assert [say.text for say in only(c.Say, scene.hush(5_100))] == ["Are you still there?"]
    scene.speak("Are you still there?")
    scene.played()
    assert [say.text for say in only(c.Say, scene.hush(5_100))] == [policy.silence_closing]
    scene.speak(policy.silence_closing)
    assert only(c.HangUp, scene.played()) == [
        c.HangUp(Outcome(Disposition.SILENT, EndReason.SILENCE))
    ]


def test_a_tenant_may_let_silence_last():
    scene = started(Policy(greeting="", end_on_silence=False, silence_prompts=()))
    scene.hush(60_000)
    assert scene.call.phase is Phase.LISTENING


def test_words_after_the_prompt_start_the_patience_anew():
    scene = started(Policy(greeting="", silence_ms=5_000))
    scene.hush(5_100)
    scene.speak("Are you still there?")
    scene.played()
    scene.ask("Yes, sorry.")
    scene.answer("No problem.")
    out = scene.hush(5_100)
    assert [say.text for say in only(c.Say, out)] == ["Are you still there?"]


def test_the_time_limit_is_announced_and_kept():
    policy = Policy(greeting="", max_call_ms=20_000, silence_ms=60_000)
    scene = started(policy)
    out = scene.hush(20_100)
    assert [say.text for say in only(c.Say, out)] == [policy.max_call_closing]
    (hang_up,) = only(c.HangUp, scene.hush(policy.closing_ms + 100))  # the voice is dead
    assert hang_up.outcome == Outcome(Disposition.ANSWERED, EndReason.MAX_DURATION)


def test_closing_words_are_not_interrupted():
    scene = started(Policy(greeting="", max_call_ms=10_000))
    scene.ask()
    scene.hush(10_000)
    closing = scene.speak(Policy().max_call_closing)
    assert only(c.Play, closing)
    assert only(c.StopPlaying, scene.voice(500)) == []
    assert scene.do(e.DigitPressed("1")) == []


def test_pressed_keys_are_taken_together_after_a_pause():
    scene = started()
    scene.do(*(e.DigitPressed(digit) for digit in "555"))
    out = scene.hush(2_600)
    (think,) = only(c.Think, out)
    assert think.history == (CallerPressed("555"),)
    assert [line.text for line in only(c.Record, out)] == ["555"]


def test_the_hash_key_ends_an_entry_at_once():
    scene = started()
    out = scene.do(e.DigitPressed("4"), e.DigitPressed("#"))
    assert only(c.Think, out)[0].history == (CallerPressed("4#"),)


def test_the_answer_to_keys_is_measured_from_the_last_key():
    scene = started()
    scene.ask("Hello?")
    scene.answer("Your number?")
    scene.hush(4_000)
    scene.do(*(e.DigitPressed(digit) for digit in "55#"))
    scene.now += 300
    scene.reply("Thank you.")
    (measure,) = only(c.Measure, scene.speak("Thank you."))
    assert (measure.transcript_ms, measure.first_text_ms, measure.first_audio_ms) == (0, 300, 300)


def test_a_key_interrupts_the_agent():
    scene = speaking()
    out = scene.do(e.DigitPressed("1"))
    assert only(c.StopPlaying, out) == [c.StopPlaying()]
    assert scene.call.phase is Phase.LISTENING


def test_a_tool_runs_once_and_its_result_goes_back_to_the_model():
    scene = thinking()
    turn = scene.turn
    out = scene.do(
        e.ReplyText(turn, "One moment. "),
        e.ToolRequested(turn, "r1", "book_order", "{}"),
        e.ToolRequested(turn, "r1", "book_order", "{}"),
        e.ReplyEnded(turn),
    )
    assert only(c.RunTool, out) == [c.RunTool("r1", "book_order", "{}")]
    assert only(c.FinishSaying, out) == []
    (think,) = only(c.Think, scene.do(e.ToolReturned("r1", '{"order_id":"A"}', True)))
    assert think.turn == turn
    assert think.history[-1] == ToolUsed("r1", "book_order", "{}", '{"order_id":"A"}')
    assert only(c.FinishSaying, scene.reply("Booked.")) == [c.FinishSaying(turn)]


def test_a_booking_survives_the_turn_that_asked_for_it():
    scene = thinking()
    turn = scene.turn
    scene.do(e.ToolRequested(turn, "r1", "book_order", "{}"), e.ReplyEnded(turn))
    scene.voice(300)
    scene.do(e.ToolReturned("r1", '{"order_id":"A"}', True))
    scene.hush(300)
    scene.do(e.FinalTranscript("", 2))
    (think,) = only(c.Think, scene.hush(900))
    assert think.history[-1] == ToolUsed("r1", "book_order", "{}", '{"order_id":"A"}')
    (hang_up,) = only(c.HangUp, scene.do(e.MediaStopped(e.StopCause.CALLER_HUNG_UP)))
    assert hang_up.outcome == Outcome(Disposition.BOOKED, EndReason.CALLER_HUNG_UP)


def test_an_order_booked_during_the_goodbye_makes_the_call_booked():
    scene = thinking()
    turn = scene.turn
    scene.do(
        e.ReplyText(turn, "It is booked, goodbye."),
        e.ToolRequested(turn, "r1", "book_order", "{}"),
        e.ToolRequested(turn, "r2", "end_call", "{}"),
        e.ReplyEnded(turn),
        e.ToolReturned("r1", '{"order_id":"A"}', True),
        e.ReplyEnded(turn),
    )
    scene.speak("It is booked, goodbye.")
    assert only(c.HangUp, scene.played()) == [
        c.HangUp(Outcome(Disposition.BOOKED, EndReason.AGENT_GOODBYE))
    ]


def test_an_order_booked_during_closing_words_makes_the_call_booked():
    scene = thinking()
    scene.do(e.ToolRequested(scene.turn, "r1", "book_order", "{}"), e.ReplyEnded(scene.turn))
    scene.do(e.ServerClosing(), e.ToolReturned("r1", '{"order_id":"A"}', True))
    scene.speak(Policy().server_closing)
    assert only(c.HangUp, scene.played()) == [
        c.HangUp(Outcome(Disposition.BOOKED, EndReason.SERVER_CLOSING))
    ]


def test_a_transfer_stays_a_transfer_whatever_was_booked():
    scene = thinking()
    turn = scene.turn
    scene.do(e.ToolRequested(turn, "r1", "book_order", "{}"), e.ReplyEnded(turn))
    scene.do(e.ToolReturned("r1", '{"order_id":"A"}', True))
    scene.do(e.ToolRequested(turn, "r2", "transfer_call", "{}"), e.ReplyEnded(turn))
    assert only(c.HangUp, scene.do(e.SpeechEnded(turn))) == [
        c.HangUp(Outcome(Disposition.HANDED_OVER, EndReason.TRANSFER))
    ]


def test_a_turn_whose_tool_takes_long_is_not_given_up_once_its_first_words_are_played():
    scene = thinking()
    turn = scene.turn
    scene.do(
        e.ReplyText(turn, "One moment. "),
        e.ToolRequested(turn, "r1", "look_up", "{}"),
        e.ReplyEnded(turn),
    )
    scene.speak("One moment. ", ms=500, last=False)
    scene.hush(500)
    scene.played()
    assert only(c.Abandon, scene.hush(8_000)) == []
    assert [think.turn for think in only(c.Think, scene.do(e.ToolReturned("r1", "{}", True)))] == [
        turn
    ]


def test_tool_results_nobody_asked_for_are_ignored():
    scene = thinking()
    assert scene.do(e.ToolReturned("r9", "{}", True)) == []
    scene.do(e.ToolRequested(scene.turn, "r1", "x", "{}"), e.ReplyEnded(scene.turn))
    assert len(only(c.Think, scene.do(e.ToolReturned("r1", "{}", True)))) == 1
    assert scene.do(e.ToolReturned("r1", "{}", True)) == []


@pytest.mark.parametrize(
    ("tool", "outcome"),
    [
        ("end_call", Outcome(Disposition.ANSWERED, EndReason.AGENT_GOODBYE)),
        ("transfer_call", Outcome(Disposition.HANDED_OVER, EndReason.TRANSFER)),
    ],
)
def test_the_call_ends_once_the_last_words_were_heard(tool: str, outcome: Outcome):
    scene = thinking()
    turn = scene.turn
    scene.do(
        e.ReplyText(turn, "Goodbye."),
        e.ToolRequested(turn, "r1", tool, "{}"),
        e.ReplyEnded(turn),
    )
    assert only(c.HangUp, scene.speak("Goodbye.")) == []
    assert only(c.HangUp, scene.played()) == [c.HangUp(outcome)]


def test_one_more_thing_after_the_goodbye_keeps_the_call():
    scene = thinking()
    turn = scene.turn
    scene.do(
        e.ReplyText(turn, "Goodbye."),
        e.ToolRequested(turn, "r1", "end_call", "{}"),
        e.ReplyEnded(turn),
    )
    scene.speak("Goodbye.")
    scene.voice(400)
    scene.hush(300)
    scene.do(e.FinalTranscript("Wait, one more thing!", 2))
    assert len(only(c.Think, scene.hush(900))) == 1


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (e.StopCause.CALLER_HUNG_UP, EndReason.CALLER_HUNG_UP),
        (e.StopCause.STREAM_LOST, EndReason.STREAM_LOST),
        (e.StopCause.CARRIER_ENDED, EndReason.CARRIER_ENDED),
    ],
)
@pytest.mark.parametrize("scene_of", [Scene, started, thinking, speaking])
def test_a_caller_may_hang_up_in_any_state(scene_of, cause: e.StopCause, reason: EndReason):
    scene = scene_of()
    out = scene.do(e.MediaStopped(cause))
    assert only(c.HangUp, out) == [c.HangUp(Outcome(Disposition.ABANDONED, reason))]
    assert type(out[-1]) is c.HangUp
    assert scene.call.phase is Phase.ENDED
    assert scene.call.deadline is None
    assert scene.do(e.AudioHeard(b"", 0, 0), e.MediaStarted(), e.TimePassed()) == []


def test_hanging_up_during_the_goodbye_is_a_normal_end():
    scene = thinking()
    turn = scene.turn
    scene.do(
        e.ReplyText(turn, "Goodbye."),
        e.ToolRequested(turn, "r1", "end_call", "{}"),
        e.ReplyEnded(turn),
    )
    (hang_up,) = only(c.HangUp, scene.do(e.MediaStopped(e.StopCause.CALLER_HUNG_UP)))
    assert hang_up.outcome == Outcome(Disposition.ANSWERED, EndReason.CALLER_HUNG_UP)


def test_hanging_up_during_a_transfer_leaves_nobody_to_transfer():
    scene = thinking()
    turn = scene.turn
    scene.do(e.ToolRequested(turn, "r1", "transfer_call", "{}"), e.ReplyEnded(turn))
    (hang_up,) = only(c.HangUp, scene.do(e.MediaStopped(e.StopCause.CALLER_HUNG_UP)))
    assert hang_up.outcome.disposition is Disposition.ABANDONED


def test_a_closing_server_says_goodbye():
    scene = speaking()
    out = scene.do(e.ServerClosing())
    assert [say.text for say in only(c.Say, out)] == [Policy().server_closing]
    assert only(c.StopPlaying, out) == [c.StopPlaying()]


def test_a_closing_server_ends_a_call_that_never_began():
    (hang_up,) = only(c.HangUp, Scene().do(e.ServerClosing()))
    assert hang_up.outcome.reason is EndReason.SERVER_CLOSING


def test_a_carrier_that_returns_no_marks_does_not_hold_up_the_call():
    scene = speaking("one two three four")
    (line,) = only(c.Record, scene.hush(5_000))
    assert (line.speaker, line.text) == ("agent", "one two three four")
    assert scene.call.phase is Phase.LISTENING


def test_every_heard_line_is_shown_to_the_scam_detector():
    scene = started()
    scene.ask("Hello?")
    scene.answer("Good day.")
    segments = [command.segment for command in only(c.AssessRisk, scene.all)]
    assert [(s.number, s.speaker, s.text) for s in segments] == [
        (0, "caller", "Hello?"),
        (1, "agent", "Good day."),
    ]


def test_an_agent_may_go_without_the_scam_shield():
    scene = started(Policy(greeting="", detect_scams=False))
    scene.ask("Hello?")
    scene.do(e.PartialTranscript("Buy gift cards."))
    assert only(c.AssessRisk, scene.all) == only(c.PreviewRisk, scene.all) == []


def test_a_scam_is_noticed_before_the_sentence_is_over():
    scene = started()
    (preview,) = only(c.PreviewRisk, scene.do(e.PartialTranscript("Buy gift cards and")))
    tail = preview.segment
    assert (tail.number, tail.speaker, tail.text) == (0, "caller", "Buy gift cards and")
    out = scene.do(e.RiskAssessed(view(Severity.HIGH), tail))
    assert only(c.Warn, out) == [c.Warn(view(Severity.HIGH))]
    assert [(r.segments, r.final) for r in only(c.RecordRisk, out)] == [((tail,), False)]


def test_a_call_is_not_ended_for_words_that_may_be_taken_back():
    scene = started()
    (preview,) = only(c.PreviewRisk, scene.do(e.PartialTranscript("Buy gift cards")))
    out = scene.do(e.RiskAssessed(view(Severity.CRITICAL), preview.segment))
    assert only(c.Say, out) == []
    scene.utter("Buy gift cards.")
    out = scene.do(e.RiskAssessed(view(Severity.CRITICAL)))
    assert [say.text for say in only(c.Say, out)] == [Policy().scam_closing]


def test_a_new_band_of_risk_is_stored_and_the_last_word_too():
    scene = started()
    scene.ask("Buy gift cards.")
    out = scene.do(e.RiskAssessed(view(Severity.MEDIUM)))
    assert [(r.assessment.severity, r.final) for r in only(c.RecordRisk, out)] == [
        (Severity.MEDIUM, False)
    ]
    assert only(c.RecordRisk, out)[0].segments[0].text == "Buy gift cards."
    assert only(c.RecordRisk, scene.do(e.RiskAssessed(view(Severity.MEDIUM, 1)))) == []
    out = scene.do(e.MediaStopped(e.StopCause.CALLER_HUNG_UP))
    assert [r.final for r in only(c.RecordRisk, out)] == [True]


def test_a_critical_risk_closes_the_call_safely():
    scene = speaking()
    out = scene.do(e.RiskAssessed(view(Severity.CRITICAL)))
    assert [say.text for say in only(c.Say, out)] == [Policy().scam_closing]
    scene.speak(Policy().scam_closing)
    assert only(c.HangUp, scene.played()) == [c.HangUp(Outcome(Disposition.SCAM, EndReason.SCAM))]


def test_a_high_risk_warns_the_protected_person_once():
    scene = started()
    out = scene.do(e.RiskAssessed(view(Severity.HIGH)))
    assert only(c.Warn, out) == [c.Warn(view(Severity.HIGH))]
    assert only(c.Warn, scene.do(e.RiskAssessed(view(Severity.LOW, 1)))) == []
    assert only(c.Warn, scene.do(e.RiskAssessed(view(Severity.HIGH, 2)))) == []


def test_a_suspect_is_asked_who_calls_before_the_agent_goes_on():
    scene = started()
    scene.utter("Read me the code, please.")
    scene.do(e.RiskAssessed(view(Severity.HIGH)))
    out = scene.hush(1_000)
    assert [say.text for say in only(c.Say, out)] == [Policy().scam_challenge]
    assert only(c.Think, out) == []
    scene.speak(Policy().scam_challenge)
    scene.played()
    assert only(c.Think, scene.hush(2_000)) == []  # the answer is the caller's to give
    think = scene.ask("I'm from the bank.")
    assert [type(entry).__name__ for entry in think.history] == [
        "CallerSaid",
        "AgentSaid",
        "CallerSaid",
    ]


def test_sensitive_tools_are_refused_to_a_suspect():
    scene = thinking()
    scene.do(e.RiskAssessed(view(Severity.HIGH)))
    out = scene.do(
        e.ToolRequested(scene.turn, "r1", "look_up_order", "{}"),
        e.ToolRequested(scene.turn, "r2", "take_message", "{}"),
    )
    assert out == [c.RefuseTool("r1"), c.RunTool("r2", "take_message", "{}")]


def test_a_tenant_may_have_suspects_handed_to_a_human():
    policy = Policy(greeting="", hand_over_at=Severity.HIGH)
    scene = started(policy)
    out = scene.do(e.RiskAssessed(view(Severity.HIGH)))
    assert [say.text for say in only(c.Say, out)] == [policy.scam_hand_over]
    scene.speak(policy.scam_hand_over)
    assert only(c.HangUp, scene.played()) == [
        c.HangUp(Outcome(Disposition.HANDED_OVER, EndReason.SCAM))
    ]


def test_a_tenant_may_switch_every_step_of_the_ladder_off():
    never = dict.fromkeys(("warn_at", "verify_at", "block_at", "hand_over_at", "end_at"))
    scene = thinking(Policy(greeting="", **never))
    out = scene.do(e.RiskAssessed(view(Severity.CRITICAL)))
    assert [type(command) for command in out] == [c.RecordRisk, c.Publish]


def test_one_detector_alone_never_ends_a_call():
    scene = speaking()
    out = scene.do(e.RiskAssessed(view(Severity.CRITICAL, detectors=1)))
    assert only(c.Say, out) == []


def test_a_tenant_may_only_be_told_of_scams():
    scene = speaking(policy=Policy(greeting="", end_at=None))
    assert only(c.Say, scene.do(e.RiskAssessed(view(Severity.CRITICAL)))) == []


def test_costs_are_booked_as_they_come_and_the_carriers_minutes_at_the_end():
    tariff = (Rate("tts", 3, 2), Rate("line", 8_500, 1))
    scene = started(Policy(greeting="", tariff=tariff, carrier_items=("line",)))
    assert scene.do(e.Consumed("tts", 3)) == [c.Book("tts", 3, 5)]
    assert scene.do(e.Consumed("unknown", 7)) == [c.Book("unknown", 7, 0)]
    scene.now = 61_000
    scene.do(e.MediaStopped(e.StopCause.CALLER_HUNG_UP))
    assert only(c.Book, scene.all)[-1] == c.Book("line", 2, 17_000)
    assert scene.call.record.meter.micro_usd == sum(b.micro_usd for b in only(c.Book, scene.all))


def test_the_published_state_tells_who_speaks_and_what_was_heard():
    scene = started()
    scene.voice(200)
    scene.do(e.PartialTranscript("My t"))
    state = only(c.Publish, scene.all)[-1].state
    assert (state.speaking, state.partial, state.phase) == ("caller", "My t", "listening")
    scene.hush(300)
    scene.do(e.FinalTranscript("My tap leaks.", 1))
    scene.hush(900)
    scene.answer("When?")
    state = only(c.Publish, scene.all)[-1].state
    assert [(line.speaker, line.text) for line in state.lines] == [
        ("caller", "My tap leaks."),
        ("agent", "When?"),
    ]
    assert state.latency_ms > 0
    sequences = [publish.state.sequence for publish in only(c.Publish, scene.all)]
    assert sequences == sorted(set(sequences))


def test_an_unchanged_partial_is_not_published_again():
    scene = started()
    assert len(only(c.Publish, scene.do(e.PartialTranscript("Hi")))) == 1
    assert scene.do(e.PartialTranscript("Hi")) == []


def test_every_phase_leads_to_the_end_and_none_leaves_it():
    for phase, targets in MOVES.items():
        assert (Phase.ENDED in targets) == (phase is not Phase.ENDED)


def test_a_million_silent_frames_cost_no_memory_and_end_no_call():
    scene = started(
        Policy(greeting="", end_on_silence=False, max_call_ms=10**9, silence_prompts=())
    )
    frame = e.AudioHeard(b"", 0, 0)
    for _ in range(1_000_000):
        scene.call.handle(frame, 0)
    assert scene.call.phase is Phase.LISTENING


def test_a_call_that_is_given_up_has_failed_and_asks_for_nothing_more():
    scene = speaking()
    scene.call.give_up()
    assert (scene.call.phase, scene.call.outcome) == (Phase.ENDED, FAILED)
    assert scene.call.deadline is None
    assert scene.voice() == []


# Silence that nothing explains


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
