"""Rows on disk: nothing is lost, nothing changes place."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.rows import CallRow, LineSaid
from voice_server.runtime.spill import Spill


def row(number: int, call_id: str = "call-1") -> LineSaid:
    return LineSaid(call_id, number, "caller", f"line {number} … ünïcode \n", "", number, number)


def rows(*numbers: int) -> list[CallRow]:
    return [row(number) for number in numbers]


def drain(spill: Spill, size: int = 3) -> list[int]:
    """Take everything out, as the outbox does."""
    taken = []
    for batch in spill.batches(size):
        assert 0 < len(batch) <= size
        taken += [one.sequence for one in batch]
        spill.taken(batch)
    return taken


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("rows-*.jsonl"))


def test_rows_come_out_as_they_went_in(tmp_path):
    spill = Spill(tmp_path)
    spill.append(rows(1, 2, 3, 4))
    spill.append(rows(5))
    assert spill.rows == 5
    assert next(spill.batches(2)) == rows(1, 2)
    assert drain(spill) == [1, 2, 3, 4, 5]
    assert spill.rows == 0
    assert files(tmp_path) == []


def test_a_batch_that_is_not_taken_comes_again(tmp_path):
    spill = Spill(tmp_path)
    spill.append(rows(1, 2, 3, 4, 5))
    for number, batch in enumerate(spill.batches(2)):
        if number == 1:
            break
        spill.taken(batch)
    assert spill.rows == 3
    assert drain(spill) == [3, 4, 5]
    spill.close()


def test_rows_appended_while_others_are_taken_come_last(tmp_path):
    spill = Spill(tmp_path)
    spill.append(rows(1, 2))
    seen = []
    for batch in spill.batches(2):
        seen += [one.sequence for one in batch]
        if len(seen) < 8:
            spill.append(rows(len(seen) + 1, len(seen) + 2))
        spill.taken(batch)
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8]
    assert files(tmp_path) == []


def test_a_spill_can_be_used_again_when_it_has_been_empty(tmp_path):
    spill = Spill(tmp_path)
    for number in range(3):
        spill.append(rows(number))
        assert drain(spill) == [number]
    spill.close()


def test_what_a_dead_process_left_is_adopted_before_anything_new(tmp_path):
    dead = Spill(tmp_path)
    dead.append(rows(1, 2))
    dead.close()
    spill = Spill(tmp_path)
    assert spill.rows == 2
    spill.append(rows(3))
    assert drain(spill) == [1, 2, 3]


def test_a_row_after_a_line_that_a_crash_has_cut_is_not_swallowed(tmp_path):
    dead = Spill(tmp_path)
    dead.append(rows(1, 2))
    dead.close()
    [path] = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-7])
    spill = Spill(tmp_path)
    assert spill.rows == 1
    spill.append(rows(3, 4))
    assert spill.rows == 3
    assert drain(spill) == [1, 3, 4]
    assert spill.rows == 0


@pytest.mark.parametrize("content", [b"", b"\n", b"nonsense\n", b'["no", "row"]\n', b"\xff\xfe"])
def test_an_orphan_without_rows_is_removed(tmp_path, content):
    (tmp_path / "rows-1-1.jsonl").write_bytes(content)
    spill = Spill(tmp_path)
    assert spill.rows == 0
    assert drain(spill) == []
    assert files(tmp_path) == []


def test_a_living_process_keeps_its_file(tmp_path):
    one = Spill(tmp_path)
    one.append(rows(1))
    other = Spill(tmp_path)
    assert other.rows == 0
    other.append(rows(2))
    assert drain(other) == [2]
    assert drain(one) == [1]
    one.close()
    other.close()


def test_files_of_several_dead_processes_are_taken_oldest_first(tmp_path):
    dead = [Spill(tmp_path) for _ in range(3)]
    for number, spill in enumerate(dead):
        spill.append(rows(number))
    for spill in reversed(dead):
        spill.close()
    assert drain(Spill(tmp_path)) == [0, 1, 2]


def test_a_file_is_adopted_by_one_heir_only(tmp_path):
    dead = Spill(tmp_path)
    dead.append(rows(1))
    dead.close()
    heirs = [Spill(tmp_path) for _ in range(3)]
    assert [heir.rows for heir in heirs] == [1, 0, 0]
    assert [drain(heir) for heir in heirs] == [[1], [], []]


def test_a_file_that_vanishes_before_it_is_opened_is_no_orphan(tmp_path):
    (tmp_path / "rows-1-1.jsonl").symlink_to(tmp_path / "gone")
    assert Spill(tmp_path).rows == 0


def test_files_are_their_owners_alone(tmp_path):
    folder = tmp_path / "spill"
    spill = Spill(folder)
    spill.append(rows(1))
    spill.reject(row(2))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    spill.close()


def test_refused_rows_are_kept_for_an_operator_and_never_adopted(tmp_path):
    spill = Spill(tmp_path)
    spill.reject(row(1))
    spill.reject(row(2))
    spill.close()
    lines = (tmp_path / "rejected.jsonl").read_bytes().splitlines()
    assert len(lines) == 2
    assert Spill(tmp_path).rows == 0


def test_closing_keeps_rows_and_removes_empty_files(tmp_path):
    spill = Spill(tmp_path)
    spill.append(rows(1))
    spill.close()
    assert len(files(tmp_path)) == 1
    heir = Spill(tmp_path)
    drain(heir)
    heir.append(rows(2))
    for batch in heir.batches(1):
        heir.taken(batch)
        break
    heir.close()
    assert files(tmp_path) == []


def test_a_disk_that_fills_up_leaves_no_half_of_a_row(tmp_path):
    """With a limit on the file's size the kernel cuts the write, as a full disk does."""
    script = textwrap.dedent(
        f"""
        import resource
        from pathlib import Path
        from tests.runtime.test_spill import Spill, drain, row
        spill = Spill(Path({str(tmp_path)!r}))
        spill.append([row(1)])
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
        try:
            spill.append([row(number) for number in range(2, 40)])
        except OSError:
            pass
        else:
            raise SystemExit("the write was not cut")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert spill.rows == 1
        spill.append([row(40)])
        assert drain(spill) == [1, 40]
        """
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True, timeout=60)


def test_a_killed_process_leaves_what_append_has_confirmed(tmp_path):
    script = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from tests.runtime.test_spill import Spill, row
        spill = Spill(Path({str(tmp_path)!r}))
        spill.append([row(1), row(2)])
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=False, timeout=60)
    assert drain(Spill(tmp_path)) == [1, 2]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("restart"), st.booleans()),
    ),
    max_size=25,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_over_any_history_each_row_comes_at_least_once_and_in_order(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("spill")
    spill, put, seen = Spill(folder), 0, []
    for step, amount in steps:
        if step == "append":
            spill.append(rows(*range(put, put + amount)))
            put += amount
        elif step == "take":
            for batch in spill.batches(amount):
                seen += [one.sequence for one in batch]
                spill.taken(batch)
                break
        else:
            spill.close()
            spill = Spill(folder)
    seen += drain(spill)
    spill.close()
    assert sorted(set(seen)) == list(range(put))
    first_seen = list(dict.fromkeys(seen))
    assert first_seen == sorted(first_seen)
    assert [path.name for path in files(folder)] == []
    os.rmdir(folder)
