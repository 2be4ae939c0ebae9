"""Work over several processes: the same results in the same order."""

from __future__ import annotations

import os

import pytest

from voice_server.cli.spread import cores, spread


def add(shared: int, item: int) -> int:
    return shared + item


def who(_: None, item: int) -> int:
    return os.getpid()


def fail(_: None, item: int) -> int:
    if item == 3:
        raise ValueError(f"item {item} is odd")
    return item


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("together", [1, 4])
def test_results_come_in_order(jobs: int, together: int) -> None:
    found = spread(add, 100, range(10), jobs=jobs, together=together)
    assert list(found) == list(range(100, 110))


def test_one_job_is_done_here_and_more_are_not() -> None:
    assert set(spread(who, None, range(3), jobs=1)) == {os.getpid()}
    assert os.getpid() not in set(spread(who, None, range(3), jobs=2))


def test_nothing_to_do_gives_nothing() -> None:
    assert list(spread(add, 1, (), jobs=2)) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_goes_wrong_is_told(jobs: int) -> None:
    with pytest.raises(ValueError, match="item 3 is odd"):
        list(spread(fail, None, range(6), jobs=jobs))


def test_there_is_at_least_one_core() -> None:
    assert cores() >= 1
