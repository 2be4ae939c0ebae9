"""The driver among fake partners, in virtual time."""

from __future__ import annotations

import asyncio
import logging

import pytest

from db.rows import LineSaid, SessionEnded, StatusChanged, TurnMeasured
from detectors.assessment import Assessment, Severity
from tests.runtime.fakes import (
    CALM,
    LOUD,
    PRIVATE,
    Bug,
    EagerLine,
    FakeEars,
    FakeLine,
    FakeLog,
    FakeMind,
    FakeMirror,
    FakeScorer,
    FakeToolbox,
    FakeVoice,
    Stage,
)
from voice_server.call import Call, Phase, Policy
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.errors import ServiceRejected, ServiceUnavailable

GREETING = Policy(greeting="Hello.")
SILENT = Policy(greeting="")
DOWN = ServiceUnavailable("acme", "no answer within 5 s")


async def greeted(**partners: object) -> Stage:
    """The agent has greeted and listens."""
    stage = Stage(GREETING, **partners)
    stage.start()
    await stage.hush(1_000)
    assert stage.call.phase is Phase.LISTENING
    return stage


async def asked(**partners: object) -> Stage:
    """The caller has said something and the agent thinks, or has begun to answer."""
    partners.setdefault("ears", FakeEars("My tap leaks."))
    stage = await greeted(**partners)
    await stage.speak()
    await stage.hush(1_100)
    return stage


def ended(stage: Stage) -> SessionEnded:
    """The one last row of the call."""
    last = [row for row in stage.rows if isinstance(row, SessionEnded)]
    assert len(last) == 1
    assert stage.rows[-1] is last[0]
    return last[0]


# What a call does


def test_a_call_is_greeted_heard_answered_and_booked(virtual):
    async def scene() -> None:
        stage = await asked(mind=FakeMind(["We can ", "fix that."]))
        await stage.hush(1_500)
        await stage.hang_up()
        lines = [(row.speaker, row.text) for row in stage.of(LineSaid)]
        assert lines == [
            ("agent", "Hello."), ("caller", "My tap leaks."), ("agent", "We can fix that."),
        ]  # fmt: skip
        assert stage.mind.asked[0].facts.call_id == "call-1"
        assert ended(stage).outcome == "abandoned"
        assert ended(stage).turns == 2
        assert stage.activity.closed
        assert not stage.ears.open

    virtual(scene())


def test_commands_are_obeyed_in_their_order(virtual):
    async def scene() -> None:
        stage = await greeted()
        await stage.hang_up()
        assert stage.line.orders == ["play", "mark"]
        kinds = [type(row).__name__ for row in stage.rows]
        assert kinds == [
            "StatusChanged",
            "CostBooked",
            "TurnMeasured",
            "LineSaid",
            "ScamDetected",
            "ScamDetected",
            "SessionEnded",
        ]  # fmt: skip

    virtual(scene())


def test_an_order_that_feeds_back_is_taken_after_the_orders_before_it(virtual):
    async def scene() -> None:
        line = EagerLine()
        stage = Stage(GREETING, line=line)
        stage.start()
        await asyncio.sleep(1)
        await stage.hang_up()
        marks = stage.log.events(e.MarkPlayed)
        speech = stage.log.events(e.SpeechReady)
        assert len(marks) == len(speech) == 1
        events = [event for _, event, _ in stage.log.entries]
        assert events.index(marks[0][1]) == events.index(speech[0][1]) + 1
        assert [row.text for row in stage.of(LineSaid)] == ["Hello."]

    virtual(scene())


def test_events_before_run_begins_are_not_lost(virtual):
    async def scene() -> None:
        stage = Stage(SILENT)
        stage.start()
        stage.driver.feed(e.AudioHeard(LOUD, 40, 0))
        assert not stage.ears.open
        await asyncio.sleep(0.01)
        assert stage.ears.pushed == [LOUD]
        await stage.hang_up()

    virtual(scene())


def test_nothing_is_fed_to_a_call_that_has_ended(virtual):
    async def scene() -> None:
        stage = await greeted()
        await stage.hang_up()
        entries = len(stage.log.entries)
        stage.driver.feed(e.AudioHeard(LOUD, 40, 0))
        stage.driver.feed(e.MediaStopped(e.StopCause.STREAM_LOST))
        assert len(stage.log.entries) == entries
        ended(stage)

    virtual(scene())


def test_scores_of_the_voice_model_reach_the_call(virtual):
    async def scene() -> None:
        stage = await greeted()
        stage.activity.score(73)
        await stage.hang_up()
        assert [event for _, event in stage.log.events(e.VoiceScored)] == [e.VoiceScored(73)]
        assert stage.activity.pushed == 50

    virtual(scene())


