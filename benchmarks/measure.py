"""Times small pieces of work against a loop whose cost everybody can imagine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median
from typing import TypeAlias

import msgspec

Work: TypeAlias = Callable[[], object]

REPEATS = 9
_YARDSTICK_ROUNDS = 20_000


class Bench(msgspec.Struct, frozen=True):
    """Something to time. `prepare` is not timed; the work it returns is done once."""

    name: str
    unit: str  # what one operation is
    operations: int  # in one piece of work
    prepare: Callable[[], Work]


class Timing(msgspec.Struct, frozen=True):
    """CPU time of the measuring thread per operation, over several repeats.

    `ratio` is to one round of the yardstick, an integer multiplied and added to in a Python
    loop, timed in turns with the work so that a slower moment of the machine strikes both.
    """

    name: str
    unit: str
    least_us: float
    median_us: float
    ratio: float


def measure(bench: Bench, repeats: int = REPEATS) -> Timing:
    """Time one bench; a first run, not counted, fills caches."""
    _cpu_us(bench.prepare())
    spent, yard = [], []
    for _ in range(repeats):
        yard.append(_cpu_us(_yardstick) / _YARDSTICK_ROUNDS)
        spent.append(_cpu_us(bench.prepare()) / bench.operations)
    return Timing(
        name=bench.name,
        unit=bench.unit,
        least_us=round(min(spent), 3),
        median_us=round(median(spent), 3),
        ratio=round(min(spent) / min(yard), 1),
    )


def _cpu_us(work: Work) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.thread_time_ns()
        work()
        return (time.thread_time_ns() - began) / 1_000
    finally:
        gc.enable()


def _yardstick() -> int:
    value = 1
    for _ in range(_YARDSTICK_ROUNDS):
        value = (value * 1_103_515_245 + 12_345) & 0x7FFFFFFF
    return value
