"""Every fault of a provider in every state of a reply: what the call gets, when, for how much."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from tests.llm.conversation import facts
from tests.llm.remote.minds import (
    BOOKING,
    HELLO,
    LIMITS,
    LONG,
    PROVIDERS,
    Desk,
    open_desk,
    settled,
    text_of,
)
from voice_server.call.events import ReplyText
from voice_server.errors import ServiceError
from voice_server.ports import ReplyRequest
from voice_server.testing.lab.events import Pace
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.mind import Said

PACE = Pace(first_byte_s=0.3, between_s=0.05)
IN_TEXT, IN_TOOL = 40, 30  # characters of the answer that pass first
# The state of the reply -> the answer, and how much of it comes.
STATES = {
    "waiting for the first byte": (LONG, 0),
    "speaking": (LONG, IN_TEXT),
    "asking for a tool": (BOOKING, IN_TOOL),
}
# The fault -> whether another try may help, and whether the provider bills at all when it
# strikes before the answer.
FAULTS = {
    Fault.STALL: (True, True),
    Fault.DROP: (True, True),
    Fault.GARBAGE: (True, True),
    Fault.RATE_LIMITED: (True, False),
    Fault.SERVER_ERROR: (True, False),
    Fault.QUOTA: (False, False),
}
CASES = [
    pytest.param(provider, state, fault, id=f"{provider}-{state}-{fault.value}")
    for provider in PROVIDERS
    for state in STATES
    for fault in FAULTS
]


async def fail(desk: Desk) -> tuple[ServiceError, list[object], float]:
    """Ask until it fails: how, what came before, and after how many seconds."""
    loop = asyncio.get_running_loop()
    began, got = loop.time(), []

    async def listen() -> None:
        async with aclosing(desk.chat.reply(ReplyRequest(1, HELLO, facts()))) as pieces:
            async for piece in pieces:
                got.append(piece)

    with pytest.raises(ServiceError) as raised:
        await listen()
    return raised.value, got, loop.time() - began


@pytest.mark.parametrize(("provider", "state", "fault"), CASES)
def test_a_fault_becomes_an_error_in_time_and_its_cost_is_booked(virtual, provider, state, fault):
    said, after = STATES[state]
    retryable, billed = FAULTS[fault]

    async def story() -> None:
        plan = FaultPlan({1: Injection(fault, after_bytes=after, delay_s=60.0)})
        async with open_desk(provider, said=said, plan=plan, pace=PACE) as desk:
            error, got, seconds = await fail(desk)
            assert error.retryable is retryable
            assert error.service == provider
            assert seconds < LIMITS.first_byte_s + LIMITS.between_s + 1.0
            assert all(isinstance(piece, ReplyText) for piece in got)
            assert text_of(got) == said.text[: max(after, 12 if got else 0)][: len(text_of(got))]
            await settled()
            assert desk.priced == desk.simulator.meter.items
            assert bool(desk.ledger) is (billed or after > 0)
            # The connection is as good as new.
            desk.simulator.plan = FaultPlan()
            assert text_of(await desk.ask()) == said.text

    virtual(story())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_slow_first_byte_within_the_limit_is_only_slow(virtual, provider):
    async def story() -> None:
        plan = FaultPlan({1: Injection(Fault.SLOW_FIRST_BYTE, delay_s=2.0)})
        async with open_desk(provider, said=LONG, plan=plan, pace=PACE) as desk:
            assert text_of(await desk.ask()) == LONG.text

    virtual(story())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_first_byte_beyond_the_limit_is_an_outage_at_the_limit(virtual, provider):
    async def story() -> None:
        plan = FaultPlan({1: Injection(Fault.SLOW_FIRST_BYTE, delay_s=60.0)})
        async with open_desk(provider, said=LONG, plan=plan, pace=PACE) as desk:
            error, got, seconds = await fail(desk)
            assert error.retryable
            assert not got
            assert seconds == pytest.approx(LIMITS.first_byte_s, abs=0.1)
            (visit,) = desk.simulator.visits
            await settled()
            assert visit.closed_at >= 0

    virtual(story())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_that_trickles_for_ever_is_ended_by_the_total_limit(virtual, provider):
    async def story() -> None:
        said = Said("word " * 400)
        async with open_desk(provider, said=said, pace=Pace(0.3, 1.9)) as desk:
            error, _, seconds = await fail(desk)
            assert error.retryable
            assert seconds == pytest.approx(LIMITS.total_s, abs=0.1)

    virtual(story())


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("said", [Said(""), Said("  \n ")], ids=["nothing", "blanks"])
def test_an_answer_without_words_and_tools_is_an_outage(virtual, provider, said):
    async def story() -> None:
        async with open_desk(provider, said=said) as desk:
            with pytest.raises(ServiceError, match="empty answer"):
                await desk.ask()
            await settled()
            assert desk.priced == desk.simulator.meter.items

    virtual(story())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_without_end_is_cut(virtual, provider):
    async def story() -> None:
        async with open_desk(provider, said=Said("x" * 30_000), pace=Pace(0.1, 0.0001)) as desk:
            with pytest.raises(ServiceError, match="without end"):
                await desk.ask()

    virtual(story())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_message_tells_what_callers_prompts_or_keys_say(virtual, provider, caplog):
    secrets = ("leaking", "secret", "Miller", "2125554217", "Zoë")

    async def story() -> None:
        for fault in FAULTS:
            for after in (0, 20):
                plan = FaultPlan({1: Injection(fault, after_bytes=after, delay_s=60.0)})
                async with open_desk(provider, said=BOOKING, plan=plan, pace=PACE) as desk:
                    if fault is Fault.STALL and not after:
                        continue
                    error, _, _ = await fail(desk)
                    assert not any(secret in str(error) for secret in secrets)
                    assert error.__cause__ is None

    virtual(story())
    assert not any(secret in caplog.text for secret in secrets)
