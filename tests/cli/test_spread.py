"""Work over several processes: the same results in the same order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
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


def wait_beside(folder: str, item: int) -> None:
    (Path(folder) / f"{item} {os.getpid()}").touch()
    signal.pause()


def test_workers_of_a_parent_that_is_killed_leave(tmp_path: Path) -> None:
    script = (
        "from tests.cli.test_spread import spread, wait_beside\n"
        "if __name__ == '__main__':\n"
        f"    list(spread(wait_beside, {str(tmp_path)!r}, range(2), jobs=2))\n"
    )
    (tmp_path / "parent.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    with subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], env=environment) as parent:
        while len(found := list(tmp_path.glob("* *"))) < 2:
            assert parent.poll() is None
        workers = [psutil.Process(int(path.name.split()[1])) for path in found]
        parent.kill()
    gone, _ = psutil.wait_procs(workers, timeout=60)
    assert set(gone) == set(workers)


def test_there_is_at_least_one_core() -> None:
    assert cores() >= 1
