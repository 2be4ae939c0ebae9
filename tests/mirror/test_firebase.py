"""The mirror as a whole: its thread, the real SDK, the simulated database on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.mirror.states import state, told, without_times
from voice_server.errors import ConfigurationError, ServiceRejected, ServiceUnavailable
from voice_server.mirror.database import RealtimeDatabase
from voice_server.mirror.fan import MirrorFan
from voice_server.mirror.finals import Final, Finals
from voice_server.mirror.firebase import FirebaseMirror
from voice_server.mirror.local import LocalMirror
from voice_server.mirror.pending import Pace
from voice_server.telemetry import Metrics
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.lab.host import hosting

FAST = Pace(writes_per_s=20.0)


def tenant(call_id: str) -> str:
    return "tenant-a"


async def until(holds: Callable[[], Any], limit_s: float = 15.0) -> None:
    """Let the writer's thread, which knows nothing of this loop, get there."""
    async with asyncio.timeout(limit_s):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def mirrored(
    folder: Path, lab: FirebaseLab | None = None, **options: Any
) -> AsyncIterator[tuple[FirebaseMirror, FirebaseLab]]:
    lab = lab or FirebaseLab()
    async with hosting(lab.app) as url:
        database = await asyncio.to_thread(
            RealtimeDatabase, lab.database_url(url), timeout_s=options.pop("timeout_s", 2.0)
        )
        mirror = FirebaseMirror(
            database,
            Finals(folder),
            tenant,
            FAST,
            jitter=lambda: 0.0,
            metrics=options.pop("metrics", None),
        )
        try:
            yield mirror, lab
        finally:
            await mirror.close(limit_s=options.pop("close_s", 5.0))


async def test_a_call_appears_changes_and_ends(tmp_path):
    async with mirrored(tmp_path) as (mirror, lab):
        mirror.put("c1", state(1))
        await until(lambda: lab.value("live/tenant-a/c1"))
        node = lab.value("live/tenant-a/c1")
        assert without_times(node) == told(state(1))
        assert node["expires_at"] - node["updated_at"] == pytest.approx(240_000, abs=5_000)
        for sequence in range(2, 50):
            mirror.put("c1", state(sequence, turn=sequence))
        mirror.put("c1", state(50, "booked"))
        await until(lambda: lab.value("live/tenant-a/c1/status") == "ended")
        assert without_times(lab.value("live/tenant-a/c1")) == told(state(50, "booked"))
        assert len(lab.writes) < 10
    assert list(tmp_path.iterdir()) == []


async def test_an_operator_sees_writes_their_lag_and_what_waits(tmp_path):
    lab = FirebaseLab(plan=FaultPlan({1: Fault.SERVER_ERROR}))
    metrics = Metrics()

    def value(name: str, **labels: str) -> float:
        found = metrics.registry.get_sample_value(f"voice_server_mirror_{name}", labels)
        return found or 0.0

    async with mirrored(tmp_path, lab, metrics=metrics.mirror) as (mirror, _):
        mirror.put("c1", state(1, "booked"))
        assert (value("calls_waiting"), value("finals_waiting")) == (1, 1)
        await until(lambda: lab.value("live/tenant-a/c1"))
        await until(lambda: not value("finals_waiting"))
        assert value("calls_waiting") == 0
        assert value("writes_total", result="unavailable") == 1
        assert value("writes_total", result="written") == 1
        assert value("lag_seconds_count") == 1
        assert value("lag_seconds_sum") >= 0.1, "it was written only after the failure"
        assert value("dropped_total") == 0