# The timer


def test_time_passes_at_the_deadline_and_never_before_it(virtual):
    async def scene() -> None:
        stage = Stage(Policy(greeting="", silence_ms=2_345))
        stage.start()
        for _ in range(5):  # not a whole number of milliseconds away
            await asyncio.sleep(0.1234567)
            stage.driver.feed(e.PartialTranscript("hm"))
        await asyncio.sleep(3)
        passed = stage.log.events(e.TimePassed)
        assert passed[0][0] == 2_345
        await stage.hang_up()

    virtual(scene())


def test_the_timer_follows_the_deadline_when_it_moves(virtual):
    async def scene() -> None:
        stage = Stage(Policy(greeting="", silence_ms=2_000, end_on_silence=False))
        stage.start()
        await stage.hush(1_500)
        await stage.speak(600)  # moves the deadline away
        assert stage.log.events(e.TimePassed) == []
        await stage.hush(3_000)
        times = [now for now, _ in stage.log.events(e.TimePassed)]
        assert times
        assert min(times) > 2_100
        await stage.hang_up()

    virtual(scene())


def test_a_call_without_sound_ends_by_itself(virtual):
    async def scene() -> None:
        stage = Stage(GREETING)
        stage.start()
        async with asyncio.timeout(120):
            await stage.life
        assert ended(stage).outcome == "silent"
        assert stage.call.deadline is None

    virtual(scene())


def test_times_in_the_log_never_fall(virtual):
    async def scene() -> None:
        stage = await asked()
        await stage.hush(2_000)
        await stage.hang_up()
        times = [now for now, _, _ in stage.log.entries]
        assert times == sorted(times)

    virtual(scene())


# Turns that are abandoned


def test_talking_over_the_agent_stops_its_work_and_its_sound(virtual):
    async def scene() -> None:
        mind = FakeMind(["This is a long answer that takes its time. ", 5.0, "And more."])
        stage = await asked(mind=mind)
        await stage.hush(700)
        assert stage.call.phase is Phase.SPEAKING
        await stage.speak(600)
        await stage.hush(100)
        assert stage.line.orders[-1] == "clear"
        assert mind.cancelled == [2]
        said = [row for row in stage.of(LineSaid) if row.speaker == "agent"]
        assert said[-1].unheard
        await stage.hang_up()

    virtual(scene())


def test_late_words_of_an_abandoned_turn_change_nothing(virtual):
    async def scene() -> None:
        stage = await asked(mind=FakeMind([10.0, "Too late."]))
        turn = stage.call.agent.number
        await stage.speak(400)  # the caller goes on: the turn is abandoned
        before = len(stage.voice.said)
        stage.driver.feed(e.ReplyText(turn, "Late. "))
        stage.driver.feed(e.SpeechReady(turn, LOUD, "Late."))
        stage.driver.feed(e.SpeechEnded(turn))
        assert len(stage.voice.said) == before
        assert stage.line.orders == ["play", "mark"]  # the greeting
        await stage.hang_up()

    virtual(scene())


def test_a_cancelled_turn_leaves_no_task_even_in_the_middle_of_speech(virtual):
    async def scene() -> None:
        stage = await asked(mind=FakeMind(["One. ", 9.0]), voice=FakeVoice(first_audio_s=0.1))
        await stage.hush(600)
        await stage.speak(400)
        await asyncio.sleep(0)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert "call-1 language_model" not in names
        assert "call-1 voice" not in names
        await stage.hang_up()

    virtual(scene())


# Partners that fail


def test_a_transcriber_that_cannot_be_opened_ends_the_call_with_an_apology(virtual):
    async def scene() -> None:
        stage = Stage(GREETING, ears=FakeEars(refuses=DOWN, opens_after_s=0.5))
        stage.start()
        async with asyncio.timeout(60):
            await stage.life
        assert ended(stage).outcome == "failed"
        assert ended(stage).status == "failed"
        assert GREETING.failure_closing.startswith(stage.voice.said[-1][1])

    virtual(scene())


@pytest.mark.parametrize("error", [DOWN, ServiceRejected("acme", "no"), Bug(PRIVATE)])
def test_a_transcriber_lost_in_the_call_is_told_to_the_core(virtual, caplog, error):
    async def scene() -> None:
        stage = await asked(ears=FakeEars("hi", breaks=error))
        async with asyncio.timeout(60):
            await stage.life
        failed = [event for _, event in stage.log.events(e.PartFailed)]
        retryable = isinstance(error, ServiceUnavailable)
        assert failed == [e.PartFailed(e.Part.TRANSCRIBER, 0, retryable)]
        assert ended(stage).outcome == "failed"

    virtual(scene())
    assert PRIVATE not in caplog.text


