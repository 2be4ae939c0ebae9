from __future__ import annotations

from benchmarks.measure import Bench, measure


def test_each_repeat_is_prepared_anew_and_a_first_run_is_not_counted() -> None:
    made: list[int] = []
    done: list[int] = []

    def prepare() -> object:
        number = len(made)
        made.append(number)
        return lambda: done.append(number)

    timing = measure(Bench("counting", "count", 1, prepare), repeats=3)  # type: ignore[arg-type]
    assert made == done == [0, 1, 2, 3]
    assert (timing.name, timing.unit) == ("counting", "count")


def test_a_timing_is_per_operation_and_relative_to_the_yardstick() -> None:
    def prepare() -> object:
        return lambda: sum(range(100_000))

    whole = measure(Bench("sum", "sum", 1, prepare), repeats=3)  # type: ignore[arg-type]
    part = measure(Bench("sum", "number", 100_000, prepare), repeats=3)  # type: ignore[arg-type]
    assert whole.least_us > part.least_us * 1_000
    assert whole.ratio > part.ratio
    assert whole.least_us <= whole.median_us
