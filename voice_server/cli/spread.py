"""Spreads long work over the cores; the results do not depend on how many there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")

_kept: list[Any] = []  # in a worker: the function and what its calls share


def cores() -> int:
    """Return how many processes can run at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spread(
    work: Callable[[Shared, Item], Result],
    shared: Shared,
    items: Sequence[Item],
    *,
    jobs: int,
    together: int = 1,
) -> Iterator[Result]:
    """Yield `work(shared, item)` for each item, in order, from `jobs` processes.

    `work` must be a function of a module, everything else must be picklable; `shared` travels
    once to each process, items travel `together`. One job is done in this process.
    """
    if jobs == 1 or len(items) <= together:
        yield from (work(shared, item) for item in items)
        return
    with ProcessPoolExecutor(
        min(jobs, len(items)),
        mp_context=get_context("spawn"),  # the same everywhere, and safe beside threads
        initializer=_keep,
        initargs=(work, shared),
    ) as pool:
        try:
            yield from pool.map(_work, items, chunksize=together)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _keep(work: Callable[[Any, Any], Any], shared: object) -> None:
    _kept[:] = [work, shared]
    Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End a worker whose parent was killed: it would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(item: object) -> Any:
    work, shared = _kept
    return work(shared, item)