def test_a_bug_in_opening_the_transcriber_takes_down_the_call_only(virtual, caplog):
    async def scene() -> None:
        stage = Stage(GREETING, ears=FakeEars(refuses=Bug(PRIVATE)))
        stage.start()
        async with asyncio.timeout(60):
            await stage.life
        assert ended(stage).outcome == "failed"

    with caplog.at_level(logging.DEBUG):
        virtual(scene())
    assert "a bug in a call" in caplog.text
    assert PRIVATE not in caplog.text


def test_a_model_that_fails_once_costs_an_apology_and_twice_the_call(virtual):
    async def scene() -> None:
        stage = await asked(ears=FakeEars("Hi.", "Again."), mind=FakeMind([DOWN], [DOWN]))
        await stage.hush(4_500)
        assert GREETING.apology in " ".join(text for _, text in stage.voice.said)
        await stage.speak()
        async with asyncio.timeout(60):
            await stage.hush(2_000)
            await stage.life
        # speech in between has mended the count, so the second failure was a first one again,
        # and the silence after it ended the call
        assert ended(stage).outcome in {"failed", "silent"}
        assert len(stage.log.events(e.PartFailed)) == 2

    virtual(scene())


@pytest.mark.parametrize("words", [["Half a"], []])
def test_a_bug_in_the_model_is_an_event_and_leaves_no_words_in_the_log(virtual, caplog, words):
    async def scene() -> None:
        stage = await asked(mind=FakeMind([*words, Bug(PRIVATE)]))
        await stage.hush(500)
        failed = [event for _, event in stage.log.events(e.PartFailed)]
        assert failed == [e.PartFailed(e.Part.LANGUAGE_MODEL, 2, False)]
        await stage.hang_up()

    virtual(scene())
    assert PRIVATE not in caplog.text
    record = next(r for r in caplog.records if r.message == "a bug in a call")
    assert record.kind == "Bug"
    assert record.at.startswith("FakeMind.reply:")


def test_a_voice_that_is_lost_ends_the_call_without_closing_words(virtual):
    async def scene() -> None:
        stage = Stage(GREETING, voice=FakeVoice(fails=[DOWN, DOWN, DOWN, DOWN]))
        stage.start()
        async with asyncio.timeout(60):
            await stage.life
        assert ended(stage).outcome == "failed"
        assert stage.line.orders == []

    virtual(scene())


def test_a_model_that_forgets_to_end_its_reply_is_ended_by_the_driver(virtual):
    async def scene() -> None:
        stage = await asked(mind=FakeMind(["Fine."]))
        await stage.hush(1_500)
        assert stage.call.phase is Phase.LISTENING
        await stage.hang_up()

    virtual(scene())


def test_a_scorer_that_fails_is_only_logged_and_asked_again(virtual):
    async def scene() -> None:
        stage = await asked(scorer=FakeScorer(Bug(PRIVATE), CALM, takes_s=0.01))
        await stage.hush(1_500)
        assert len(stage.scorer.batches) == 3
        assert len(stage.log.events(e.RiskAssessed)) == 2
        await stage.hang_up()
        assert ended(stage).outcome == "abandoned"

    virtual(scene())


def test_segments_that_come_while_the_scorer_works_are_shown_together(virtual):
    async def scene() -> None:
        stage = await greeted(ears=FakeEars("One.", "Two."), scorer=FakeScorer(takes_s=6.0))
        for _ in range(2):
            await stage.speak(400)
            await stage.hush(1_600)
        await stage.hush(3_000)
        sizes = [len(batch) for batch in stage.scorer.batches]
        assert sizes[0] == 1
        assert sizes[1] >= 2
        numbers = [segment.number for batch in stage.scorer.batches for segment in batch]
        assert numbers == list(range(len(numbers)))
        await stage.hang_up()

    virtual(scene())


def test_the_shield_ends_a_call(virtual):
    async def scene() -> None:
        critical = Assessment(0.97, 0.9, Severity.CRITICAL, 1, "gift_card", ("pattern", "model"))
        stage = await asked(scorer=FakeScorer(CALM, critical))
        async with asyncio.timeout(60):
            await stage.life
        assert ended(stage).outcome == "scam"
        assert ended(stage).severity == "critical"

    virtual(scene())


