from __future__ import annotations

import asyncio
import threading

import pytest

from voice_server.speech.pool import InferencePool, Urgency


class Gate:
    """Keeps the only thread of a pool busy until it opens."""

    def __init__(self, pool: InferencePool) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()
        self.done = pool.submit(Urgency.FINAL, self._wait)
        assert self._entered.wait(5)

    def _wait(self) -> None:
        self._entered.set()
        assert self._open.wait(5)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def pool():
    made = InferencePool(1)
    yield made
    made.close()


async def test_the_result_comes_back(pool):
    assert await pool.submit(Urgency.FINAL, lambda: 6 * 7) == 42


async def test_work_is_done_in_another_thread(pool):
    assert await pool.submit(Urgency.FINAL, threading.get_ident) != threading.get_ident()


async def test_what_the_work_raises_reaches_who_waits(pool):
    def fail() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        await pool.submit(Urgency.FINAL, fail)

    assert await pool.submit(Urgency.FINAL, lambda: "still alive") == "still alive"


async def test_the_most_urgent_goes_first_and_equals_in_order_of_arrival(pool):
    gate = Gate(pool)
    order: list[str] = []
    waiting = [
        pool.submit(urgency, lambda name=name: order.append(name))
        for urgency, name in [
            (Urgency.WARMING, "warm"),
            (Urgency.PARTIAL, "partial 1"),
            (Urgency.NEXT_CLAUSE, "next"),
            (Urgency.PARTIAL, "partial 2"),
            (Urgency.FINAL, "final 1"),
            (Urgency.FIRST_CLAUSE, "first"),
            (Urgency.LIKELY_FINAL, "likely"),
            (Urgency.FINAL, "final 2"),
        ]
    ]

    gate.open()
    await asyncio.gather(*waiting)

    assert order == [
        *("final 1", "final 2", "likely", "first", "next", "partial 1", "partial 2", "warm"),
    ]


async def test_a_cancelled_job_never_runs(pool):
    gate = Gate(pool)
    ran: list[int] = []
    dropped = pool.submit(Urgency.FINAL, lambda: ran.append(1))
    kept = pool.submit(Urgency.FINAL, lambda: ran.append(2))

    dropped.cancel()
    gate.open()
    await kept

    assert ran == [2]


async def test_a_job_cancelled_while_it_runs_changes_nothing_for_others(pool):
    gate = Gate(pool)

    gate.done.cancel()
    gate.open()

    assert await pool.submit(Urgency.PARTIAL, lambda: "next") == "next"
    assert gate.done.cancelled()


async def test_never_more_jobs_at_once_than_threads():
    pool = InferencePool(3)
    lock = threading.Lock()
    running = most = 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.002)
        with lock:
            running -= 1

    await asyncio.gather(*(pool.submit(Urgency.PARTIAL, work) for _ in range(30)))
    pool.close()

    assert most == 3


def test_a_loop_that_closed_meanwhile_does_not_harm_the_pool(pool):
    release = threading.Event()

    async def leave_early() -> None:
        pool.submit(Urgency.FINAL, lambda: release.wait(5))

    asyncio.run(leave_early())
    release.set()

    async def come_again() -> str:
        return await pool.submit(Urgency.FINAL, lambda: "served")

    assert asyncio.run(come_again()) == "served"


async def test_closing_drops_what_is_in_line_and_waits_for_what_runs():
    pool = InferencePool(1)
    gate = Gate(pool)
    ran: list[int] = []
    waiting = pool.submit(Urgency.FINAL, lambda: ran.append(1))

    threading.Timer(0.05, gate.open).start()
    pool.close()
    await gate.done

    assert not ran
    assert not waiting.done()
