"""Makes the calls and compares both sides."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from benchmarks.checks import Check
from benchmarks.conservation import books
from benchmarks.conservation.books import Ledger
from benchmarks.conservation.callers import Plan, hire, plans
from benchmarks.conservation.town import Town, open_town
from benchmarks.tagged import tagged_engines
from voice_server.testing.box import Box, open_box
from voice_server.testing.virtual import hold_time
from voice_server.testing.wav import SAMPLE_RATE

_QUIET_S = 60.0  # virtual, after the last call: late work is over, and its cost is booked
_SETTLING_S = 1.0  # the same for one call that is over


class Line(msgspec.Struct, frozen=True):
    """One tariff item over all calls. Money in micro-dollars, each call rounded up."""

    item: str
    ours: int
    metered: int
    booked_micro_usd: int
    due_micro_usd: int  # what the quantities that were booked cost by the price list

    @property
    def difference(self) -> int:
        """How much more we have booked than the provider has metered."""
        return self.ours - self.metered


class Report(msgspec.Struct, frozen=True):
    """How it went."""

    calls: int
    alone: int  # of them were made one at a time
    seed: int
    real_s: float
    virtual_s: float
    kinds: dict[str, int]
    struck: dict[str, dict[str, int]]
    cut_replies: int  # that the provider saw their reader leave
    doubted_replies: int  # whose usage we had to estimate
    lines: tuple[Line, ...]
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return all(check.ok for check in self.checks)


class _Phones:
    """Makes the calls, and notes what each cost that was alone at its time."""

    def __init__(self, box: Box, town: Town, tick: Callable[[], None]) -> None:
        self._box = box
        self._town = town
        self._tick = tick
        self.kinds: Counter[str] = Counter()
        self.alone: dict[str, Counter[str]] = {}  # metered, by the caller's number
        self.carried: dict[str, Counter[str]] = {}  # the carrier's part of it, of all calls

    @property
    def metered(self) -> Counter[str]:
        """What the providers and the carrier would bill, by item."""
        return sum(self.carried.values(), self._town.metered)

    async def make_alone(self, calls: Iterator[Plan]) -> None:
        """One after the other: whatever is metered meanwhile belongs to the call."""
        for plan in calls:
            before = self.metered
            await self._make(plan)
            while self._box.server.desk.runs:
                await asyncio.wait(self._box.server.desk.runs)
            await asyncio.sleep(_SETTLING_S)
            self.alone[plan.from_number] = self.metered - before

    async def make_together(self, calls: Iterator[Plan], at_once: int) -> None:
        """Several phones that take the next call as soon as they are free."""
        async with asyncio.TaskGroup() as phones:
            for _ in range(at_once):
                phones.create_task(self._keep_calling(calls))

    async def _keep_calling(self, calls: Iterator[Plan]) -> None:
        for plan in calls:
            await self._make(plan)

    async def _make(self, plan: Plan) -> None:
        phone = self._box.phone(
            plan.caller(),
            from_number=plan.from_number,
            to_number=plan.to_number,
            hang_up_at_s=plan.hang_up_at_s,
            faults=plan.faults,
        )
        report = await phone.call()
        if phone.answered:
            streamed_s = len(phone.tracks[0]) / SAMPLE_RATE
            self.carried[plan.from_number] = Counter(
                {
                    "twilio.voice_inbound.minutes": _started(report.duration_s),
                    "twilio.media_stream.minutes": _started(streamed_s),
                }
            )
        self.kinds[plan.kind] += 1
        self._tick()


def _started(seconds: float) -> int:
    """Minutes as the carrier bills them, of whatever has begun."""
    return max(1, math.ceil(seconds / 60))


async def conserve(
    data_dir: Path,
    database_url: str,
    *,
    calls: int = 1_000,
    alone: int = 200,
    at_once: int = 10,
    seed: int = 1,
    fault_share: float = 0.08,
    tick: Callable[[], None] = lambda: None,
) -> Report:
    """Make chaotic calls to a server of its own; run it in a `VirtualLoop`.

    The first `alone` calls are made one at a time, so that all that is metered can be laid to
    one call. The database has the demo tenant and no calls yet. `tick` is called after each call.
    """
    began, loop = time.perf_counter(), asyncio.get_running_loop()
    async with (
        open_town(seed, fault_share) as town,
        open_box(
            data_dir, engines=tagged_engines(), database_url=database_url, **town.settings
        ) as box,
    ):
        with hold_time():
            await hire(database_url)
        phones, planned = _Phones(box, town, tick), plans(calls, seed)
        await phones.make_alone(islice(planned, alone))
        await phones.make_together(planned, at_once)
        await asyncio.sleep(_QUIET_S)
        await box.server.outbox.flush()
        with hold_time():
            ledger = await books.read(database_url)
        visits = [visit for mind in town.minds.values() for visit in mind.visits]
        lines = tuple(_lines(ledger, phones))
        checks = tuple(_checks(ledger, town, phones, lines, rejected=box.server.outbox.rejected))
        return Report(
            calls=calls,
            alone=min(alone, calls),
            seed=seed,
            real_s=round(time.perf_counter() - began, 1),
            virtual_s=round(loop.time(), 1),
            kinds=dict(sorted(phones.kinds.items())),
            struck=town.struck(),
            cut_replies=sum(visit.closed_at >= 0 for visit in visits),
            doubted_replies=ledger.doubts,
            lines=lines,
            checks=checks,
        )


def _lines(ledger: Ledger, phones: _Phones) -> Iterator[Line]:
    ours, metered = ledger.totals, phones.metered
    booked: Counter[str] = Counter()
    due: Counter[str] = Counter()
    for caller, quantities in ledger.quantities.items():
        booked.update(ledger.booked[caller])
        due.update(ledger.worth(quantities))
    for item in sorted(ours | metered):
        yield Line(item, ours[item], metered[item], booked[item], due[item])


def _checks(
    ledger: Ledger, town: Town, phones: _Phones, lines: tuple[Line, ...], *, rejected: int
) -> Iterator[Check]:
    wrong = [line.item for line in lines if line.difference]
    yield Check("every unit metered is booked, and no other", not wrong, ", ".join(wrong))
    wrong = [line.item for line in lines if line.booked_micro_usd != line.due_micro_usd]
    yield Check("every unit has its price", not wrong, ", ".join(wrong))
    yield _same("calls alone: units", phones.alone, ledger.quantities)
    dues = {caller: Counter(ledger.worth(bill)) for caller, bill in phones.alone.items()}
    booked = {caller: Counter(bill) for caller, bill in ledger.booked.items()}
    yield _same("calls alone: micro-dollars", dues, booked)
    yield _same(
        "all calls: thoughts and searches",
        town.metered_of_callers(),
        _without(ledger.quantities, books.SPEECH, books.CARRIER),
    )
    others = {item.split(".")[0] for item in ledger.totals} - {books.CARRIER}
    yield _same("all calls: minutes", phones.carried, _without(ledger.quantities, *others))
    sums = (ledger.all_micro_usd, ledger.session_micro_usd, ledger.usage_micro_usd)
    yield Check(
        "rows, sessions and days tell the same",
        len(set(sums)) == 1,
        "{} booked, {} in the sessions, {} in the usage".format(*sums),
    )
    yield Check("no row was refused", not rejected, f"{rejected} refused")


def _without(bills: dict[str, Counter[str]], *others: str) -> dict[str, Counter[str]]:
    """The bills without what these have metered."""
    return {
        caller: Counter({k: n for k, n in bill.items() if k.split(".")[0] not in others})
        for caller, bill in bills.items()
    }


def _same(name: str, theirs: dict[str, Counter[str]], ours: dict[str, Counter[str]]) -> Check:
    wrong = {
        caller: {
            item: bill[item] - ours.get(caller, Counter())[item]
            for item in sorted(bill | ours.get(caller, Counter()))
            if bill[item] != ours.get(caller, Counter())[item]
        }
        for caller, bill in theirs.items()
    }
    found = {caller: items for caller, items in wrong.items() if items}
    shown = "; ".join(f"{caller}: {items}" for caller, items in list(found.items())[:5])
    return Check(name, not found, f"{len(theirs)} compared" + (f", wrong {shown}" if found else ""))
