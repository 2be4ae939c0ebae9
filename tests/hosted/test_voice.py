"""Who says what: the agent its own words, the ordinary voice all others."""

from __future__ import annotations

import asyncio

from tests.hosted.talks import Talk, agent, talk
from tests.runtime.fakes import FACTS
from voice_server.call import events as e
from voice_server.call.history import CallerSaid
from voice_server.hosted import HostedConfig, Override
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs import Delays
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID
from voice_server.testing.lab.faults import Fault, FaultPlan

ANSWER = "We can fix that tomorrow at ten."
HI = "Hello, this is Robin. How can I help?"
OURS = HostedConfig(AGENT_ID, frozenset({Override.FIRST_MESSAGE}))


async def answer(one: Talk, turn: int = 1) -> str:
    """The caller says something; returns the text of the agent's answer."""
    await one.say("my tap leaks")
    quiet = asyncio.ensure_future(one.hush(2))
    text, *_ = await one.reply(CallerSaid("my tap leaks"), turn=turn)
    await quiet
    return text.text


def test_the_agent_says_its_own_words(virtual):
    async def scene() -> None:
        async with talk(agent(ANSWER)) as one:
            sounds = await one.sounds(1, await answer(one))
            assert "".join(each.text for each in sounds) == f"{ANSWER} "
            assert sound.said(b"".join(each.mulaw for each in sounds)) == ANSWER
            assert one.ordinary_voice.asked == 0

    virtual(scene())


def test_each_sound_stands_for_the_words_it_says(virtual):
    async def scene() -> None:
        async with talk(agent(ANSWER)) as one:
            for each in await one.sounds(1, await answer(one)):
                assert sound.said(each.mulaw).strip() == each.text.strip()

    virtual(scene())


def test_our_own_words_are_the_ordinary_voices_and_the_agent_is_told(virtual):
    async def scene() -> None:
        async with talk() as one:
            assert await one.speak(1, "Are you still there?") == "Are you still there?"
            assert one.ordinary_voice.asked == 1
            await asyncio.sleep(0.01)
            [update] = one.house.updates
            assert '"Are you still there?"' in update

    virtual(scene())


def test_what_the_agent_answers_to_words_that_we_have_answered_is_not_said(virtual):
    async def scene() -> None:
        async with talk(agent("An answer too late.", "And one in time.")) as one:
            await one.say("who is it", pause_s=0.64)
            assert one.told(e.FinalTranscript)
            await one.speak(1, "Which company are you calling from?")
            await one.hush(2)
            assert one.told(e.ReplyOffered) == []
            await one.say("the bank")
            quiet = asyncio.ensure_future(one.hush(2))
            reply = await one.reply(CallerSaid("who is it"), CallerSaid("the bank"), turn=2)
            assert reply[0] == e.ReplyText(2, "And one in time. ")
            await quiet

    virtual(scene())


def test_the_agents_first_message_is_the_greeting(virtual):
    async def scene() -> None:
        async with talk(agent(), config=OURS, greeting=HI) as one:
            assert await one.speak(1, HI) == f"{HI} "
            assert one.ordinary_voice.asked == 0
            assert one.told(e.ReplyOffered) == []

    virtual(scene())


def test_an_agent_that_greets_in_other_words_is_heard_in_those(virtual):
    async def scene() -> None:
        async with talk(agent(first_message="Good day!"), greeting=HI) as one:
            assert await one.speak(1, HI) == "Good day! "

    virtual(scene())


def test_an_agent_that_does_not_greet_in_time_is_greeted_for(virtual):
    async def scene() -> None:
        late = Delays(first_audio_s=2.5)
        async with talk(agent(first_message="Hm?"), greeting=HI, delays=late) as one:
            began = asyncio.get_running_loop().time()
            assert await one.speak(1, HI) == HI
            assert one.ordinary_voice.given == HI
            assert asyncio.get_running_loop().time() - began < 2.6
            await one.hush(2)
            assert one.told(e.ReplyOffered) == []  # too late is too late

    virtual(scene())


def test_a_greeting_does_not_wait_for_an_agent_that_has_refused(virtual):
    async def scene() -> None:
        async with talk(key="wrong", greeting=HI) as one:
            sounds = await one.sounds(1, HI)
            assert sounds
            assert asyncio.get_running_loop().time() < 0.6

    virtual(scene())


def test_an_agent_whose_first_move_is_no_greeting_makes_it_later(virtual):
    async def scene() -> None:
        async with talk(greeting=HI) as one:
            [session] = one.house.talking
            await session.part()
            assert await one.speak(1, HI) == HI
            wanted, _ = await one.reply(turn=2)
            assert wanted.name == "end_call"

    virtual(scene())


def test_the_ordinary_voice_goes_on_where_the_agents_breaks_off(virtual):
    async def scene() -> None:
        async with talk(agent(ANSWER), delays=Delays(speed=1.0)) as one:
            await one.say("my tap leaks")
            quiet = asyncio.ensure_future(one.hush(3))
            [session] = one.house.talking
            asyncio.get_running_loop().call_later(1.2, session.wire.drop)
            text, *_ = await one.reply(CallerSaid("my tap leaks"))
            said = await one.speak(1, text.text)
            words, cut = said.split(), ANSWER.split()
            assert one.ordinary_voice.asked == 1
            assert 0 < len(one.ordinary_voice.given.split()) < len(cut)
            assert [word for n, word in enumerate(words) if word not in words[:n]][-3:] == cut[-3:]
            await quiet

    virtual(scene())


def test_words_of_another_model_in_the_same_turn_are_the_ordinary_voices(virtual):
    async def scene() -> None:
        async with talk(agent("One moment.")) as one:
            text = await answer(one)
            said = await one.speak(1, text, "You're booked.")
            assert said == "One moment. You're booked."
            assert one.ordinary_voice.given == "You're booked."

    virtual(scene())


def test_a_turn_that_is_broken_off_stops_the_agents_audio(virtual):
    async def scene() -> None:
        async with talk(agent(ANSWER)) as one:
            text = await answer(one)
            speech = one.voice.speak(1, _forever(text), FACTS)
            first = await anext(speech)
            assert isinstance(first, e.SpeechReady)
            await speech.aclose()
            assert one.conversation.responses.script(1) == []

    virtual(scene())


def test_a_lost_conversation_costs_our_own_words_nothing(virtual):
    async def scene() -> None:
        async with talk(agent_faults=FaultPlan({1: Fault.QUOTA})) as one:
            assert await one.speak(1, "Hello?") == "Hello?"
            assert one.house.updates == []

    virtual(scene())


async def _forever(text: str):
    yield text
    await asyncio.sleep(3600)


def test_a_conversation_lost_in_mid_answer_is_heard_as_far_as_it_has_come(virtual):
    async def scene() -> None:
        async with talk(agent(ANSWER), delays=Delays(speed=2.0)) as one:
            await one.say("my tap leaks")
            quiet = asyncio.ensure_future(one.hush(4))
            asyncio.get_running_loop().call_later(1.0, next(iter(one.house.talking)).wire.drop)
            reply = await one.reply(CallerSaid("my tap leaks"))
            assert reply == [e.ReplyText(1, f"{ANSWER} "), e.ReplyEnded(1)]
            sounds = await one.sounds(1, reply[0].text)
            theirs = sound.said(b"".join(each.mulaw for each in sounds if len(each.mulaw) > 100))
            assert ANSWER.startswith(theirs.strip())
            assert theirs.strip()
            assert one.ordinary_voice.given
            await quiet

    virtual(scene())
