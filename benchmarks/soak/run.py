"""Runs a soak and judges it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from benchmarks.checks import Check
from benchmarks.soak import books
from benchmarks.soak.books import Ledger
from benchmarks.soak.population import Plan, Stolen, plans
from benchmarks.soak.resources import Holdings, look
from voice_server.speech.engines import LocalEngines
from voice_server.testing.box import Box, open_box
from voice_server.testing.virtual import hold_time

_QUIET_S = 120.0  # virtual: tokens and the patience for streams that never come run out
RSS_MOST = 1.05


class SoakReport(msgspec.Struct, frozen=True):
    """How a soak went. `before` was taken after the first calls, `after` at the end."""

    calls: int
    admitted: int
    real_s: float
    virtual_s: float
    kinds: dict[str, int]
    ledger: Ledger
    before: Holdings
    after: Holdings
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return all(check.ok for check in self.checks)


class _Callers:
    """Several phones that take the next plan as soon as they are free."""

    def __init__(self, box: Box, tick: Callable[[], None]) -> None:
        self._box = box
        self._tick = tick
        self._stolen = Stolen()
        self.kinds: Counter[str] = Counter()
        self.admitted: set[str] = set()
        self.surprises: list[str] = []

    async def make(self, calls: list[Plan], at_once: int) -> None:
        """Make all the calls, then wait until nothing of them can be alive."""
        following = iter(calls)
        async with asyncio.TaskGroup() as phones:
            for _ in range(at_once):
                phones.create_task(self._keep_calling(following))
        await asyncio.sleep(_QUIET_S)
        await self._box.server.outbox.flush()

    async def _keep_calling(self, following: Iterator[Plan]) -> None:
        for plan in following:
            call_id = await self._stolen.make(self._box, plan)
            self.kinds[plan.kind] += 1
            if call_id:
                self.admitted.add(call_id)
            if plan.admitted is not None and plan.admitted != bool(call_id):
                self.surprises.append(plan.kind)
            self._tick()


async def soak(
    data_dir: Path,
    *,
    calls: int = 1_000,
    warm_up: int = 100,
    at_once: int = 10,
    seed: int = 1,
    rush: int = 10,
    engines: LocalEngines | None = None,
    database_url: str | None = None,
    tick: Callable[[], None] = lambda: None,
) -> SoakReport:
    """Make many short calls to a server of its own; run it in a `VirtualLoop`.

    The first `rush` calls are whole conversations, so that the engines have grown before the
    first look at memory. The database must hold no calls yet. `tick` is called after each call.
    """
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    planned = list(plans(calls, seed, rush=rush))
    async with open_box(data_dir, engines=engines, database_url=database_url) as box:
        callers = _Callers(box, tick)
        idle = frozenset(asyncio.all_tasks())
        await callers.make(planned[:warm_up], at_once)
        before = look()
        await callers.make(planned[warm_up:], at_once)
        after = look()
        leaked = [task.get_name() for task in asyncio.all_tasks() - idle]
        with hold_time():
            ledger = await books.read(box.server.database_url)
        checks = (
            *_books_are_right(ledger, callers, box),
            Check("no task is left", not leaked, f"{len(leaked)} {sorted(set(leaked))[:5]}"),
            *_nothing_is_held(before, after, box),
        )
    return SoakReport(
        calls=calls,
        admitted=len(ledger.sessions),
        real_s=round(time.perf_counter() - began, 1),
        virtual_s=round(loop.time(), 1),
        kinds=dict(sorted(callers.kinds.items())),
        ledger=ledger,
        before=before,
        after=after,
        checks=checks,
    )


def _books_are_right(ledger: Ledger, callers: _Callers, box: Box) -> Iterator[Check]:
    sessions = len(ledger.sessions)
    admitted = int(_total(box, "voice_server_calls_admitted"))
    ended = int(_total(box, "voice_server_calls_ended"))
    surprises = Counter(callers.surprises)
    yield Check(
        "the server took whom it should", not surprises, str(dict(surprises)) if surprises else ""
    )
    missing = callers.admitted - ledger.sessions
    yield Check(
        "every admitted call is stored",
        sessions == admitted and not missing,
        f"{admitted} admitted, {sessions} stored",
    )
    yield Check(
        "every call ended once",
        ended == admitted and ledger.open_calls == 0,
        f"{ended} ends, {ledger.open_calls} without a terminal status: {ledger.statuses}",
    )
    yield Check(
        "the usage counts every call once",
        ledger.counted_once == ledger.calls_made == sessions,
        f"{ledger.calls_made} of {sessions}",
    )
    yield Check(
        "every cost is counted once",
        ledger.booked_micro_usd == ledger.counted_micro_usd,
        f"{ledger.booked_micro_usd} micro-dollars booked, {ledger.counted_micro_usd} counted",
    )
    outbox = box.server.outbox
    yield Check(
        "no row was refused or left behind",
        outbox.rejected == 0 and outbox.waiting == 0,
        f"{outbox.written} written, {outbox.rejected} refused, {outbox.waiting} waiting",
    )
    yield Check("no call is left at the desk", box.server.desk.live == 0, str(box.server.desk.live))


def _total(box: Box, name: str) -> float:
    """The sum of a counter over its labels."""
    return sum(
        sample.value
        for metric in box.server.metrics.registry.collect()
        if metric.name == name
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


def _nothing_is_held(before: Holdings, after: Holdings, box: Box) -> Iterator[Check]:
    yield _no_more("threads", before.threads, after.threads)
    yield _no_more("TCP sockets", before.tcp, after.tcp)
    yield _no_more("open files", len(before.files), len(after.files))
    yield _no_more("other descriptors", before.others, after.others)
    pool = box.server.settings.database_pool  # its connections come and go
    yield _no_more("Unix sockets", before.unix, after.unix, within=pool)
    ratio = after.rss_kib / before.rss_kib
    yield Check(
        "memory stays",
        ratio <= RSS_MOST,
        f"{before.rss_kib // 1024} MiB then, {after.rss_kib // 1024} MiB now ({ratio:.3f})",
    )


def _no_more(what: str, before: int, after: int, *, within: int = 0) -> Check:
    return Check(f"no more {what}", after <= before + within, f"{before} then, {after} now")
