"""The dialler against a Twilio on loopback and a real database."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from db import AlreadyDialling, DialRow, PostgresDials, StoreUnavailable
from db.rows import AgentRow
from tests.db.tenants import ANNA
from voice_server.limits import Limits
from voice_server.outbound import Dialler, DialOrder, DialStep
from voice_server.testing.caller import SilentCaller
from voice_server.testing.faults import Pickup
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.twilio import Callee, TwilioLab, open_twilio
from voice_server.twilio.rest import TwilioRest

pytestmark = pytest.mark.postgres

AGENT = AgentRow(
    "agent-anna", ANNA, "Anna", "Robin", "active", "+12025550111", "", "", "", "", "+12025550199"
)
THEM = "+12025550177"
PUBLIC = "https://voice.localhost"
CREATED = 1  # the request that places the call is the first one
_LIMITS = Limits(first_byte_s=0.3, between_s=0.3, total_s=0.5)


def order(call_id: str = "call-1", to: str = THEM, **changes: Any) -> DialOrder:
    return DialOrder(call_id, AGENT, to, **changes)


def callee(status: str = "answered", after_s: float = 0.01) -> Callee:
    return Callee(pickup=Pickup(status=status, after_s=after_s), caller=SilentCaller(50))


class House:
    """One dialler after the other on the same database and carrier."""

    def __init__(self, dials: PostgresDials, lab: TwilioLab, rest: TwilioRest) -> None:
        self.dials = dials
        self.lab = lab
        self.rest = rest
        self.steps: list[DialStep] = []

    def dialler(self, grace_s: float = 60.0) -> Dialler:
        def note(_call_id: str, step: DialStep) -> None:
            self.steps.append(step)

        return Dialler(self.dials, self.rest, PUBLIC, grace_s=grace_s, on_step=note)

    async def settled(self, call_id: str = "call-1", *, grace_s: float = 60.0) -> DialRow:
        """What a later process finds out, once the carrier is done."""
        await self.lab.settle()
        await self.dialler(grace_s).sweep(unchecked_s=0, placed_s=0)
        return await self.row(call_id)

    async def row(self, call_id: str = "call-1") -> DialRow:
        row = await self.dials.get(call_id)
        assert row is not None
        return row


@asynccontextmanager
async def open_house(dials: PostgresDials, **options: Any) -> AsyncIterator[House]:
    options = {
        "connect_to": "127.0.0.1:1",  # nobody answers webhooks
        "callees": lambda _form: callee(),
        "calls_per_s": 1000.0,
        "price_after_s": 0.0,
        "numbers": (AGENT.phone_number,),
    } | options
    async with open_twilio(**options) as lab:
        rest = TwilioRest(lab.account_sid, lab.auth_token, lab.url, limits=_LIMITS)
        try:
            yield House(dials, lab, rest)
        finally:
            await rest.close()


async def test_a_call_is_placed_with_urls_that_name_it(dials):
    async with open_house(dials) as house:
        row = await house.dialler().dial(
            order(machine_detection="Enable", record=True, ring_s=25, limit_s=600)
        )
        (call,) = house.lab.calls
        assert (row.state, row.carrier_call_id) == ("placed", call.sid)
        assert house.steps == ["intended", "requested", "answered", "placed"]
        assert call.form["Url"] == f"{PUBLIC}/twilio/voice?call=call-1"
        assert call.form["StatusCallback"] == f"{PUBLIC}/twilio/status?call=call-1"
        assert call.form["AsyncAmdStatusCallback"] == f"{PUBLIC}/twilio/amd?call=call-1"
        assert call.form["AsyncAmd"] == "true"
        assert (call.form["Timeout"], call.form["TimeLimit"]) == ("25", "600")
        assert call.form["RecordingChannels"] == "dual"


async def test_dialling_an_id_again_only_tells_how_it_stands(dials):
    async with open_house(dials) as house:
        first = await house.dialler().dial(order())
        again = await house.dialler().dial(order())
        assert (again.state, again.carrier_call_id) == ("placed", first.carrier_call_id)
        assert len(house.lab.calls) == 1
        with pytest.raises(AlreadyDialling):
            await house.dialler().dial(order("call-2"))


@pytest.mark.parametrize(
    ("pickup", "status"),
    [("answered", "completed"), ("busy", "failed"), ("no-answer", "failed"), ("failed", "failed")],
)
async def test_the_carriers_word_for_the_end_is_mapped_and_kept(dials, pickup, status):
    async with open_house(dials, callees=lambda _form: callee(pickup)) as house:
        await house.dialler().dial(order())
        row = await house.settled()
    raw = "completed" if pickup == "answered" else pickup
    assert (row.state, row.status, row.raw_status) == ("finished", status, raw)


@pytest.mark.parametrize(
    ("to", "raw"), [("+15005550001", "rejected-21217"), ("+15005550003", "rejected-21215")]
)
async def test_a_number_the_carrier_refuses_fails_at_once(dials, to, raw):
    async with open_house(dials) as house:
        row = await house.dialler().dial(order(to=to))
    assert (row.state, row.status, row.raw_status) == ("finished", "failed", raw)
    assert house.steps == ["intended", "requested", "finished"]


async def test_a_carrier_that_turns_us_away_at_the_door_is_asked_again(dials):
    faults = FaultPlan({CREATED: Fault.RATE_LIMITED})
    async with open_house(dials, faults=faults) as house:
        row = await house.dialler().dial(order())
        assert row.state == "placed"
        assert len(house.lab.calls) == 1


LOST = [
    Injection(Fault.DROP, after_bytes=1),
    Injection(Fault.SERVER_ERROR, after_bytes=1),
    Injection(Fault.STALL, delay_s=0.6),
    Injection(Fault.SLOW_FIRST_BYTE, delay_s=0.6),
    Fault.GARBAGE,
]


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_answer_is_looked_up_and_never_dialled_again(dials, fault):
    async with open_house(dials, faults=FaultPlan({CREATED: fault})) as house:
        row = await house.dialler().dial(order())
        assert row.state == "indeterminate"
        while not house.lab.calls:  # noqa: ASYNC110 - a slow carrier places it later
            await asyncio.sleep(0.01)
        await house.dialler().dial(order())
        row = await house.settled()
        assert len(house.lab.calls) == 1
        assert row.carrier_call_id == house.lab.calls[0].sid
    assert (row.state, row.raw_status) == ("finished", "completed")


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.SERVER_ERROR])
async def test_what_the_carrier_never_heard_of_fails_only_after_the_grace(dials, fault):
    async with open_house(dials, faults=FaultPlan({CREATED: fault})) as house:
        await house.dialler().dial(order())
        assert (await house.settled(grace_s=60)).state == "indeterminate"
        row = await house.settled(grace_s=0)
        assert house.lab.calls == []
    assert (row.state, row.status, row.raw_status) == ("finished", "failed", "never-placed")


async def test_a_call_that_waits_in_the_carriers_queue_is_waited_for(dials):
    lost = FaultPlan({CREATED: Injection(Fault.DROP, after_bytes=1)})
    async with open_house(dials, faults=lost, calls_per_s=2.0) as house:
        house.lab._slot_at = asyncio.get_running_loop().time()  # somebody was before us
        await house.dialler().dial(order())
        await house.dialler(grace_s=0).sweep(unchecked_s=0, placed_s=0)
        assert (await house.row()).state == "indeterminate"
        assert (await house.settled()).raw_status == "completed"


async def test_a_call_somebody_else_placed_between_the_numbers_is_not_taken_for_ours(dials):
    async with open_house(dials, faults=FaultPlan({2: Fault.DROP})) as house:
        other = await house.rest.create_call(
            house.dialler()._call_order(order("of-another-tool"), AGENT.phone_number)
        )
        await house.lab.settle()
        await house.dialler().dial(order())
        row = await house.settled(grace_s=0)
    assert row.raw_status == "never-placed"
    assert row.carrier_call_id != other.sid


async def test_a_carrier_that_cannot_be_asked_leaves_the_question_open(dials):
    plan = FaultPlan({CREATED: Injection(Fault.DROP, after_bytes=1), 2: Fault.SERVER_ERROR})
    async with open_house(dials, faults=plan) as house:
        await house.dialler().dial(order())
        assert (await house.settled(grace_s=0)).state == "indeterminate"
        assert (await house.settled(grace_s=0)).raw_status == "completed"


async def test_the_price_comes_later(dials):
    async with open_house(dials) as house:
        await house.dialler().dial(order())
        await house.settled()
        await house.dialler().fetch_prices(unchecked_s=0)
        assert (await house.row()).price_micro_usd == 14_000


async def test_a_machine_can_be_hung_up_on_and_again(dials):
    patient = Callee(pickup=Pickup(after_s=0.01), caller=SilentCaller(60_000))
    async with open_house(dials, callees=lambda _form: patient) as house:
        row = await house.dialler().dial(order())
        await house.dialler().hang_up(row.carrier_call_id)
        assert (await house.settled()).status in ("completed", "cancelled")
        await house.dialler().hang_up(row.carrier_call_id)


async def test_the_watch_settles_what_a_dead_process_left_and_outlives_trouble(dials):
    async with open_house(dials, faults=FaultPlan({2: Fault.UNAUTHORIZED})) as house:
        await house.dialler().dial(order())
        await house.lab.settle()
        async with dials._pool.server() as connection:
            await connection.execute("UPDATE dial_intents SET checked_at = now() - interval '1 h'")
        watching = asyncio.ensure_future(house.dialler().watch(every_s=0.01))
        async with asyncio.timeout(30):
            while house.lab.faults.seen < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            async with dials._pool.server() as connection:
                await connection.execute(
                    "UPDATE dial_intents SET checked_at = now() - interval '1 h'"
                )
            while (await house.row()).state != "finished":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        watching.cancel()
        await asyncio.wait([watching])


# Nobody is called twice


@types.coroutine
def _cancelled_at(work: Coroutine[Any, Any, Any], wait: int) -> Generator[Any, Any, Any]:
    """Await `work`, cancelling the task around it at its n-th wait."""
    task = asyncio.current_task()
    assert task is not None
    step, given, waits = work.send, None, 0
    while True:
        try:
            waited = step(given)
        except StopIteration as result:
            return result.value
        if waits == wait:
            task.cancel()
        waits += 1
        try:
            step, given = work.send, (yield waited)
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:  # noqa: BLE001 - passed on to where it belongs
            step, given = work.throw, error


async def cut(work: Coroutine[Any, Any, Any], wait: int) -> bool:
    """Whether the work was done before its n-th wait."""

    async def whole() -> None:
        await _cancelled_at(work, wait)

    task = asyncio.ensure_future(whole())
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return not task.cancelled()


async def test_cut_at_any_wait_a_dial_calls_at_most_once_and_always_ends(dials):
    async with open_house(dials) as house:
        number, complete = 0, False
        while not complete:
            call_id, to = f"call-{number}", f"+1202555{1000 + number}"
            complete = await cut(house.dialler().dial(order(call_id, to)), number)
            await house.dialler().dial(order(call_id, to))  # whoever asked asks again
            number += 1
        assert number > 15
        await asyncio.sleep(0.05)
        await house.lab.settle()
        for _ in range(3):
            await house.dialler(grace_s=0).sweep(unchecked_s=0, placed_s=0)
        called = [call.form["To"] for call in house.lab.calls]
        assert len(called) == len(set(called))
        rows = [await house.row(f"call-{index}") for index in range(number)]
        assert {row.state for row in rows} == {"finished"}
        assert {row.raw_status for row in rows} <= {"completed", "never-placed", "never-requested"}
        placed = {row.call_id for row in rows if row.raw_status == "completed"}
        assert len(placed) == len(called)


async def test_without_the_database_nothing_is_sent(dials):
    async with open_house(dials) as house:
        await dials._pool.close()
        with pytest.raises(StoreUnavailable):
            await house.dialler().dial(order())
        assert house.lab.faults.seen == 0
