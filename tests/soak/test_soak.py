from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

import db
from benchmarks.soak import books
from benchmarks.soak.resources import look
from benchmarks.soak.run import SoakReport, soak
from voice_server.speech.engines import LocalEngines
from voice_server.testing.virtual import VirtualLoop


async def seed(database: str) -> None:
    pool = await db.open_pool(database, size=1)
    await db.seed_demo(pool)
    await pool.close()


@pytest.mark.postgres
@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.timeout(90)
def test_thirty_short_calls_leave_nothing_behind(
    tmp_path: Path, engines: LocalEngines, database: str
) -> None:
    asyncio.run(seed(database))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        report: SoakReport = runner.run(
            soak(
                tmp_path,
                calls=30,
                warm_up=15,
                rush=0,
                engines=engines,
                database_url=database,
            )
        )
    # So few calls say nothing about memory, which the soak of a thousand looks at.
    failed = [check for check in report.checks if not check.ok and check.name != "memory stays"]
    assert failed == []
    assert sum(report.kinds.values()) == 30
    assert report.ledger.outcomes["booked"] == report.kinds["book_plumbing"] == 1
    assert report.ledger.orders == 1
    assert msgspec.json.decode(msgspec.json.encode(report), type=SoakReport) == report


@pytest.mark.postgres
async def test_the_books_of_an_empty_database_are_empty(database: str) -> None:
    ledger = await books.read(database)
    assert (ledger.sessions, ledger.open_calls, ledger.calls_made) == (frozenset(), 0, 0)


async def test_a_look_sees_tasks_sockets_and_files(tmp_path: Path) -> None:
    before = look()
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    task = asyncio.create_task(asyncio.sleep(60), name="left over")
    with (tmp_path / "journal").open("wb"):
        during = look()
    task.cancel()
    server.close()
    await server.wait_closed()
    after = look()
    assert "left over" in during.tasks
    assert "left over" not in before.tasks
    assert during.tcp == before.tcp + 1 == after.tcp + 1
    assert str(tmp_path / "journal") in during.files
    assert str(tmp_path / "journal") not in after.files
    assert during.rss_kib > 0
