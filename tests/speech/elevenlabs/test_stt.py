from __future__ import annotations

import asyncio

import pytest

from tests.speech.conftest import FACTS
from tests.speech.elevenlabs.conftest import access, ears, now
from voice_server.call.events import FinalTranscript
from voice_server.errors import ServiceRejected, ServiceUnavailable
from voice_server.speech.elevenlabs import CommitStrategy, EarsConfig, ElevenLabsSpeechToText
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs import Quirks, open_elevenlabs
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection

VAD = EarsConfig(commit_strategy=CommitStrategy.VAD)


def test_a_commit_is_answered_with_the_words_before_it(virtual):
    async def main():
        async with ears() as (lab, ear, _):
            number = await ear.say("I need a plumber")
            await asyncio.sleep(0.5)
            assert ear.finals == [FinalTranscript("I need a plumber", number)]
            assert ear.answered_after(number) == pytest.approx(lab.delays.final_s, abs=0.01)

    virtual(main())


def test_partials_come_while_the_caller_speaks_and_never_twice(virtual):
    async def main():
        async with ears(quirks=Quirks(repeat_partials=True)) as (_, ear, _):
            await ear.play(sound.spoken("one two three four five six"))
            await ear.play(sound.SILENCE * 100)
            assert ear.partials[0] == "one two"
            assert ear.partials[-1] == "one two three four five six"
            assert len(ear.partials) == len(set(ear.partials))

    virtual(main())


def test_audio_is_sent_in_portions_of_80_ms_without_being_decoded(virtual):
    async def main():
        async with ears() as (lab, ear, _):
            await asyncio.sleep(0.1)
            await ear.play(sound.SILENCE * 3)
            assert lab.meter.items == {}
            await ear.play(sound.SILENCE)
            assert lab.meter.items == {"elevenlabs.stt.scribe_v2_realtime.milliseconds": 80}

    virtual(main())


def test_words_spoken_while_the_socket_opens_are_not_lost(virtual):
    async def main():
        slow = FaultPlan({1: Injection(Fault.SLOW_FIRST_BYTE, delay_s=1.0)})
        async with ears(ears_faults=slow) as (_, ear, _):
            number = await ear.say("hello there")
            await asyncio.sleep(1.5)
            assert ear.finals == [FinalTranscript("hello there", number)]

    virtual(main())


def test_utterances_are_answered_in_order_each_once(virtual):
    async def main():
        async with ears() as (_, ear, _):
            for text in ("one", "two", "three"):
                await ear.say(text, pause_ms=40)
            await asyncio.sleep(1)
            assert [(f.utterance, f.text) for f in ear.finals] == [
                (1, "one"), (2, "two"), (3, "three"),
            ]  # fmt: skip

    virtual(main())


def test_the_enriched_copy_of_a_commit_is_no_second_answer(virtual):
    async def main():
        async with ears(quirks=Quirks(twin_commits=True)) as (_, ear, _):
            await ear.say("yes please")
            await asyncio.sleep(0.3)
            await ear.say("yes please")
            await asyncio.sleep(0.5)
            assert [(f.utterance, f.text) for f in ear.finals] == [
                (1, "yes please"), (2, "yes please"),
            ]  # fmt: skip

    virtual(main())


def test_a_short_commit_is_filled_up_with_silence(virtual):
    async def main():
        async with ears() as (lab, ear, _):
            await ear.play(sound.SILENCE * 5)  # 100 ms; less than 300 ms closes the session
            ear.transcriber.commit(1)
            await asyncio.sleep(0.5)
            ear.transcriber.commit(2)  # nothing new at all
            await asyncio.sleep(0.5)
            assert ear.finals == [FinalTranscript("", 1), FinalTranscript("", 2)]
            assert ear.transcriber.connections == 1
            assert sum(lab.meter.items.values()) == 600

    virtual(main())


@pytest.mark.parametrize("error", ["commit_throttled", "insufficient_audio_activity"])
def test_a_soft_error_answers_its_commit_with_nothing(virtual, error):
    async def main():
        async with ears(commit_errors={1: error}) as (_, ear, _):
            await ear.say("hm")
            await asyncio.sleep(0.3)
            await ear.say("hello")
            await asyncio.sleep(0.5)
            assert ear.finals == [FinalTranscript("", 1), FinalTranscript("hello", 2)]
            assert ear.transcriber.connections == 1

    virtual(main())


