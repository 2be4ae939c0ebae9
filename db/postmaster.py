"""Reads what a running Postgres says about itself, and clears up after one that was killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec

from db.errors import EmbeddedServerError

_PATIENCE_S = 10.0  # for an orderly shutdown, before the immediate one


class Postmaster(msgspec.Struct, frozen=True):
    """The contents of `postmaster.pid`."""

    pid: int
    port: int
    socket_folder: str
    is_ready: bool


def read_postmaster(data: Path) -> Postmaster | None:
    """What runs, or ran, in a cluster; None when there is no (complete) pid file."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        # pid, data folder, start time, port, socket folder, address, shared memory, status
        status = lines[7].strip() if len(lines) > 7 else ""
        return Postmaster(int(lines[0]), int(lines[3]), lines[4].strip(), status == "ready")
    except (FileNotFoundError, IndexError, ValueError):
        return None


def clear_leftovers(data: Path, deadline: float) -> Postmaster | None:
    """Wait for, and if need be end, what still runs of a server nobody supervises.

    Only for the holder of the lock. A server removes its pid file a little before it lets go of
    its socket, so processes are looked for even where there is none. Removes a pid file and
    a socket's lock file that no process stands behind: a zombie or a reused process id would
    make Postgres refuse to start. Returns what the pid file said. `deadline` is on the clock
    of `time.monotonic`.
    """
    left = read_postmaster(data)
    began = time.monotonic()
    signalled = None
    while pids := _processes_in(data):
        # Its supervisor's death told the server to stop; this is for one that did not hear.
        wanted = signal.SIGINT if time.monotonic() < began + _PATIENCE_S else signal.SIGQUIT
        if left is not None and left.pid in pids and signalled is not wanted:
            _send(left.pid, wanted)
            signalled = wanted
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"process {min(pids)} still uses {data} and does not end: end it, then try again"
            )
        time.sleep(0.01)
    (data / "postmaster.pid").unlink(missing_ok=True)
    if left is not None:
        address = Path(left.socket_folder, f".s.PGSQL.{left.port}")
        address.unlink(missing_ok=True)
        address.with_name(f"{address.name}.lock").unlink(missing_ok=True)
    return left


def _processes_in(data: Path) -> set[int]:
    """Living Postgres processes of a cluster: all of them have it as their working folder."""
    home = str(data.resolve())
    return {
        int(entry.name)
        for entry in os.scandir("/proc")
        if entry.name.isdigit() and _is_postgres_in(home, entry.path)
    }


def _is_postgres_in(home: str, process: str) -> bool:
    try:
        program = os.path.basename(os.readlink(f"{process}/exe"))
        return os.readlink(f"{process}/cwd") == home and program.startswith("postgres")
    except OSError:  # gone, a zombie, or another user's: none of ours
        return False


def _send(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return