async def test_closing_writes_what_waits(tmp_path):
    async with mirrored(tmp_path) as (mirror, lab):
        for number in range(30):
            mirror.put(f"c{number}", state(3, "booked"))
    assert len(lab.value("live/tenant-a")) == 30
    assert lab.plan.seen <= 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "injection",
    [
        Injection(Fault.SERVER_ERROR),
        Injection(Fault.DROP),
        Injection(Fault.DROP, after_bytes=1),
        Injection(Fault.RATE_LIMITED),
        Injection(Fault.QUOTA),
        Injection(Fault.GARBAGE),
        Injection(Fault.UNAUTHORIZED),
        Injection(Fault.STALL, delay_s=1.0),
        Injection(Fault.SLOW_FIRST_BYTE, delay_s=1.0),
    ],
    ids=lambda injection: f"{injection.fault}-{injection.after_bytes}",
)
async def test_whatever_goes_wrong_the_last_state_arrives(tmp_path, injection):
    lab = FirebaseLab(plan=FaultPlan({1: injection, 2: injection, 4: injection}))
    async with mirrored(tmp_path, lab, timeout_s=0.3) as (mirror, _):
        mirror.put("c1", state(1))
        mirror.put("c2", state(1))
        await until(lambda: lab.plan.seen >= 2)
        mirror.put("c1", state(2, "booked"))
        mirror.put("c2", state(2, "scam"))
        await until(lambda: all(file.stat().st_size == 0 for file in tmp_path.iterdir()))
    assert without_times(lab.value("live/tenant-a/c1")) == told(state(2, "booked"))
    assert without_times(lab.value("live/tenant-a/c2")) == told(state(2, "scam"))


async def test_the_sdk_does_not_repeat_requests_behind_our_back(tmp_path):
    lab = FirebaseLab(plan=FaultPlan(otherwise=Fault.SERVER_ERROR))
    async with hosting(lab.app) as url:
        database = await asyncio.to_thread(RealtimeDatabase, lab.database_url(url))
        with pytest.raises(ServiceUnavailable, match="503"):
            await asyncio.to_thread(database.write, {"t/c": {"a": "a caller's words"}})
        assert lab.plan.seen == 1
        database.close()


@pytest.mark.parametrize(
    ("updates", "error"),
    [
        ({"t/c": {"status": "odd"}}, ServiceRejected),
        ({"t/c": {"risk": float("nan")}}, ServiceUnavailable),
        ({"t/c": 1, "t/c/d": 2}, ServiceRejected),
        ({}, ServiceRejected),
    ],
)
async def test_errors_are_ours_and_say_nothing_of_the_call(tmp_path, updates, error):
    lab = FirebaseLab()
    async with hosting(lab.app) as url:
        database = await asyncio.to_thread(RealtimeDatabase, lab.database_url(url))
        with pytest.raises(error) as raised:
            await asyncio.to_thread(database.write, updates)
        assert "odd" not in str(raised.value)
        assert raised.value.__suppress_context__
        database.close()


async def test_a_dead_database_costs_the_calls_no_time_and_close_keeps_its_limit(tmp_path):
    lab = FirebaseLab(plan=FaultPlan(otherwise=Injection(Fault.SLOW_FIRST_BYTE, delay_s=60)))
    began = 0.0
    async with mirrored(tmp_path, lab, timeout_s=3.0, close_s=0.2) as (mirror, _):
        mirror.put("c0", state(1))
        await until(lambda: lab.plan.seen == 1)
        slowest = 0.0
        for sequence in range(2, 3_000):
            start = time.perf_counter()
            mirror.put(f"c{sequence % 100}", state(sequence))
            slowest = max(slowest, time.perf_counter() - start)
        mirror.put("c1", state(5_000, "booked"))
        assert slowest < 0.05  # a thread that takes the processor counts as well
        began = time.perf_counter()
    assert time.perf_counter() - began < 2.5
    left = Finals(tmp_path)
    assert [final.call_id for final in left.waiting(10)] == ["c1"]
    left.close()
    for thread in threading.enumerate():
        if thread.name == "firebase-mirror":
            await asyncio.to_thread(thread.join, 10)


async def test_what_a_dead_process_left_is_delivered_by_the_next(tmp_path):
    left = Finals(tmp_path)
    for number in range(700):
        left.keep(Final(f"c{number}", "tenant-b", state(9, "scam")))
    left.close()
    async with mirrored(tmp_path) as (mirror, lab):
        mirror.put("mine", state(1))
        await until(lambda: len(lab.value("live/tenant-b") or ()) == 700)
    assert without_times(lab.value("live/tenant-b/c699")) == told(state(9, "scam"))
    assert list(tmp_path.iterdir()) == []


