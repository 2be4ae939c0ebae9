"""python -m benchmarks.mirror: a hundred live calls shown in a Firebase that fails at random.

Virtual time, the simulated database on a real socket, the rules that we ship. Tells how many
writes it took, how far the picture lagged behind, and whether every call's last state arrived.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from bisect import bisect_left
from collections import Counter, deque
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import click
import httpx
import msgspec

import db
from benchmarks.mirror_calls import MirrorCall, facts_of, unlike_postgres
from voice_server.call.live import LiveState
from voice_server.mirror.database import SERVER_UID
from voice_server.mirror.node import leaves_of, nested
from voice_server.mirror.pending import Batch, Pace, Pending, Result
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.lab.firebase_tree import shown, stored
from voice_server.testing.lab.host import hosting
from voice_server.testing.virtual import VirtualLoop

_EPOCH_S = 1_800_000_000.0
_TENANTS = 5
_NAMESPACE = UUID("7a3a4a0e-6c0e-4d55-9d0b-0d8a3c0f4a55")
_TIMEOUT_S = 4.0
_RECOVERED_S = 1.0  # after the first write that works again: what had waited is not counted
_DRAIN_S = 300.0
_OUTAGE_FAULTS = (
    Fault.SERVER_ERROR,
    Fault.DROP,
    Fault.STALL,
    Fault.RATE_LIMITED,
    Fault.UNAUTHORIZED,
    Fault.GARBAGE,
)


class Soak(msgspec.Struct, frozen=True):
    """What a soak found. Lags are ms from `put` to the database's answer."""

    calls: int
    minutes: float
    states: int
    writes: int  # nodes, also those that a fault ate
    writes_per_s_most: float  # of the busiest call, over its whole life
    busiest_second: int  # most writes of one call within one second
    requests: int
    failed_requests: int
    unhealthy_s: float
    lag_p50_ms: float
    lag_p99_ms: float
    lag_most_ms: float
    lags: int  # states whose lag was measured: put and shown while healthy
    wrong_finals: int  # nodes that are not the last state of their call
    unlike_postgres: int  # nodes that say something else than the call's session
    late_s: float  # from the end of the last call until everything was written
    bytes_up: int
    real_s: float


class Weather(FaultPlan):
    """Outages at random: one in about a minute, of 1 to 15 s, with all kinds of faults."""

    def __init__(self, chance: random.Random, calm: bool) -> None:
        super().__init__()
        self._chance = chance
        self._calm = calm
        self._until = 0.0
        self._next = chance.expovariate(1 / 45)

    def take(self) -> Injection:
        """The fate of the request that arrives now."""
        self.seen += 1
        now = asyncio.get_running_loop().time()
        if not self._calm and now >= self._next:
            self._until = now + self._chance.uniform(1, 15)
            self._next = self._until + self._chance.expovariate(1 / 45)
        if now >= self._until:
            return Injection()
        fault = self._chance.choice(_OUTAGE_FAULTS)
        return Injection(fault, after_bytes=self._chance.randrange(2), delay_s=6.0)


class _Lags:
    """Measures from `put` to the acknowledged write that holds the state or a newer one."""

    def __init__(self) -> None:
        self._open: dict[str, deque[tuple[int, float]]] = {}
        self.ms: list[float] = []
        self.unhealthy_s = 0.0
        self._failed_at: float | None = None  # since when nothing was written
        self._healthy_at = 0.0

    def put(self, call_id: str, sequence: int, now: float) -> None:
        self._open.setdefault(call_id, deque()).append((sequence, now))

    def settled(self, batch: Batch, result: Result, now: float) -> None:
        if result is not Result.WRITTEN:
            self._failed_at = now if self._failed_at is None else self._failed_at
            return
        if self._failed_at is not None:
            self.unhealthy_s += now - self._failed_at
            self._failed_at, self._healthy_at = None, now + _RECOVERED_S
        for item in batch.items:
            waiting = self._open[item.call_id]
            while waiting and waiting[0][0] <= item.sequence:
                _, put_at = waiting.popleft()
                if put_at >= self._healthy_at:
                    self.ms.append((now - put_at) * 1000)


