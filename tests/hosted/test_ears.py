"""What a call hears of its hosted agent, and what it hears when the agent hears nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.hosted.talks import agent, talk
from voice_server.call.events import FinalTranscript
from voice_server.errors import ServiceUnavailable
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs_agents import CLIENT_EVENTS
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection


def test_one_transcript_answers_all_pauses_that_it_spans(virtual):
    async def scene() -> None:
        async with talk(agent(turn_s=0.7)) as one:
            await one.say("my name is", pause_s=0.3)
            await one.say("mary cooper", pause_s=0.3)
            await one.hush(1.0)
            assert one.told(FinalTranscript) == [
                FinalTranscript("", 1),
                FinalTranscript("my name is mary cooper", 2),
            ]

    virtual(scene())


def test_a_transcript_without_a_pause_of_ours_is_the_services_own_cut(virtual):
    async def scene() -> None:
        async with talk() as one:
            await one.play(sound.spoken("hello there"))
            await one.hush(1.0)
            assert one.told(FinalTranscript) == [FinalTranscript("hello there", 0)]

    virtual(scene())


def test_a_cough_is_nothing_after_a_second(virtual):
    async def scene() -> None:
        async with talk(recogniser=lambda _: "", hypothesis=lambda _: "") as one:
            await one.play(sound.spoken("x")[:3_200] + sound.SILENCE * 12)
            one.ears.commit(1)
            await one.hush(0.9)
            assert one.told(FinalTranscript) == []
            await one.hush(0.2)
            assert one.told(FinalTranscript) == [FinalTranscript("", 1)]

    virtual(scene())


def test_a_long_noise_is_nothing_to_a_service_that_is_alive(virtual):
    async def scene() -> None:
        async with talk(recogniser=lambda _: "", hypothesis=lambda _: "") as one:
            await one.say("a long noise that is no words")
            await one.hush(2.5)
            assert one.told(FinalTranscript) == [FinalTranscript("", 1)]
            assert one.error is None

    virtual(scene())


@pytest.mark.parametrize("after", [4_000, 12_000])
def test_words_that_a_stalled_service_does_not_hear_are_for_others_to_hear(virtual, after):
    async def scene() -> None:
        faults = FaultPlan({1: Injection(Fault.STALL, after, 60.0)})
        async with talk(agent_faults=faults) as one:
            await one.say("my kitchen sink is leaking")
            await one.hush(3)
            assert isinstance(one.error, ServiceUnavailable)
            assert one.told(FinalTranscript) == []

    virtual(scene())


def test_an_agent_that_tells_no_tentative_words_is_heard_too(virtual):
    async def scene() -> None:
        quiet = tuple(name for name in CLIENT_EVENTS if not name.startswith("tentative"))
        async with talk(agent(client_events=quiet)) as one:
            await one.say("my kitchen sink is leaking")
            await one.hush(1)
            assert one.told(FinalTranscript) == [FinalTranscript("my kitchen sink is leaking", 1)]

    virtual(scene())


def test_a_caller_who_talks_on_after_the_agents_goodbye_is_heard_by_others(virtual):
    async def scene() -> None:
        async with talk() as one:
            [session] = one.house.talking
            await session.part()
            await asyncio.sleep(0.1)
            assert one.conversation.closed
            assert one.error is None
            await one.say("one more thing")
            await asyncio.sleep(0)
            assert isinstance(one.error, ServiceUnavailable)

    virtual(scene())
