"""Whole servers: started, called, harmed and stopped."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

import db
from tests.db.server import fastest_disk, fetch
from voice_server.call.live import LiveState
from voice_server.errors import ConfigurationError
from voice_server.runtime.replay import replay
from voice_server.testing.box import open_box
from voice_server.testing.caller import SilentCaller, caller_for
from voice_server.testing.faults import StatusCallbacks
from voice_server.testing.virtual import hold_time

pytestmark = [pytest.mark.weights, pytest.mark.postgres]

CALLERS = Path(__file__).parent / "callers"


async def ask(dsn: str, query: str, *arguments: object) -> list:
    """Ask the database, which knows nothing of virtual time."""
    with hold_time():
        return await fetch(dsn, query, *arguments)


def stored_lines(session) -> list[str]:
    """What both sides said, in order, as the call's row has it."""
    told = msgspec.json.decode(session["conversation_data"])
    lines = [*told["transcripts"], *told["agent_responses"]]
    return [line["text"] for line in sorted(lines, key=lambda line: line["sequence"])]


# Start and stop


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def threads() -> set[str]:
    """Threads that belong to one server; those of the shared engines stay."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("scam")}


async def test_a_server_that_was_called_leaves_nothing_behind_when_it_stops(box):
    async with box():  # loads what is loaded once for all
        pass
    before = open_files(), asyncio.all_tasks()
    async with box() as opened, httpx.AsyncClient() as web:
        assert (await web.get(f"{opened.url}/healthz")).text == "ok"
        result, report = await opened.call(SilentCaller(stay_ms=600))
        assert report.errors == ()
        assert result.outcome == "abandoned"
    for _ in range(100):
        if not threads():
            break
        await asyncio.sleep(0.01)
    assert threads() == set()
    assert asyncio.all_tasks() == before[1]
    assert open_files() <= before[0]


async def test_a_database_out_of_reach_stops_the_start_and_leaves_nothing(box, tmp_path):
    with pytest.raises(db.StoreError):
        async with box(database_url=f"postgresql:///none?host={tmp_path}"):
            pass
    assert threads() == set()


async def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(box):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="VOICE_SERVER_PORT"):
            async with box(port=port):
                pass


@pytest.mark.parametrize("host", ["192.0.2.1", "::1"])
async def test_a_host_is_listened_at_or_named_as_impossible(box, host):
    try:
        async with box(host=host) as opened, httpx.AsyncClient() as web:
            assert (await web.get(f"{opened.url}/healthz")).status_code == 200
    except ConfigurationError as error:
        assert host in str(error)  # noqa: PT017 - some machines have no IPv6


# What operators see


def test_health_readiness_and_metrics(virtual, box):
    async def scene() -> None:
        async with box() as opened, httpx.AsyncClient(base_url=opened.url) as web:
            ready = await web.get("/readyz")
            assert ready.status_code == 200
            assert ready.json() == {
                "version": ready.json()["version"],
                "ready": True,
                "draining": False,
                "live_calls": 0,
                "database": "up",
                "rows_waiting": 0,
                "unsigned_webhooks": False,
            }
            await opened.call(SilentCaller(stay_ms=300))
            text = (await web.get("/metrics")).text
            assert "voice_server_calls_admitted_total 1.0" in text
            assert "voice_server_live_calls 0.0" in text
            opened.server.desk.stop_admitting()
            closing = await web.get("/readyz")
            assert (closing.status_code, closing.json()["draining"]) == (503, True)
            assert (await web.get("/healthz")).status_code == 200
            assert (await web.get("/nothing")).status_code == 404
            _, report = await opened.call(SilentCaller(stay_ms=300))
            assert report.frames_sent == 0

    virtual(scene())


# Calls


def test_a_caller_books_an_order_that_stands_in_the_database(virtual, box, postgres):
    async def scene() -> None:
        states: list[LiveState] = []
        async with box() as opened:
            opened.server.mirror.watch(lambda call_id, state: states.append(state))
            result, report = await opened.call(caller_for(CALLERS / "book_plumbing.wav"))
        assert report.errors == report.wire_problems == ()
        assert (result.status, result.outcome) == ("completed", "booked")
        told = replay(Path(result.journal))
        assert told.difference is None
        assert told.order_id == result.order_id
        [session] = await ask(postgres, "SELECT * FROM call_sessions WHERE id = $1", result.call_id)
        assert stored_lines(session) == [line.text for line in told.lines]
        [order] = await ask(postgres, "SELECT * FROM orders WHERE order_id = $1", result.order_id)
        assert order["customer_name"] == "Mary Cooper"
        assert order["service_type"] == "plumbing"
        assert states[-1].outcome == "booked"
        assert [state.sequence for state in states] == sorted({s.sequence for s in states})
        assert states[-1].cost_micro_usd == told.cost_micro_usd
        assert result.latency_ms < 2_500

    virtual(scene())


def test_a_caller_may_hang_up_at_any_moment_and_is_stored_once(virtual, box, postgres):
    moments = (0.001, 0.05, 0.3, 1.0, 2.5, 4.0, 5.0, 6.5, 8.0, 11.0)

    async def scene() -> None:
        async with box() as opened:
            phones = [
                opened.phone(
                    caller_for(CALLERS / "wrong_number.wav"),
                    hang_up_at_s=moment,
                    status_callbacks=StatusCallbacks("https://voice.localhost/twilio/status"),
                )
                for moment in moments
            ]
            reports = await asyncio.gather(*(phone.call() for phone in phones))
            assert all(report.errors == () for report in reports)
            await asyncio.sleep(120)
            async with asyncio.timeout(30):
                await opened.server.outbox.flush()
            assert opened.server.desk.live == 0
            assert opened.server.outbox.rejected == 0
        rows = await ask(
            postgres,
            "SELECT status, completed_at FROM call_sessions WHERE twilio_call_id = ANY($1)",
            [phone.call_sid for phone in phones],
        )
        assert len(rows) >= len(moments) - 2  # who is gone at once was never admitted
        assert {row["status"] for row in rows} <= {"completed", "failed", "cancelled"}
        assert all(row["completed_at"] is not None for row in rows)

    virtual(scene())


def test_callers_in_company_are_each_answered(virtual, box):
    async def scene() -> None:
        async with box() as opened:
            calls = [opened.call(SilentCaller(stay_ms=60_000)) for _ in range(8)]
            results = await asyncio.gather(*calls)
        assert {result.outcome for result, _ in results} == {"silent"}
        assert len({result.call_id for result, _ in results}) == 8
        assert all(report.agent_audio_ms > 4_000 for _, report in results)

    virtual(scene())


def test_a_call_without_a_journal_is_stored_all_the_same(virtual, box):
    async def scene() -> None:
        async with box(journal=False) as opened:
            result, _ = await opened.call(SilentCaller(stay_ms=2_000))
        assert result.call_id
        assert (result.status, result.journal) == ("completed", "")

    virtual(scene())


# A database that goes away


@pytest.fixture
def own_server() -> Iterator[Path]:
    """The folder of a Postgres that a test may stop and start."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir=fastest_disk()) as folder:
        Path(folder).chmod(0o755)  # as root, the server runs as another user
        yield Path(folder)