KILLED = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from tests.mirror.states import state
    from voice_server.errors import ServiceUnavailable
    from voice_server.mirror.finals import Finals
    from voice_server.mirror.firebase import FirebaseMirror

    class Dead:
        def write(self, updates): raise ServiceUnavailable("firebase", "dead")
        def sweep(self, now_ms): return 0
        def close(self): pass

    mirror = FirebaseMirror(Dead(), Finals(Path(sys.argv[1])), lambda call_id: "tenant-a")
    for number in range(10_000):
        mirror.put(f"c{number}", state(1))
        mirror.put(f"c{number}", state(2, "booked"))
        print(number, flush=True)
        time.sleep(0.001)
    """
)


@pytest.mark.slow
async def test_a_process_killed_in_the_middle_leaves_all_final_states_to_the_next(tmp_path):
    root = Path(__file__).parents[2]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KILLED,
        str(tmp_path),
        cwd=root,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    assert child.stdout is not None
    seen = -1
    while seen < 150:
        seen = int(await child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    rest = (await child.stdout.read()).split()
    await child.wait()
    last = int(rest[-1]) if rest else seen
    async with mirrored(tmp_path) as (_, lab):
        await until(lambda: len(lab.value("live/tenant-a") or ()) > last)
    for number in range(last + 1):
        node = lab.value(f"live/tenant-a/c{number}")
        assert without_times(node) == told(state(2, "booked"))


async def test_the_sweeper_deletes_what_has_expired_and_nothing_else(tmp_path):
    lab = FirebaseLab()
    async with hosting(lab.app) as url:
        database = await asyncio.to_thread(RealtimeDatabase, lab.database_url(url))

        def node(expires_at: int) -> dict[str, Any]:
            times = {"updated_at": {".sv": "timestamp"}, "expires_at": expires_at}
            return {"status": "live", "seq": 1} | times

        assert await asyncio.to_thread(database.sweep, 5_000) == 0
        calls = {"a/old": node(4_000), "a/new": node(6_000), "b/older": node(10)}
        await asyncio.to_thread(database.write, calls)
        assert await asyncio.to_thread(database.sweep, 5_000) == 2
        assert list(lab.value("live")) == ["a"]
        assert list(lab.value("live/a")) == ["new"]
        database.close()


async def test_a_call_of_an_unknown_tenant_is_shown_to_nobody(tmp_path):
    lab = FirebaseLab()
    async with hosting(lab.app) as url:
        database = await asyncio.to_thread(RealtimeDatabase, lab.database_url(url))
        mirror = FirebaseMirror(database, Finals(tmp_path), lambda call_id: None, FAST)
        mirror.put("c", state(1, "booked"))
        await mirror.close()
    assert lab.value("") is None


@pytest.mark.parametrize("credentials", [None, "missing.json"])
def test_a_database_in_the_cloud_needs_a_key(tmp_path, credentials):
    path = None if credentials is None else tmp_path / credentials
    with pytest.raises(ConfigurationError, match="VOICE_SERVER_FIREBASE_CREDENTIALS"):
        RealtimeDatabase("https://demo.firebaseio.com", path)


def test_a_fan_gives_every_state_to_all():
    one, two = LocalMirror(), LocalMirror()
    MirrorFan(one, two).put("c", state(1))
    assert one.state("c") == two.state("c") == state(1)


def test_nothing_of_the_sdk_is_loaded_until_a_database_is_opened():
    code = (
        "import sys, voice_server.app, voice_server.mirror.tokens; "
        "sys.exit('firebase_admin' in sys.modules or 'google.auth' in sys.modules)"
    )
    with contextlib.chdir(Path(__file__).parents[2]):
        subprocess.run([sys.executable, "-c", code], check=True)