# Bugs in partners that are called synchronously


@pytest.mark.parametrize("greeting", ["Hello.", ""])
def test_a_bug_in_the_line_ends_its_call_as_failed(virtual, caplog, greeting):
    async def scene() -> None:
        stage = Stage(
            Policy(greeting=greeting), line=FakeLine(breaks=Bug(PRIVATE)), ears=FakeEars("Hi.")
        )
        stage.start()
        await stage.hush(500)
        await stage.speak()
        await stage.hush(2_000)
        async with asyncio.timeout(60):
            await stage.life
        assert ended(stage).outcome == "failed"
        assert stage.mirror.states[-1].outcome == "failed"

    virtual(scene())
    assert PRIVATE not in caplog.text


def test_a_bug_in_every_publication_still_gives_the_call_its_last_row(virtual, caplog):
    async def scene() -> None:
        stage = Stage(GREETING, mirror=FakeMirror(breaks=Bug(PRIVATE)))
        stage.start()
        async with asyncio.timeout(60):
            await stage.life
        assert ended(stage).status == "failed"

    virtual(scene())
    assert PRIVATE not in caplog.text


class BrokenCall(Call):
    """A core with a bug: keys are too much for it."""

    def handle(self, event: e.Event, now: int):
        if isinstance(event, e.DigitPressed):
            raise Bug(PRIVATE)
        return super().handle(event, now)


def test_a_bug_in_the_core_ends_its_call_as_failed(virtual, caplog):
    async def scene() -> None:
        stage = await greeted(call=BrokenCall(GREETING))
        stage.driver.feed(e.DigitPressed("1"))
        async with asyncio.timeout(60):
            await stage.life
        assert ended(stage).outcome == "failed"

    virtual(scene())
    assert PRIVATE not in caplog.text
    assert "a bug in a call" in caplog.text


def test_a_full_disk_costs_the_journal_and_not_the_call(virtual, caplog):
    async def scene() -> None:
        stage = await greeted(log=FakeLog(full_after=3))
        await stage.hang_up()
        assert ended(stage).outcome == "abandoned"
        assert ended(stage).journal == ""
        assert stage.log.closed == 1

    virtual(scene())
    assert "a journal is lost" in caplog.text


def test_a_journal_that_cannot_be_closed_is_logged(virtual, caplog):
    async def scene() -> None:
        stage = await greeted(log=FakeLog(full_after=1_000))
        await stage.hang_up()
        assert ended(stage).journal == "a.journal"

    virtual(scene())
    assert "a journal has no end" in caplog.text


# Ears that open late


def test_frames_and_commits_wait_in_order_until_the_transcriber_is_open(virtual):
    async def scene() -> None:
        stage = Stage(SILENT, ears=FakeEars("Hi.", opens_after_s=1.0))
        stage.start()
        await stage.speak(400)
        await stage.hush(300)
        assert stage.ears.pushed == []
        await stage.hush(400)
        assert stage.ears.committed == [1]
        at = stage.ears.order.index("commit 1")
        assert 20 < at < len(stage.ears.order) - 1
        await stage.hang_up()

    virtual(scene())


def test_at_most_two_seconds_of_early_audio_are_kept(virtual):
    async def scene() -> None:
        stage = Stage(SILENT, ears=FakeEars(opens_after_s=4.99))
        stage.start()
        await stage.hush(5_000)
        assert len(stage.ears.pushed) == 101
        await stage.hang_up()

    virtual(scene())


# Tools


def booking(*then: object) -> FakeMind:
    return FakeMind(["One moment. ", ("r1", "book_order", "{}"), *then], ["Booked. Goodbye."])


def test_a_tool_runs_and_the_model_goes_on_with_its_result(virtual):
    async def scene() -> None:
        stage = await asked(mind=booking())
        await stage.hush(3_000)
        assert [request.turn for request in stage.mind.asked] == [2, 2]
        used = stage.mind.asked[1].history[-1]
        assert used.result == '{"order_id": "ORD-1"}'
        assert stage.call.agent.booked
        await stage.hang_up()
        assert ended(stage).outcome == "booked"

    virtual(scene())


