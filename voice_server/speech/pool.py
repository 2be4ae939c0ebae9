"""Threads shared by all calls' recognition and speech, most urgent work first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import Any, TypeVar

T = TypeVar("T")


class Urgency(IntEnum):
    """Who goes first; equals go in order of arrival."""

    FINAL = 0  # the agent cannot answer before it
    LIKELY_FINAL = 1  # the caller has paused: soon somebody will ask
    FIRST_CLAUSE = 2  # the caller is waiting in silence
    NEXT_CLAUSE = 3  # the caller is still hearing the one before
    PARTIAL = 4  # nice to have
    WARMING = 5


class InferencePool:
    """A bounded number of threads for model runs.

    Whoever submits keeps to one or two jobs per call, so the waiting line is bounded by the
    number of live calls.
    """

    __slots__ = ("_executor", "_lock", "_numbers", "_waiting")

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._waiting: list[tuple[Urgency, int, asyncio.Future[Any], Callable[[], Any]]] = []

    def submit(self, urgency: Urgency, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run `work` in a thread; cancelling the future takes it out of the line.

        A job already running is not interrupted. Call on the event loop.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            heapq.heappush(self._waiting, (urgency, next(self._numbers), future, work))
        # by way of the loop, so that one in virtual time knows that work is in flight
        loop.run_in_executor(self._executor, self._run_most_urgent)
        return future

    def close(self) -> None:
        """Wait for running jobs; those in line never run, their futures never finish."""
        with self._lock:
            self._waiting.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _run_most_urgent(self) -> None:
        with self._lock:
            if not self._waiting:
                return
            _, _, future, work = heapq.heappop(self._waiting)
        if future.cancelled():
            return
        result: Any = None
        error: Exception | None = None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001  # whoever awaits the future gets it
            error = raised
        try:
            future.get_loop().call_soon_threadsafe(_settle, future, result, error)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
