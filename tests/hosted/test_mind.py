"""The hosted agent's moves as replies, and what answers when it makes none."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from tests.hosted.talks import LIMITS, agent, talk
from tests.runtime.fakes import FACTS
from voice_server.call import events as e
from voice_server.call.history import AgentSaid, CallerPressed, CallerSaid, ToolUsed
from voice_server.ports import ReplyRequest
from voice_server.testing.lab.elevenlabs import Delays
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.mind import Said, Wanted

ORDINARY = [e.ReplyText(1, "An ordinary answer.")]
LEAK = CallerSaid("my tap leaks")


def answered(text: str, turn: int = 1) -> list[e.Event]:
    return [e.ReplyText(turn, f"{text} "), e.ReplyEnded(turn)]


def test_the_agents_answer_is_the_reply(virtual):
    async def scene() -> None:
        async with talk(agent("We can fix that.")) as one:
            await one.say("my tap leaks")
            quiet = asyncio.ensure_future(one.hush(3))
            assert await one.reply(LEAK) == answered("We can fix that.")
            await quiet

    virtual(scene())


def test_what_the_agent_has_ready_is_said_at_once(virtual):
    async def scene() -> None:
        async with talk(agent("We can fix that.")) as one:
            await one.say("my tap leaks")
            await one.hush(2)
            began = asyncio.get_running_loop().time()
            assert await one.reply(LEAK) == answered("We can fix that.")
            assert asyncio.get_running_loop().time() - began < 0.01

    virtual(scene())


def test_a_question_about_nothing_new_has_an_empty_answer(virtual):
    async def scene() -> None:
        async with talk() as one:
            assert await one.reply() == [e.ReplyEnded(1)]

    virtual(scene())


def test_a_question_that_was_cut_off_is_still_open(virtual):
    async def scene() -> None:
        async with talk(agent("We can fix that.")) as one:
            await one.say("my tap leaks")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(one.reply(LEAK), 0.05)
            quiet = asyncio.ensure_future(one.hush(3))
            assert await one.reply(LEAK, turn=2) == answered("We can fix that.", 2)
            await quiet

    virtual(scene())


def test_tools_are_asked_for_and_their_results_go_back(virtual):
    async def scene() -> None:
        booking = Said("One moment.", (Wanted("book_order", '{"name":"Mary"}'),))
        async with talk(agent(booking, "You're booked.")) as one:
            await one.say("please book it")
            quiet = asyncio.ensure_future(one.hush(5))
            text, wanted, end = await one.reply(CallerSaid("please book it"))
            assert text == e.ReplyText(1, "One moment. ")
            assert isinstance(wanted, e.ToolRequested)
            assert (wanted.name, wanted.arguments) == ("book_order", '{"name":"Mary"}')
            assert end == e.ReplyEnded(1)
            used = ToolUsed(wanted.request_id, wanted.name, wanted.arguments, '{"order_id":"A1"}')
            history = (CallerSaid("please book it"), AgentSaid("One moment.", False, ""), used)
            assert await one.reply(*history) == answered("You're booked.")
            [result] = one.house.results
            assert (result["result"], result["is_error"]) == ('{"order_id":"A1"}', False)
            await quiet

    virtual(scene())


def test_a_refused_tool_is_told_as_an_error_and_once(virtual):
    async def scene() -> None:
        looking = Said("", (Wanted("look_up_order", "{}"),))
        async with talk(agent(looking, "I cannot say.")) as one:
            await one.say("where is it")
            quiet = asyncio.ensure_future(one.hush(6))
            question = CallerSaid("where is it")
            wanted, _ = await one.reply(question)
            refused = ToolUsed(
                wanted.request_id, "look_up_order", "{}", '{"error":{"problem":"no"}}'
            )
            assert await one.reply(question, refused) == answered("I cannot say.")
            assert await one.reply(question, refused) == [e.ReplyEnded(1)]
            assert [result["is_error"] for result in one.house.results] == [True]
            await quiet

    virtual(scene())


def test_keys_that_were_pressed_are_told_as_a_message_of_the_caller(virtual):
    async def scene() -> None:
        async with talk(agent("Thank you.")) as one:
            assert await one.reply(CallerPressed("555#")) == answered("Thank you.")

    virtual(scene())


def test_keys_are_answered_after_words_of_our_own(virtual):
    async def scene() -> None:
        async with talk(agent("Thank you.")) as one:
            await one.speak(1, "Are you still there?")
            assert await one.reply(CallerPressed("555#"), turn=2) == answered("Thank you.", 2)
            assert one.ordinary_mind.asked == 0

    virtual(scene())


def test_the_agents_goodbye_ends_the_call_with_its_words(virtual):
    async def scene() -> None:
        goodbye = Said("Goodbye.", (Wanted("end_call", "{}"),))
        async with talk(agent(goodbye)) as one:
            await one.say("that is all")
            quiet = asyncio.ensure_future(one.hush(2))
            text, end_call, _ = await one.reply(CallerSaid("that is all"))
            assert text == e.ReplyText(1, "Goodbye. ")
            assert isinstance(end_call, e.ToolRequested)
            assert end_call.name == "end_call"
            await quiet

    virtual(scene())


def test_a_conversation_closed_in_good_order_ends_the_call_too(virtual):
    async def scene() -> None:
        async with talk() as one:
            [session] = one.house.talking
            await session.wire.close(1000)
            await asyncio.sleep(0.1)
            assert one.told(e.ReplyOffered)
            wanted, _ = await one.reply()
            assert (wanted.name, one.error) == ("end_call", None)
            assert await one.reply(LEAK, turn=2) == [e.ReplyText(2, "An ordinary answer.")]

    virtual(scene())


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.STALL])
def test_the_ordinary_model_answers_when_the_agent_does_not(virtual, fault):
    async def scene() -> None:
        faults = FaultPlan({1: Injection(fault, 10_000, 60.0)})
        async with talk(agent_faults=faults) as one:
            await one.say("my tap leaks")
            quiet = asyncio.ensure_future(one.hush(4))
            began = asyncio.get_running_loop().time()
            assert await one.reply(LEAK) == ORDINARY
            assert asyncio.get_running_loop().time() - began <= LIMITS.total_s + 0.1
            assert not one.conversation.usable
            await quiet

    virtual(scene())


def test_once_lost_the_agent_is_never_waited_for_again(virtual):
    async def scene() -> None:
        async with talk(key="wrong") as one:
            began = asyncio.get_running_loop().time()
            assert await one.reply(LEAK) == ORDINARY
            assert asyncio.get_running_loop().time() == began
            assert one.ordinary_mind.closed == 1

    virtual(scene())


def test_a_conversation_lost_in_mid_answer_leaves_the_rest_to_the_voice(virtual):
    async def scene() -> None:
        async with talk(agent("We can fix that tomorrow at ten in the morning.")) as one:
            await one.say("my tap leaks")
            quiet = asyncio.ensure_future(one.hush(2))
            async with aclosing(one.mind.reply(ReplyRequest(1, (LEAK,), FACTS))) as pieces:
                assert isinstance(await anext(pieces), e.ReplyText)
                [session] = one.house.talking
                session.wire.drop()
                assert await anext(pieces) == e.ReplyEnded(1)
            assert one.ordinary_mind.asked == 0
            await quiet

    virtual(scene())


def test_words_left_over_from_a_turn_that_was_cut_off_are_not_said_later(virtual):
    async def scene() -> None:
        async with talk(agent("Of course. When?", "At ten.")) as one:
            await one.say("please come")
            await one.hush(2)
            one.conversation.drop(1)
            await one.say("tomorrow")
            quiet = asyncio.ensure_future(one.hush(2))
            reply = await one.reply(CallerSaid("please come"), CallerSaid("tomorrow"), turn=2)
            assert reply == answered("At ten.", 2)
            await quiet

    virtual(scene())


@pytest.mark.parametrize(
    ("heard", "rest"),
    [("", "We can fix that tomorrow. "), ("We can fix", " that tomorrow. ")],
)
def test_an_answer_that_nobody_meant_to_interrupt_is_said_to_its_end(virtual, heard, rest):
    async def scene() -> None:
        async with talk(agent("We can fix that tomorrow."), delays=Delays(speed=0.5)) as one:
            await one.say("my tap leaks")
            quiet = asyncio.ensure_future(one.hush(2))
            pieces = one.mind.reply(ReplyRequest(1, (LEAK,), FACTS))
            assert await anext(pieces) == e.ReplyText(1, "We can fix that tomorrow. ")
            await pieces.aclose()
            said = (AgentSaid(heard, True, ""),) if heard else ()
            assert await one.reply(LEAK, *said, turn=2) == [e.ReplyText(2, rest), e.ReplyEnded(2)]
            assert await one.reply(LEAK, *said, turn=3) == [e.ReplyEnded(3)]
            await quiet

    virtual(scene())
