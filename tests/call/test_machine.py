"""The call as a whole: what it does, told as scenes."""

from __future__ import annotations

from tests.call.scenes import GREETING, Scene, only, speaking, started, thinking, without
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


def test_the_note_of_a_turn_nobody_heard_is_forgotten():
    scene = thinking()
    scene.reply("We can fix that.", note="asked")
    scene.voice(300)
    assert scene.call.dialogue.history == (CallerSaid("My tap leaks."),)


def test_the_note_of_a_heard_turn_comes_back_in_the_history():
    scene = thinking()
    scene.answer("When?", note="asked time")
    assert scene.call.dialogue.history[-1] == AgentSaid("When?", False, "asked time")


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
