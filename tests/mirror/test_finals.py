"""Final states on disk: kept, delivered, left behind, adopted."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
from pathlib import Path

import pytest

from tests.mirror.states import state
from voice_server.mirror.finals import Final, Finals


def final(name: str) -> Final:
    return Final(name, "tenant", state(9, "booked"))


def abandoned(folder: Path, *names: str, delivered: tuple[str, ...] = ()) -> None:
    """What a process leaves that is killed: unlocked files and no goodbye."""
    finals = Finals(folder)
    for name in names:
        finals.keep(final(name))
    for name in delivered:
        finals.delivered(name)
    finals.close()


def test_what_was_kept_is_there_for_the_next_process(tmp_path):
    abandoned(tmp_path, "a", "b", "c", delivered=("b",))
    adopted = Finals(tmp_path)
    assert adopted.waiting(10) == [final("a"), final("c")]
    assert adopted.waiting(1) == [final("a")]
    assert len(adopted) == 2
    adopted.close()


def test_files_are_gone_when_everything_is_delivered(tmp_path):
    abandoned(tmp_path, "a")
    finals = Finals(tmp_path)
    finals.keep(final("b"))
    finals.sync()
    finals.delivered("a")
    assert len(list(tmp_path.iterdir())) == 2
    finals.delivered("b")
    (own,) = tmp_path.iterdir()
    assert own.stat().st_size == 0
    finals.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_later_process_delivered_is_not_delivered_by_the_one_after(tmp_path):
    abandoned(tmp_path, "a", "b")
    second = Finals(tmp_path)
    second.delivered("a")
    second.close()
    third = Finals(tmp_path)
    assert third.waiting(10) == [final("b")]
    third.close()


def test_files_of_a_living_process_are_left_alone(tmp_path):
    living = Finals(tmp_path)
    living.keep(final("a"))
    other = Finals(tmp_path)
    assert len(other) == 0
    other.close()
    assert living.waiting(10) == [final("a")]
    living.close()


def test_a_line_that_a_crash_has_cut_costs_only_itself(tmp_path):
    abandoned(tmp_path, "a", "b")
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    finals = Finals(tmp_path)
    assert finals.waiting(10) == [final("a")]
    finals.close()


def test_after_close_nothing_is_taken_and_nothing_lost(tmp_path):
    finals = Finals(tmp_path)
    finals.keep(final("a"))
    finals.close()
    finals.delivered("a")  # too late: it stays for the next process
    finals.sync()
    with pytest.raises(OSError, match="closed"):
        finals.keep(final("b"))
    again = Finals(tmp_path)
    assert again.waiting(10) == [final("a")]
    again.close()


def test_a_disk_that_is_full_is_told_and_leaves_no_half_line(tmp_path):
    finals = Finals(tmp_path)
    finals.keep(final("a"))
    (path,) = tmp_path.iterdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        with pytest.raises(OSError) as full:  # noqa: PT011
            finals.keep(final("b"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert full.value.errno in (None, errno.EFBIG)
    assert finals.waiting(10) == [final("a")]
    finals.keep(final("c"))
    assert finals.waiting(10) == [final("a"), final("c")]
    finals.close()


def test_only_the_owner_may_read_what_callers_said(tmp_path):
    folder = tmp_path / "mirror"
    finals = Finals(folder)
    finals.keep(final("a"))
    (path,) = folder.iterdir()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    finals.close()
