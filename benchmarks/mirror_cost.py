"""python -m benchmarks.mirror_cost: what showing live calls costs the loop they live on.

Real time. A hundred calls publish 200 states a second into the mirror's thread and the real SDK;
the database is another process. Beside them a 20 ms timer, as media has, tells how late it is.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import tempfile
import time
from multiprocessing.queues import Queue
from pathlib import Path

import click

from benchmarks.mirror_calls import MirrorCall, facts_of
from voice_server.call.live import LiveState
from voice_server.mirror.database import RealtimeDatabase
from voice_server.mirror.finals import Finals
from voice_server.mirror.firebase import FirebaseMirror
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.lab.host import hosting

_CALLS = 100
_TICK_S = 0.02
_PUTS = 4  # a tick
_SECONDS = 8.0
_CASES = {
    "healthy": Injection(),
    "never answers": Injection(Fault.SLOW_FIRST_BYTE, delay_s=30),
    "answers 503": Injection(Fault.SERVER_ERROR),
}


def _serve(urls: Queue[str], fault: Injection) -> None:
    async def main() -> None:
        lab = FirebaseLab(plan=FaultPlan(otherwise=fault))
        async with hosting(lab.app) as url:
            urls.put(lab.database_url(url))
            await asyncio.sleep(600)

    asyncio.run(main())


async def _tick(mirror: FirebaseMirror | None) -> tuple[list[float], list[float], float]:
    """How late each tick was, in ms, what each `put` took, in µs, and all CPU seconds."""
    loop = asyncio.get_running_loop()
    calls = [_states(number) for number in range(_CALLS)]
    late: list[float] = []
    cost: list[float] = []
    cpu_s = time.process_time()
    began = due = loop.time()
    sent = 0
    while due < began + _SECONDS:
        due += _TICK_S
        await asyncio.sleep(max(0.0, due - loop.time()))
        late.append((loop.time() - due) * 1e3)
        for _ in range(_PUTS if mirror is not None else 0):
            turn, number = divmod(sent, _CALLS)
            sent += 1
            state = calls[number][turn]
            start = time.perf_counter()
            if mirror is not None:
                mirror.put(f"call-{number}", state)
            cost.append((time.perf_counter() - start) * 1e6)
    return late, cost, time.process_time() - cpu_s


def _states(number: int) -> list[LiveState]:
    call = MirrorCall(facts_of(number, "tenant", 0), random.Random(number), 600)
    return [live for _, live in call.states()]


async def _case(fault: Injection, folder: Path) -> tuple[list[float], list[float], float]:
    context = multiprocessing.get_context("spawn")
    urls: Queue[str] = context.Queue()
    server = context.Process(target=_serve, args=(urls, fault), daemon=True)
    server.start()
    try:
        url = await asyncio.to_thread(urls.get, True, 30)
        database = await asyncio.to_thread(RealtimeDatabase, url)
        mirror = FirebaseMirror(database, Finals(folder), lambda _: "tenant")
        try:
            return await _tick(mirror)
        finally:
            await mirror.close(0.5)
    finally:
        server.terminate()
        server.join()


def _print(name: str, late: list[float], cost: list[float], cpu_s: float) -> None:
    puts = f"put {_figures(cost)} µs" if cost else ""
    share = 100 * cpu_s / _SECONDS
    click.echo(f"{name:<14} tick late {_figures(late)} ms; {share:.1f} % of a core; {puts}")


def _figures(values: list[float]) -> str:
    ranked = sorted(values)
    p50, p99 = ranked[len(ranked) // 2], ranked[int(len(ranked) * 0.99)]
    return f"p50 {p50:.2f}, p99 {p99:.2f}, most {ranked[-1]:.2f}"


async def _all() -> None:
    _print("no mirror", *await _tick(None))
    for name, fault in _CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            _print(name, *await _case(fault, Path(folder)))


@click.command()
def main() -> None:
    """Measure the mirror's cost on the event loop: without one, healthy, slow and failing."""
    asyncio.run(_all())


if __name__ == "__main__":
    main()
