"""Many replies that go wrong and are left at random: the ledger equals the providers' meters."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import msgspec
import pytest

from tests.llm.conversation import facts
from tests.llm.remote.minds import BOOKING, HELLO, LONG, PROVIDERS, Desk, open_desk, text_of
from voice_server.call.history import AgentSaid, CallerSaid
from voice_server.errors import ServiceError
from voice_server.testing.lab.events import Pace
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.mind import always

FAULTS = [*Fault]
REPLIES = 60


async def one(desk: Desk, dice: random.Random, call: int, turn: int) -> None:
    """A reply that is heard out, left in the middle, or fails."""
    fault = dice.choice(FAULTS) if dice.random() < 0.5 else Fault.NONE
    fault = Fault.NONE if fault is Fault.CLOSE else fault  # closes are for WebSockets
    injection = Injection(fault, after_bytes=dice.choice((0, 8, 40)), delay_s=60.0)
    desk.simulator.plan = FaultPlan(otherwise=injection)
    desk.simulator.mind = always(dice.choice((LONG, BOOKING)))
    history = HELLO
    for number in range(turn):
        history += (AgentSaid(f"Line {number} of {call}.", False, ""), CallerSaid("Go on."))
    task = asyncio.ensure_future(desk.ask(history, turn=turn + 1))
    # Between two pieces, so that none is on the wire when we leave.
    patience = 0.025 + 0.05 * dice.randrange(4, 60)
    done, _ = await asyncio.wait({task}, timeout=patience)
    if not done:
        task.cancel()
    with suppress(ServiceError, asyncio.CancelledError):
        assert text_of(await task)
    await asyncio.sleep(0.2)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_and_nothing_is_booked_twice(virtual, provider, seed):
    async def story() -> None:
        dice = random.Random(seed)
        async with open_desk(provider, pace=Pace(first_byte_s=0.2, between_s=0.05)) as desk:
            for number in range(REPLIES):
                await one(desk, dice, number // 6, number % 6)
            assert desk.priced == desk.simulator.meter.items
            assert 0 < desk.estimates < REPLIES
            assert all(
                visit.finished or visit.closed_at >= 0 or visit.fault is not Fault.NONE
                for visit in desk.simulator.visits
            )

    virtual(story())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_question_given_up_before_it_left_costs_nothing(virtual, provider):
    async def story() -> None:
        async with open_desk(provider) as desk:
            for steps in range(1, 60):  # of the loop: no time passes
                task = asyncio.ensure_future(desk.ask())
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})
                await asyncio.sleep(1)
                if desk.simulator.visits:
                    break
                assert not desk.ledger
            else:
                pytest.fail("no question ever left")

    virtual(story())


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_an_estimate_knows_what_the_provider_remembers_of_other_agents_calls(virtual, provider):
    async def story() -> None:
        async with open_desk(provider, said=LONG) as desk:
            await desk.ask()
            one = facts()
            other = msgspec.structs.replace(one.agent, agent_id="another")
            about = msgspec.structs.replace(one, agent=other)
            for _ in range(2):
                desk.simulator.plan = FaultPlan(otherwise=Injection(Fault.DROP, after_bytes=8))
                with pytest.raises(ServiceError):
                    await desk.ask(about=about)
            await asyncio.sleep(0.2)
            assert desk.estimates == 2
            assert desk.priced == desk.simulator.meter.items

    virtual(story())


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.UNAUTHORIZED])
def test_a_question_whose_refusal_nobody_waited_for_counts_as_read(virtual, provider, fault):
    async def story() -> None:
        async with open_desk(provider, plan=FaultPlan(otherwise=fault)) as desk:
            task = asyncio.ensure_future(desk.ask())
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.wait({task})
            await asyncio.sleep(0.5)
            assert desk.estimates == 1
            assert desk.priced == desk.simulator.meter.items

    virtual(story())