@pytest.mark.parametrize(
    "error",
    [
        "error", "rate_limited", "queue_overflow", "resource_exhausted", "chunk_size_exceeded",
        "transcriber_error", "session_time_limit_exceeded", "something_new",
    ],
)  # fmt: skip
def test_a_passing_error_costs_a_connection_but_no_word(virtual, error):
    async def main():
        async with ears(commit_errors={1: error}) as (_, ear, _):
            await ear.say("my name is Ann")
            await asyncio.sleep(0.5)
            assert ear.finals == [FinalTranscript("my name is Ann", 1)]
            assert ear.transcriber.connections == 2
            assert ear.answered_after(1) < 0.4

    virtual(main())


@pytest.mark.parametrize(
    "error",
    ["auth_error", "quota_exceeded", "unaccepted_terms", "input_error", "invalid_request"],
)
def test_an_error_that_no_retry_mends_is_raised_at_once(virtual, error):
    async def main():
        async with ears(commit_errors={1: error}) as (_, ear, _):
            await ear.say("hello")
            await asyncio.sleep(0.5)
            assert isinstance(ear.error, ServiceRejected)
            assert not ear.error.retryable
            assert ear.error_at - ear.committed_at[1] < 0.1
            assert "what the service" not in str(ear.error)

    virtual(main())


def test_a_wrong_key_is_named_as_such_and_not_shown(virtual):
    async def main():
        async with ears(key="sk-very-secret") as (lab, ear, _):
            await asyncio.sleep(0.2)
            assert isinstance(ear.error, ServiceRejected)
            assert "API key" in str(ear.error)
            assert "sk-very-secret" not in str(ear.error) + repr(access(lab, "sk-very-secret"))

    virtual(main())


def test_a_session_at_its_time_limit_is_followed_by_another(virtual):
    async def main():
        async with ears(quirks=Quirks(session_limit_s=7.0)) as (lab, ear, _):
            texts = [f"sentence number {n} of this call" for n in range(12)]
            for text in texts:
                await ear.say(text)
            await asyncio.sleep(1)
            assert ear.words == " ".join(texts)
            assert [f.utterance for f in ear.finals if f.utterance] == list(range(1, 13))
            assert ear.transcriber.connections >= 3
            assert lab.contexts
            assert all(0 < len(context) <= 50 for context in lab.contexts)

    virtual(main())


@pytest.mark.parametrize("after_ms", [0, 500, 1000, 1500])
@pytest.mark.parametrize("fault", [Fault.DROP, Fault.CLOSE, Fault.GARBAGE, Fault.SERVER_ERROR])
def test_a_connection_that_dies_in_mid_sentence_costs_no_word(virtual, fault, after_ms):
    async def main():
        plan = FaultPlan({1: Injection(fault, after_bytes=after_ms * 8)})
        async with ears(ears_faults=plan) as (_, ear, _):
            await ear.say("the tap in my kitchen drips")
            await asyncio.sleep(1)
            assert ear.finals == [FinalTranscript("the tap in my kitchen drips", 1)]
            assert ear.answered_after(1) < 0.5

    virtual(main())


def test_the_context_of_a_new_session_is_the_end_of_the_old_one(virtual):
    async def main():
        plan = FaultPlan({1: Injection(Fault.DROP, after_bytes=8 * 6000)})
        async with ears(ears_faults=plan) as (lab, ear, _):
            await ear.say("this sentence is rather long so that only its end is context enough")
            await asyncio.sleep(0.3)
            await ear.say("and this one is cut in the middle of it all")
            await asyncio.sleep(0.5)
            assert lab.contexts == ["rather long so that only its end is context enough"]
            assert [f.utterance for f in ear.finals] == [1, 2]

    virtual(main())


def test_a_service_that_stops_answering_is_given_up_before_the_call_does(virtual):
    async def main():
        plan = FaultPlan(otherwise=Injection(Fault.STALL, after_bytes=4000, delay_s=30))
        async with ears(ears_faults=plan) as (_, ear, _):
            await ear.say("can you hear me")
            await asyncio.sleep(5)
            assert isinstance(ear.error, ServiceUnavailable)
            assert ear.error_at - ear.committed_at[1] < 2.5
            assert sound.heard(b"".join(x for x in ear.transcriber.backlog() if x != 1)) == (
                "can you hear me"
            )

    virtual(main())


def test_a_stall_of_one_connection_is_mended_by_the_next(virtual):
    async def main():
        plan = FaultPlan({1: Injection(Fault.STALL, after_bytes=4000, delay_s=30)})
        async with ears(ears_faults=plan) as (_, ear, _):
            await ear.say("can you hear me")
            await asyncio.sleep(3)
            assert ear.finals == [FinalTranscript("can you hear me", 1)]
            assert ear.answered_after(1) < 1.6

    virtual(main())