@pytest.mark.parametrize(
    "toolbox",
    [
        FakeToolbox(fails=DOWN),
        FakeToolbox(fails=Bug(PRIVATE)),
        FakeToolbox(result="not json"),
        FakeToolbox(result="[]"),
        FakeToolbox(result='{"error": {"problem": "no such day"}}'),
    ],
    ids=["service down", "bug", "nonsense", "no object", "refusal"],
)
def test_a_tool_that_fails_is_a_result_the_model_can_read(virtual, caplog, toolbox):
    async def scene() -> None:
        stage = await asked(mind=booking(), toolbox=toolbox)
        await stage.hush(3_000)
        used = stage.mind.asked[1].history[-1]
        assert used.result is not None
        assert '"error"' in used.result
        assert not stage.call.agent.booked
        assert stage.log.events(e.PartFailed) == []
        await stage.hang_up()

    virtual(scene())
    assert PRIVATE not in caplog.text


def test_a_tool_finishes_after_the_caller_has_hung_up(virtual):
    async def scene() -> None:
        stage = await asked(mind=booking(), toolbox=FakeToolbox(takes_s=5.0))
        await stage.hush(300)
        assert stage.toolbox.begun == ["r1"]
        await stage.hang_up()
        assert stage.toolbox.done == ["r1"]
        ended(stage)

    virtual(scene())


def test_a_tool_that_never_ends_is_given_up_some_time_after_the_call(virtual):
    async def scene() -> None:
        stage = await asked(mind=booking(), toolbox=FakeToolbox(takes_s=1e9))
        await stage.hush(300)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await stage.hang_up()
        assert 5 < loop.time() - began < 15
        assert stage.toolbox.done == []

    virtual(scene())


# Cancellation


@pytest.mark.parametrize("seconds", [0.0, 0.5, 3.0, 4.0])
def test_a_cancelled_run_leaves_no_task_and_one_last_row(virtual, seconds):
    async def scene() -> None:
        mind = FakeMind(["A long answer, with a tool. ", ("r1", "book_order", "{}"), 5.0])
        stage = Stage(GREETING, ears=FakeEars("Hi."), mind=mind, toolbox=FakeToolbox(takes_s=60.0))
        stage.start()
        talk = asyncio.ensure_future(_talk(stage))
        await asyncio.sleep(seconds)
        talk.cancel()
        loop = asyncio.get_running_loop()
        began = loop.time()
        stage.life.cancel()
        stage.line.hang_up()
        with pytest.raises(asyncio.CancelledError):
            await stage.life
        assert loop.time() - began < 0.1
        assert ended(stage).reason == "stream_lost"
        assert stage.log.closed == 1

    virtual(scene())


def test_a_call_cancelled_while_a_human_is_rung_has_its_last_row_too(virtual):
    async def scene() -> None:
        policy = Policy(greeting="Hello.", transfer_wait_ms=60_000)
        wish = [("r1", "transfer_call", "{}")]
        stage = Stage(policy, ears=FakeEars("A human, please."), mind=FakeMind(wish))
        stage.start()
        await stage.hush(1_000)
        await stage.speak()
        await stage.hush(1_500)
        assert stage.call.phase is Phase.TRANSFERRING
        stage.life.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stage.life
        assert ended(stage).reason == "server_closing"

    virtual(scene())


async def _talk(stage: Stage) -> None:
    await stage.hush(1_000)
    await stage.speak()
    await stage.hush(10_000)


def test_a_call_cancelled_while_the_transcriber_opens_is_over_too(virtual):
    async def scene() -> None:
        stage = Stage(GREETING, ears=FakeEars(opens_after_s=60.0))
        stage.start()
        await asyncio.sleep(1.0)
        stage.life.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stage.life
        ended(stage)
        assert stage.call.phase is Phase.ENDED

    virtual(scene())


def test_a_call_cancelled_while_it_apologises_for_lost_ears_is_over_too(virtual):
    async def scene() -> None:
        stage = Stage(GREETING, ears=FakeEars(refuses=DOWN))
        stage.start()
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        stage.life.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stage.life
        assert loop.time() - began < 0.1
        ended(stage)

    virtual(scene())


def test_the_answer_is_measured_from_the_end_of_the_callers_words(virtual):
    async def scene() -> None:
        stage = await asked(mind=FakeMind([0.3, "Fine."]))
        await stage.hush(2_000)
        await stage.hang_up()
        measured = stage.of(TurnMeasured)[-1]
        policy = stage.call.policy
        assert measured.first_text_ms == pytest.approx(policy.end_of_turn_ms + 300, abs=60)
        assert measured.first_audio_ms == pytest.approx(measured.first_text_ms + 200, abs=30)
        assert [row.status for row in stage.of(StatusChanged)] == ["answered"]
        commands = [m for _, _, ms in stage.log.entries for m in ms if isinstance(m, c.Measure)]
        assert len(commands) == len(stage.of(TurnMeasured)) == 2

    virtual(scene())
