"""Every provider's adapter, by the same story: what is asked, what comes, what it costs."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.llm.conversation import GREETING, facts, office
from tests.llm.remote.minds import (
    BOOKING,
    HELLO,
    LONG,
    PROVIDERS,
    TODAY,
    Desk,
    open_desk,
    settled,
    text_of,
    tools_of,
)
from voice_server.call.events import Expectation, ReplyEnded
from voice_server.call.history import AgentSaid, CallerSaid, ToolUsed
from voice_server.errors import ServiceError
from voice_server.llm.catalogue import DEFAULTS, shipped
from voice_server.ports import ReplyRequest
from voice_server.testing.lab.anthropic import messages
from voice_server.testing.lab.events import Pace
from voice_server.testing.lab.faults import Fault, FaultPlan
from voice_server.testing.lab.mind import Said, Wanted
from voice_server.testing.lab.openai import chat_completions, compatible

every_provider = pytest.mark.parametrize("provider", PROVIDERS)
openai_likes = pytest.mark.parametrize("provider", ["openai", "google", "grok"])


@every_provider
def test_an_answer_comes_in_pieces_and_ends_with_what_it_expects(virtual, provider):
    async def story() -> None:
        async with open_desk(provider, said=Said("All right. Is that correct?")) as desk:
            pieces = await desk.ask()
            assert text_of(pieces) == "All right. Is that correct?"
            assert len(pieces) > 4
            assert pieces[-1] == ReplyEnded(1, Expectation.YES_NO)
            assert all(piece.turn == 1 for piece in pieces)

    virtual(story())


@every_provider
def test_the_first_piece_does_not_wait_for_the_last(virtual, provider):
    async def story() -> None:
        pace = Pace(first_byte_s=0.3, between_s=0.1)
        async with open_desk(provider, said=LONG, pace=pace) as desk:
            loop = asyncio.get_running_loop()
            began, first = loop.time(), -1.0
            async for _ in desk.chat.reply(ReplyRequest(1, HELLO, facts())):
                first = first if first >= 0 else loop.time() - began
            assert first == pytest.approx(0.4, abs=0.05)
            assert loop.time() - began > 4

    virtual(story())


@every_provider
def test_a_tool_request_arrives_whole_whatever_its_fragments(virtual, provider):
    async def story() -> None:
        async with open_desk(provider, said=BOOKING) as desk:
            (tool,) = tools_of(await desk.ask())
            assert tool.name == "book_order"
            assert msgspec.json.decode(tool.arguments)["customer_name"] == 'Zoë "Z" Müller'
            assert tool.request_id

    virtual(story())


@every_provider
def test_several_tools_in_one_answer_keep_their_order_and_have_ids_of_their_own(virtual, provider):
    said = Said("", (Wanted("look_up_order", '{"order_id":"1"}'), Wanted("end_call", "{}")))

    async def story() -> None:
        async with open_desk(provider, said=said) as desk:
            first, second = tools_of(await desk.ask())
            assert (first.name, second.name) == ("look_up_order", "end_call")
            assert second.arguments == "{}"
            assert first.request_id != second.request_id

    virtual(story())


@openai_likes
def test_the_liberties_of_compatible_servers_are_tolerated(virtual, provider):
    said = Said("Well. ", (Wanted("look_up_order", '{"order_id":"1"}'), Wanted("end_call", "")))

    async def story() -> None:
        wire = chat_completions(provider, quirks=compatible(), reasoning_tokens=40)
        async with open_desk(provider, said=said, wire=wire) as desk:
            pieces = await desk.ask()
            assert text_of(pieces) == "Well. "
            first, second = tools_of(pieces)
            assert (first.name, first.arguments) == ("look_up_order", '{"order_id":"1"}')
            assert (second.name, second.arguments) == ("end_call", "{}")
            assert first.request_id != second.request_id
            await settled()
            assert desk.ledger == desk.simulator.meter.items
            assert desk.estimates == 0

    virtual(story())


@every_provider
def test_request_ids_that_repeat_in_a_call_are_told_apart(virtual, provider):
    said = Said("", (Wanted("look_up_order", '{"order_id":"1"}', id="0"),))

    async def story() -> None:
        async with open_desk(provider, said=said) as desk:
            (first,) = tools_of(await desk.ask())
            used = ToolUsed(first.request_id, first.name, first.arguments, '{"orders":[]}')
            (second,) = tools_of(await desk.ask((*HELLO, used)))
            assert second.request_id != first.request_id

    virtual(story())


@every_provider
def test_an_order_is_booked_over_the_wire_and_costs_what_the_provider_bills(virtual, provider):
    lines = (
        "Hi, my kitchen tap is leaking badly.",
        "Mary Cooper",
        "12 Oak Street",
        "202 555 0147",
        "yes",
        "tomorrow at ten in the morning",
        "Yes that's right",
        "no thank you goodbye",
    )

    async def story() -> None:
        async with open_desk(provider) as desk:
            tools = await hold(desk, lines)
            assert [tool.name for tool in tools] == ["book_order", "end_call"]
            order = msgspec.json.decode(tools[0].arguments)
            assert order["customer_name"] == "Mary Cooper"
            assert order["customer_phone"] == "+12025550147"
            assert order["scheduled_at"] == "2026-11-23T10:00:00-05:00"
            assert desk.ledger == desk.simulator.meter.items
            assert desk.estimates == 0
            if provider in ("openai", "anthropic"):
                item = f"{provider}.{desk.mind.card.id}.cached_input_tokens"
                assert desk.ledger[item] > 5_000

    virtual(story())


async def hold(desk: Desk, lines: tuple[str, ...]):
    """A conversation as the core keeps it."""
    history = [GREETING]
    tools = []
    turn = 0
    for line in lines:
        history.append(CallerSaid(line))
        heard = []
        while True:
            turn += 1
            pieces = await desk.ask(tuple(history), turn=turn)
            heard.append(text_of(pieces).strip())
            wanted = tools_of(pieces)
            tools += wanted
            if not wanted or wanted[0].name == "end_call":
                break
            (used,) = wanted
            result = office(used.name, used.arguments)
            history.append(ToolUsed(used.request_id, used.name, used.arguments, result))
        history.append(AgentSaid(" ".join(filter(None, heard)), False, ""))
    return tools


@every_provider
def test_only_what_was_heard_goes_over_the_wire(virtual, provider):
    history = (
        GREETING,
        CallerSaid("Hello"),
        AgentSaid("Good morning, how", True, "a note of ours"),
        CallerSaid("My tap leaks"),
        ToolUsed("any id: with (marks)", "look_up_order", "not json", None),
    )

    async def story() -> None:
        async with open_desk(provider, said=Said("Fine.")) as desk:
            await desk.ask(history)
            sent = msgspec.json.encode(desk.body["messages"]).decode()
            assert "Good morning, how" in sent
            assert "cut you off" in sent
            assert "a note of ours" not in sent
            assert "still running" in sent

    virtual(story())


@every_provider
def test_leaving_in_the_middle_closes_the_stream_and_books_what_was_received(virtual, provider):
    async def story() -> None:
        pace = Pace(first_byte_s=0.3, between_s=0.1)
        async with open_desk(provider, said=LONG, pace=pace) as desk:
            taken = await desk.ask_and_leave(after=5)
            (visit,) = desk.simulator.visits
            assert not visit.finished
            assert visit.closed_at - visit.arrived_at == pytest.approx(0.8, abs=0.1)
            assert visit.sent_tokens == len(taken) == 5
            assert desk.priced == desk.simulator.meter.items
            assert desk.estimates == 1

    virtual(story())


@every_provider
def test_cancelling_the_task_closes_the_stream_and_books_once(virtual, provider):
    async def story() -> None:
        async with open_desk(provider, said=LONG, pace=Pace(0.3, 0.1)) as desk:
            task = asyncio.ensure_future(desk.ask())
            await asyncio.sleep(0.75)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await settled()
            (visit,) = desk.simulator.visits
            assert visit.closed_at == pytest.approx(visit.arrived_at + 0.75, abs=0.1)
            assert desk.priced == desk.simulator.meter.items
            assert desk.estimates == 1

    virtual(story())


@every_provider
def test_leaving_before_the_first_byte_books_the_input(virtual, provider):
    async def story() -> None:
        async with open_desk(provider, said=LONG, pace=Pace(1.0, 0.1)) as desk:
            task = asyncio.ensure_future(desk.ask())
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await settled()
            assert desk.priced == desk.simulator.meter.items
            assert sum(desk.priced.values()) > 1_000

    virtual(story())


@every_provider
def test_cancelled_work_costs_the_same_here_and_there_over_many_calls(virtual, provider):
    async def story() -> None:
        async with open_desk(provider, said=LONG, pace=Pace(0.3, 0.1)) as desk:
            history = HELLO
            for leave_after in (3, 100, 1, 7, 100, 2):
                if leave_after == 100:
                    heard = text_of(await desk.ask(history))
                else:
                    heard = text_of(await desk.ask_and_leave(leave_after, history))
                history += (AgentSaid(heard, leave_after != 100, ""), CallerSaid("Go on."))
                await settled()
            assert desk.priced == desk.simulator.meter.items
            assert desk.estimates == 4

    virtual(story())


@every_provider
def test_answers_one_after_another_share_a_connection(virtual, provider):
    async def story() -> None:
        async with open_desk(provider, said=Said("Yes.")) as desk:
            for _ in range(3):
                await desk.ask()
            pool = desk.connection._client._client._transport._pool
            assert len(pool.connections) == 1

    virtual(story())


@every_provider
def test_the_key_reaches_models_that_are_alive(virtual, provider):
    async def story() -> None:
        async with open_desk(provider) as desk:
            models = await desk.connection.models()
            assert DEFAULTS[provider] in models  # type: ignore[index]
            assert all(not shipped().resolve(model, TODAY).warning for model in models)

    virtual(story())


@every_provider
def test_a_wrong_key_is_rejected_without_showing_it(virtual, provider):
    async def story() -> None:
        async with open_desk(provider, keys=frozenset({"another"})) as desk:
            for attempt in (desk.ask, desk.connection.models):
                with pytest.raises(ServiceError) as raised:
                    await attempt()
                assert not raised.value.retryable
                assert "key is refused" in str(raised.value)
                assert "secret" not in str(raised.value)
            assert not desk.ledger

    virtual(story())


@every_provider
def test_a_model_nobody_knows_is_rejected(virtual, provider):
    family = {"openai": "gpt", "google": "gemini", "anthropic": "claude"}.get(provider, provider)
    config = f'{{"model": "{family}-unheard-of"}}'

    async def story() -> None:
        async with open_desk(provider, config=config) as desk:
            with pytest.raises(ServiceError) as raised:
                await desk.ask()
            assert not raised.value.retryable
            assert not desk.ledger

    virtual(story())


@openai_likes
def test_a_parameter_the_model_refuses_is_left_out_and_not_sent_again(virtual, provider, caplog):
    card = msgspec.structs.replace(
        shipped().resolve("gpt-6-luna", TODAY).card, temperature=True, effort="none", cache_key=True
    )

    async def story() -> None:
        async with open_desk(provider, said=Said("Yes.")) as desk:
            model = desk.mind.model
            wrong = msgspec.structs.replace(card, id=model, provider=desk.mind.card.provider)
            mind = msgspec.structs.replace(desk.mind, card=wrong, temperature=0.7)
            mind = msgspec.structs.replace(mind, model={"openai": "gpt-5.2"}.get(provider, model))
            desk.chat._mind = mind
            await desk.ask()
            assert text_of(await desk.ask()) == "Yes."
            dropped = {"openai": {"temperature"}, "google": {"temperature", "prompt_cache_key"}}
            dropped["grok"] = {"reasoning_effort", "prompt_cache_key"}
            assert not dropped[provider] & desk.body.keys()
            warned = [record for record in caplog.records if "left out" in record.message]
            assert len(warned) == len(dropped[provider])
            assert desk.simulator.plan.seen == 2 + len(dropped[provider])

    virtual(story())


def test_thinking_that_cannot_be_switched_off_is_left_on(virtual):
    async def story() -> None:
        config = '{"model": "claude-sonnet-5-5"}'
        wire = messages(thoughts="Hmm, let me see.")
        async with open_desk("anthropic", said=Said("Yes."), config=config, wire=wire) as desk:
            card = msgspec.structs.replace(desk.mind.card, thinking="disabled")
            desk.chat._mind = msgspec.structs.replace(desk.mind, card=card)
            assert text_of(await desk.ask()) == "Yes."
            assert "thinking" not in desk.body
            await settled()
            assert desk.ledger == desk.simulator.meter.items

    virtual(story())


def test_claude_is_never_sent_a_temperature(virtual):
    async def story() -> None:
        config = '{"model": "claude-haiku-5-5", "temperature": 0.7}'
        async with open_desk("anthropic", said=Said("Yes."), config=config) as desk:
            await desk.ask()
            assert "temperature" not in desk.body
            assert desk.body["thinking"] == {"type": "disabled"}
            assert "cache_control" in desk.body["system"][0]
            assert "cache_control" in desk.body["messages"][-1]["content"][-1]

    virtual(story())


@every_provider
def test_an_error_before_the_answer_costs_nothing(virtual, provider):
    plan = FaultPlan(otherwise=Fault.SERVER_ERROR)

    async def story() -> None:
        async with open_desk(provider, plan=plan) as desk:
            with pytest.raises(ServiceError):
                await desk.ask()
            assert not desk.ledger
            assert not desk.simulator.meter.items

    virtual(story())


@every_provider
def test_nobody_there_is_an_outage_that_costs_nothing(virtual, provider):
    async def story() -> None:
        async with open_desk(provider) as desk:
            pass
        async with open_desk(provider) as desk:
            desk.connection._client.base_url = "http://127.0.0.1:9/v1/"
            with pytest.raises(ServiceError) as raised:
                await desk.ask()
            assert raised.value.retryable
            assert not desk.ledger

    virtual(story())