def test_a_database_lost_in_mid_call_and_back_has_lost_nothing(
    virtual, own_server, engines, tmp_path
):
    async def scene() -> None:
        server = db.EmbeddedPostgres(own_server).start()
        try:
            await seeded(server.dsn)
            async with open_box(tmp_path, engines=engines, database_url=server.dsn) as opened:
                phone = opened.phone(caller_for(CALLERS / "wrong_number.wav"))
                calling = asyncio.ensure_future(phone.call())
                await asyncio.sleep(6.0)
                server.stop()
                report = await calling
                assert report.errors == ()
                await asyncio.sleep(20)
                outbox = opened.server.outbox
                assert not outbox.healthy
                assert outbox.waiting > 0
                async with httpx.AsyncClient() as web:
                    state = (await web.get(f"{opened.url}/readyz")).json()
                assert state["database"].startswith("down")
                server = db.EmbeddedPostgres(own_server).start()
                await asyncio.sleep(40)
                result = await opened.result(phone.parameters["call"])
                assert outbox.healthy
                assert outbox.waiting == outbox.rejected == 0
            told = replay(Path(result.journal))
            assert (result.status, result.outcome) == ("completed", "answered")
            [session] = await ask(
                server.dsn, "SELECT * FROM call_sessions WHERE id = $1", result.call_id
            )
            assert stored_lines(session) == [line.text for line in told.lines]
            costs = await ask(server.dsn, "SELECT sum(micro_usd) AS total FROM call_costs")
            assert costs[0]["total"] == told.cost_micro_usd
        finally:
            server.stop()

    virtual(scene())
    assert not list((tmp_path / "spill").glob("rows-*"))


async def seeded(dsn: str) -> None:
    with hold_time():
        await db.migrate(dsn)
        pool = await db.open_pool(dsn, size=1)
        await db.seed_demo(pool)
        await pool.close()
