"""The conversation itself, against the simulated service: how it begins, ends and is billed."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import cast

import pytest

from tests.hosted.talks import LIMITS, agent, talk
from voice_server.call.events import (
    CallerInterrupted,
    ConversationOpened,
    FinalTranscript,
    PartialTranscript,
    ReplyOffered,
)
from voice_server.errors import EngineBroken, KeyRefused, ServiceRejected, ServiceUnavailable
from voice_server.hosted import HostedConfig, Override
from voice_server.hosted.conversation import COST_ITEM
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection


def now() -> float:
    return asyncio.get_running_loop().time()


def test_the_name_of_the_conversation_is_told_first(virtual):
    async def scene() -> None:
        async with talk() as one:
            assert one.facts == [ConversationOpened("conv_2")]

    virtual(scene())


def test_a_public_agent_needs_no_key_and_another_one_does(virtual):
    async def scene() -> None:
        async with talk(agent(public=True), key=None) as one:
            assert one.told(ConversationOpened)
        async with talk(agent(), key=None) as one:
            assert isinstance(one.error, ServiceRejected)

    virtual(scene())


def test_the_opening_says_what_the_settings_allow(virtual):
    async def scene() -> None:
        config = HostedConfig(AGENT_ID, frozenset(Override), "de", {"call_id": "mine", "vip": True})
        async with talk(config=config, greeting="Guten Tag.") as one:
            [opening] = one.house.openings
        assert opening["conversation_config_override"] == {
            "agent": {"first_message": "Guten Tag.", "language": "de"},
            "tts": {"voice_id": "JBFqnCBsd6RMkjVDRZzb"},
        }
        assert opening["dynamic_variables"] == {"call_id": "mine", "vip": True}
        async with talk(greeting="Guten Tag.") as one:
            [opening] = one.house.openings
        assert opening["conversation_config_override"] == {}

    virtual(scene())


@pytest.mark.parametrize(
    ("hosted", "options", "kind", "word"),
    [
        (agent(), {"key": "wrong"}, KeyRefused, "API key"),
        (agent(), {"config": HostedConfig("agent_none")}, ServiceRejected, "agent_id"),
        (agent(audio_format="pcm_16000"), {}, ServiceRejected, "mu-law 8000"),
        (
            agent(overrides=()),
            {
                "config": HostedConfig(AGENT_ID, frozenset({Override.FIRST_MESSAGE})),
                "greeting": "Hi.",
            },
            ServiceRejected,
            "overrides",
        ),
        (agent(variables=("vip",)), {}, ServiceRejected, "dynamic_variables"),
        (agent(), {"agent_faults": FaultPlan({1: Fault.QUOTA})}, ServiceRejected, "quota"),
        (agent(), {"agent_faults": FaultPlan({1: Fault.UNAUTHORIZED})}, ServiceRejected, "key"),
        (agent(), {"agent_faults": FaultPlan({1: Fault.RATE_LIMITED})}, ServiceUnavailable, "429"),
        (agent(), {"agent_faults": FaultPlan({1: Fault.SERVER_ERROR})}, ServiceUnavailable, "503"),
    ],
    ids=[
        "wrong key", "no such agent", "no telephone audio", "override refused",
        "variable missing", "quota", "refused", "too many", "down",
    ],
)  # fmt: skip
def test_a_conversation_that_does_not_begin_says_what_to_do(virtual, hosted, options, kind, word):
    async def scene() -> None:
        spent: Counter[str] = Counter()
        async with talk(hosted, spent=spent, **options) as one:
            assert isinstance(one.error, kind)
            assert word in str(one.error)
            assert not one.conversation.usable
            assert one.facts == []
        assert spent == one.lab.meter.items == {}

    virtual(scene())


def test_a_service_that_does_not_greet_is_given_up(virtual):
    async def scene() -> None:
        async with talk(agent_faults=FaultPlan({1: Fault.SLOW_FIRST_BYTE})) as one:
            await asyncio.sleep(2)
            assert one.error_at == pytest.approx(LIMITS.first_byte_s, abs=0.1)

    virtual(scene())


@pytest.mark.parametrize(
    "fault",
    [
        Fault.DROP, Fault.CLOSE, Fault.GARBAGE, Fault.SERVER_ERROR, Fault.RATE_LIMITED,
        Fault.QUOTA,
    ],
)  # fmt: skip
def test_a_conversation_that_dies_in_the_middle_is_lost_at_once(virtual, fault):
    async def scene() -> None:
        spent: Counter[str] = Counter()
        faults = FaultPlan({1: Injection(fault, 8_000)})
        async with talk(agent_faults=faults, spent=spent) as one:
            await one.hush(2)
            assert one.error is not None
            assert one.error_at < 1.3
        assert 0 < spent[COST_ITEM] == one.lab.meter.items[COST_ITEM]

    virtual(scene())


def test_pings_are_answered(virtual):
    async def scene() -> None:
        async with talk() as one:
            await one.hush(5)
            assert one.house.pongs == 2

    virtual(scene())


def test_the_time_of_a_conversation_is_booked_while_it_goes_on_and_at_its_end(virtual):
    async def scene() -> None:
        spent: Counter[str] = Counter()
        async with talk(spent=spent) as one:
            await one.hush(13)
            assert 10_000 <= spent[COST_ITEM] < 13_000
            await one.hush(2)
        assert spent == {COST_ITEM: pytest.approx(15_050, abs=60)}
        assert one.lab.meter.items == {COST_ITEM: pytest.approx(spent[COST_ITEM], abs=2)}

    virtual(scene())


def test_what_the_caller_says_comes_back_as_words_and_brings_an_answer(virtual):
    async def scene() -> None:
        async with talk(agent("We can fix that.")) as one:
            await one.say("my tap leaks")
            await one.hush(1.0)
            assert one.told(PartialTranscript)
            assert one.told(FinalTranscript) == [FinalTranscript("my tap leaks", 1)]
            assert one.told(ReplyOffered) == [ReplyOffered()]

    virtual(scene())


def test_the_answer_to_an_open_question_is_not_offered(virtual):
    async def scene() -> None:
        async with talk(agent("We can fix that.")) as one:
            await one.say("my tap leaks")
            waiting = asyncio.ensure_future(one.conversation.next_move(3))
            await one.hush(1.0)
            assert (await waiting).text == "We can fix that."
            assert one.told(ReplyOffered) == []

    virtual(scene())


def test_a_question_without_an_answer_is_given_up(virtual):
    async def scene() -> None:
        async with talk() as one:
            began = now()
            with pytest.raises(ServiceUnavailable, match="in time"):
                await one.conversation.next_move(3)
            assert now() - began == pytest.approx(3)

    virtual(scene())


def test_an_interruption_is_told_when_a_turn_is_being_said(virtual):
    async def scene() -> None:
        async with talk(agent("This is a rather long answer to a short question.")) as one:
            await one.say("hello")
            await one.hush(0.9)
            response = one.conversation.take()
            one.conversation.responses.bind(1, response)
            await one.play(sound.spoken("no wait"))
            assert one.told(CallerInterrupted) == [CallerInterrupted()]
            assert response.cut

    virtual(scene())


def test_an_interruption_of_words_that_nobody_has_asked_for_is_not_told(virtual):
    async def scene() -> None:
        async with talk(agent("This is a rather long answer to a short question.")) as one:
            await one.say("hello")
            await one.hush(0.9)
            await one.play(sound.spoken("no wait"))
            assert one.told(CallerInterrupted) == []
            assert one.conversation.take() is None

    virtual(scene())


def test_the_oldest_audio_goes_when_the_socket_takes_none(virtual):
    async def scene() -> None:
        async with talk(wait=False) as one:
            for _ in range(500):
                one.ears.push(b"\xff" * 160)
            await asyncio.sleep(0.1)
            [session] = one.house.talking
            assert session.wire.passed <= 40_000

    virtual(scene())


def test_a_conversation_that_nobody_listens_to_any_more_is_closed(virtual):
    async def scene() -> None:
        async with talk() as one:
            assert len(one.house.talking) == 1
        assert one.house.talking == set()
        with pytest.raises(ServiceUnavailable):  # for whoever still waits: no cancellation
            one.conversation.check()

    virtual(scene())


def test_a_bug_in_sending_loses_the_conversation_at_once(virtual, caplog):
    async def scene() -> None:
        async with talk() as one:
            began = now()
            one.conversation.post(cast("str", 7))
            await asyncio.sleep(0.1)
            assert isinstance(one.error, EngineBroken)
            assert one.error_at - began < 0.1

    virtual(scene())
    assert [record.getMessage() for record in caplog.records] == ["a bug in an engine"]