class _Run:
    """One soak in one virtual loop."""

    def __init__(self, calls: int, length_s: float, seed: int, calm: bool) -> None:
        self._count, self._length_s, self._seed = calls, length_s, seed
        chance = random.Random(seed)
        self._loop = asyncio.get_running_loop()
        self.weather = Weather(random.Random(seed + 1), calm)
        self.lab = FirebaseLab(
            plan=self.weather,
            delay_s=lambda: chance.uniform(0.02, 0.1),
            wall_clock=lambda: _EPOCH_S + self._loop.time(),
        )
        self.pending = Pending(Pace(), random.Random(seed + 2).random)
        self.lags = _Lags()
        self.last: dict[str, LiveState] = {}
        self.calls: list[MirrorCall] = []
        self.news = asyncio.Event()
        self.states = 0
        self.failures: Counter[Result] = Counter()

    async def call(self, number: int) -> None:
        """Live through one call; they begin within the first second."""
        chance = random.Random(self._seed * 1_000_003 + number)
        await asyncio.sleep(chance.random())
        facts = facts_of(number, self.tenant(number), int((_EPOCH_S + self._loop.time()) * 1000))
        call_id = facts.call_id
        self.calls.append(call := MirrorCall(facts, chance, self._length_s))
        for pause, live in call.states():
            await asyncio.sleep(pause)
            self.pending.put(call_id, facts.agent.user_id, live)
            self.lags.put(call_id, live.sequence, self._loop.time())
            self.last[call_id] = live
            self.states += 1
            self.news.set()

    def tenant(self, number: int) -> str:
        return str(uuid5(_NAMESPACE, f"{self._seed}/{number % _TENANTS}"))

    async def write(self, client: httpx.AsyncClient) -> None:
        """What the writer's thread does, on this loop."""
        while True:
            self.news.clear()
            now = self._loop.time()
            batch = self.pending.take(now, int((_EPOCH_S + now) * 1000))
            if batch is None:
                await self._pause(now)
                continue
            result = await self._send(client, batch)
            self.failures[result] += 1
            self.pending.settle(batch, result, self._loop.time())
            self.lags.settled(batch, result, self._loop.time())

    async def _pause(self, now: float) -> None:
        due = self.pending.next_at()
        try:
            async with asyncio.timeout(None if due is None else max(0.001, due - now)):
                await self.news.wait()
        except TimeoutError:
            pass

    async def _send(self, client: httpx.AsyncClient, batch: Batch) -> Result:
        override = json.dumps({"uid": SERVER_UID})
        query = {"print": "silent", "auth_variable_override": override}
        try:
            answer = await client.patch("/live.json", params=query, json=batch.updates)
        except httpx.HTTPError:
            return Result.UNAVAILABLE
        if answer.status_code in (400, 401, 403, 404, 413):
            return Result.REFUSED
        return Result.WRITTEN if answer.is_success else Result.UNAVAILABLE

    async def run(self) -> float:
        """Returns how long after the last call the last state was written."""
        async with hosting(self.lab.app) as url:
            headers = {"Authorization": "Bearer owner"}
            async with httpx.AsyncClient(
                base_url=url, headers=headers, timeout=_TIMEOUT_S
            ) as client:
                writer = asyncio.ensure_future(self.write(client))
                await asyncio.gather(*(self.call(number) for number in range(self._count)))
                ended = self._loop.time()
                while self.pending.finals and self._loop.time() < ended + _DRAIN_S:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                late_s = self._loop.time() - ended
                writer.cancel()
                await asyncio.wait([writer])
        return late_s

    def nodes(self) -> dict[str, Any]:
        """What the database shows of each call."""
        return {
            call.facts.call_id: self.lab.value(
                f"live/{call.facts.agent.user_id}/{call.facts.call_id}"
            )
            for call in self.calls
        }

    def wrong(self) -> int:
        """How many nodes are not what their call said last."""
        nodes = self.nodes()
        return sum(_timeless(nodes[call]) != _told(live) for call, live in self.last.items())


def _told(live: LiveState) -> Any:
    return shown(stored(nested(leaves_of(live)), None, 0))


def _timeless(node: Any) -> Any:
    times = ("updated_at", "expires_at")
    return {key: value for key, value in (node or {}).items() if key not in times}


def soak(
    calls: int, length_s: float, database_url: str, *, seed: int = 1, calm: bool = False
) -> Soak:
    """Run one; `calm` = nothing fails. The calls are stored in a migrated database."""

    async def main() -> tuple[Soak, _Run]:
        began = time.perf_counter()
        run = _Run(calls, length_s, seed, calm)
        late_s = await run.run()
        by_node: dict[tuple[str, ...], list[float]] = {}
        for write in run.lab.writes:
            by_node.setdefault(write.node, []).append(write.at)
        sizes = {write.request: write.size for write in run.lab.writes}
        lags = sorted(run.lags.ms) or [0.0]
        found = Soak(
            calls=calls,
            minutes=length_s / 60,
            states=run.states,
            writes=len(run.lab.writes),
            writes_per_s_most=max(len(times) / length_s for times in by_node.values()),
            busiest_second=max(map(_busiest, by_node.values())),
            requests=sum(run.failures.values()),
            failed_requests=sum(run.failures.values()) - run.failures[Result.WRITTEN],
            unhealthy_s=round(run.lags.unhealthy_s, 1),
            lag_p50_ms=round(lags[len(lags) // 2], 1),
            lag_p99_ms=round(lags[int(len(lags) * 0.99)], 1),
            lag_most_ms=round(lags[-1], 1),
            lags=len(run.lags.ms),
            wrong_finals=run.wrong(),
            unlike_postgres=calls,
            late_s=round(late_s, 2),
            bytes_up=sum(sizes.values()),
            real_s=round(time.perf_counter() - began, 1),
        )
        return found, run

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        found, run = runner.run(main())
    odd = asyncio.run(unlike_postgres(database_url, run.calls, run.nodes()))
    return msgspec.structs.replace(found, unlike_postgres=len(odd))


def _busiest(times: list[float]) -> int:
    return max(bisect_left(times, at + 1.0) - index for index, at in enumerate(times))


@click.command()
@click.option("--calls", default=100, show_default=True, type=click.IntRange(min=1))
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--calm", is_flag=True, help="Nothing fails.")
def main(calls: int, minutes: float, seed: int, calm: bool) -> None:
    """Show live calls in a database that fails at random; prints one JSON object."""
    with tempfile.TemporaryDirectory() as folder, db.EmbeddedPostgres(Path(folder)) as server:
        asyncio.run(db.migrate(server.dsn))
        found = soak(calls, minutes * 60, server.dsn, seed=seed, calm=calm)
    click.echo(json.dumps(msgspec.to_builtins(found), indent=1))


if __name__ == "__main__":
    main()