def test_a_service_that_cannot_be_reached_is_given_up_after_three_seconds(virtual):
    async def main():
        plan = FaultPlan(otherwise=Fault.SERVER_ERROR)
        async with ears(ears_faults=plan) as (_, ear, _):
            began = now()
            await asyncio.sleep(6)
            assert isinstance(ear.error, ServiceUnavailable)
            assert ear.error_at - began < 3.1
            assert plan.seen > 3

    virtual(main())


def test_a_silent_line_keeps_its_session(virtual):
    async def main():
        async with ears(quirks=Quirks(ears_idle_s=8)) as (lab, ear, _):
            await asyncio.sleep(60)
            assert ear.transcriber.connections == 1
            assert lab.meter.items == {}  # keeping alive costs nothing
            await ear.say("still here")
            await asyncio.sleep(0.5)
            assert ear.words == "still here"

    virtual(main())


def test_the_service_hears_of_the_end_of_a_call_at_once(virtual):
    async def main():
        async with open_elevenlabs() as lab:
            hearing = ElevenLabsSpeechToText(access(lab), EarsConfig(), lambda _: None)
            async with hearing.listen(FACTS) as transcriber:
                transcriber.push(sound.SILENCE * 4)
                await asyncio.sleep(0.5)
                assert len(lab.ears) == 1
                left_at = now()
            assert now() - left_at < 0.01
            await asyncio.sleep(0.001)
            assert not lab.ears

    virtual(main())


def test_a_cut_of_its_own_after_90_seconds_loses_nothing(virtual):
    async def main():
        async with ears() as (_, ear, _):
            await ear.play(sound.spoken("long ago") + sound.SILENCE * 4600)
            await ear.say("and now")
            await asyncio.sleep(0.5)
            assert ear.finals == [FinalTranscript("long ago", 0), FinalTranscript("and now", 1)]

    virtual(main())


def test_the_services_own_cut_answers_the_commit_that_waits_for_it(virtual):
    async def main():
        async with ears(VAD) as (_, ear, _):
            await ear.say("I would like an appointment")
            await ear.play(sound.SILENCE * 60)
            assert ear.finals == [FinalTranscript("I would like an appointment", 1)]
            assert ear.answered_after(1) < 0.6

    virtual(main())


def test_a_cut_that_nobody_asked_for_is_utterance_zero(virtual):
    async def main():
        async with ears(VAD) as (_, ear, _):
            await ear.play(sound.spoken("hello") + sound.SILENCE * 60)
            assert ear.finals == [FinalTranscript("hello", 0)]

    virtual(main())


def test_a_noise_is_answered_with_nothing_when_the_service_cuts_by_itself(virtual):
    async def main():
        async with ears(VAD) as (_, ear, _):
            ear.transcriber.commit(1)
            ear.committed_at[1] = now()
            await ear.play(sound.SILENCE * 100)
            assert ear.finals == [FinalTranscript("", 1)]
            assert 0.5 < ear.answered_after(1) < 2.5

    virtual(main())


def test_a_service_that_cuts_by_itself_and_takes_no_notice_is_given_up(virtual):
    async def main():
        plan = FaultPlan(otherwise=Injection(Fault.STALL, after_bytes=800, delay_s=60))
        async with ears(VAD, ears_faults=plan) as (_, ear, _):
            for text in ("hello", "are you there", "hello"):
                await ear.say(text)
                await ear.play(sound.SILENCE * 60)
            await asyncio.sleep(2)
            assert isinstance(ear.error, ServiceUnavailable)
            assert [f.text for f in ear.finals] == [""] * 3

    virtual(main())


@pytest.mark.parametrize("strategy", list(CommitStrategy))
def test_a_region_tag_and_key_terms_reach_the_service_as_it_wants_them(virtual, strategy):
    async def main():
        config = EarsConfig(
            commit_strategy=strategy, language="en", keyterms=("Acme & Co", "boiler")
        )
        async with ears(config) as (_, ear, _):
            await ear.say("hello")
            await ear.play(sound.SILENCE * 60)
            assert ear.error is None
            assert ear.words == "hello"

    virtual(main())


def test_an_unknown_model_is_refused(virtual):
    async def main():
        async with ears(EarsConfig(model_id="scribe_v0")) as (_, ear, _):
            await asyncio.sleep(0.2)
            assert isinstance(ear.error, ServiceRejected)

    virtual(main())
