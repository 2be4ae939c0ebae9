"""The outbox over a database that fails in every way: order kept, nothing lost."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.rows import CallRow, LineSaid
from tests.runtime.fakes import PRIVATE, Bug, FakeStore
from voice_server.runtime.outbox import Outbox
from voice_server.runtime.spill import Spill
from voice_server.testing.virtual import run


def row(number: int, call_id: str = "call-1") -> LineSaid:
    return LineSaid(call_id, number, "caller", PRIVATE, "", number, number)


def numbers(rows: list[CallRow]) -> list[int]:
    return [one.sequence for one in rows]  # type: ignore[union-attr]


@asynccontextmanager
async def writing(store: FakeStore, folder: Path) -> AsyncIterator[Outbox]:
    """An outbox at work; closed, and waited for, at the end."""
    spill = Spill(folder)
    outbox = Outbox(store, spill)
    task = asyncio.ensure_future(outbox.run())
    try:
        yield outbox
    finally:
        outbox.close()
        await task
        spill.close()


async def flush(outbox: Outbox) -> None:
    async with asyncio.timeout(300):
        await outbox.flush()


def spilled(folder: Path) -> list[int]:
    spill = Spill(folder)
    found = [number for batch in spill.batches(10**9) for number in _take(spill, batch)]
    spill.close()
    return found


def _take(spill: Spill, batch: list[CallRow]) -> list[int]:
    spill.taken(batch)
    return numbers(batch)


def test_rows_put_together_are_written_together_and_in_order(virtual, tmp_path):
    async def scene() -> None:
        store = FakeStore()
        async with writing(store, tmp_path) as outbox:
            await asyncio.sleep(1)
            for number in range(10):
                outbox.put(row(number))
                await asyncio.sleep(0.005)
            await flush(outbox)
            assert outbox.waiting == 0
            assert outbox.written == 10
        assert numbers(store.rows) == list(range(10))
        assert store.batches == [10]

    virtual(scene())


def test_a_batch_is_bounded(virtual, tmp_path):
    async def scene() -> None:
        store = FakeStore()
        async with writing(store, tmp_path) as outbox:
            for number in range(1_001):
                outbox.put(row(number))
            await flush(outbox)
        assert max(store.batches) == 200
        assert numbers(store.rows) == list(range(1_001))

    virtual(scene())


def test_a_row_waits_for_company_no_longer_than_a_moment(virtual, tmp_path):
    async def scene() -> None:
        store = FakeStore()
        async with writing(store, tmp_path) as outbox:
            await asyncio.sleep(1)
            outbox.put(row(1))
            await asyncio.sleep(0.11)
            assert numbers(store.rows) == [1]

    virtual(scene())


def test_a_flush_with_nothing_to_write_returns_at_once(virtual, tmp_path):
    async def scene() -> None:
        async with writing(FakeStore(), tmp_path) as outbox:
            await flush(outbox)
            await asyncio.sleep(5)
            await flush(outbox)

    virtual(scene())


def test_a_database_that_is_down_at_the_start_gets_everything_later(virtual, tmp_path, caplog):
    async def scene() -> None:
        store = FakeStore()
        store.up = False
        async with writing(store, tmp_path) as outbox:
            for number in range(5):
                outbox.put(row(number))
                await asyncio.sleep(0.3)
            assert not outbox.healthy
            assert outbox.waiting == 5
            store.up = True
            await flush(outbox)
            assert outbox.healthy
        assert numbers(store.rows) == list(range(5))

    virtual(scene())
    messages = [record.message for record in caplog.records]
    assert messages == ["the database is down; rows are kept on disk", "the database is back"]
    assert PRIVATE not in caplog.text


def test_a_database_lost_in_the_middle_gets_the_rest_in_order(virtual, tmp_path):
    async def scene() -> None:
        store = FakeStore()
        async with writing(store, tmp_path) as outbox:
            for number in range(300):
                store.up = not 100 < number < 200
                outbox.put(row(number))
                await asyncio.sleep(0.02)
            await flush(outbox)
        assert numbers(store.rows) == list(range(300))

    virtual(scene())


def test_tries_become_rarer_while_the_database_is_down(virtual, tmp_path):
    async def scene() -> None:
        store = FakeStore()
        store.up = False
        async with writing(store, tmp_path) as outbox:
            outbox.put(row(1))
            await asyncio.sleep(3_600)
            assert 60 < store.tries < 150
            store.up = True
            await asyncio.sleep(31)
            assert outbox.healthy

    virtual(scene())


def test_a_crash_loses_nothing_that_was_spilled(virtual, tmp_path):
    async def scene() -> None:
        store = FakeStore()
        store.up = False
        spill = Spill(tmp_path)
        outbox = Outbox(store, spill)
        task = asyncio.ensure_future(outbox.run())
        for number in range(3):
            outbox.put(row(number))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        spill.close()
        store.up = True
        async with writing(store, tmp_path) as heir:
            assert heir.waiting == 3
            heir.put(row(3))
            await flush(heir)
        assert numbers(store.rows) == [0, 1, 2, 3]

    virtual(scene())


def test_a_flush_waits_for_what_an_earlier_process_left(virtual, tmp_path):
    async def scene() -> None:
        dead = Spill(tmp_path)
        dead.append([row(1), row(2)])
        dead.close()
        store = FakeStore()
        store.takes_s = 3.0
        async with writing(store, tmp_path) as outbox:
            await flush(outbox)
            assert numbers(store.rows) == [1, 2]

    virtual(scene())


def test_a_line_cut_by_a_crash_costs_that_row_only(virtual, tmp_path):
    async def scene() -> None:
        dead = Spill(tmp_path)
        dead.append([row(1), row(2)])
        dead.close()
        [path] = tmp_path.glob("rows-*")
        path.write_bytes(path.read_bytes()[:-10])
        store = FakeStore()
        store.up = False
        async with writing(store, tmp_path) as outbox:
            outbox.put(row(3))
            await asyncio.sleep(2)
            store.up = True
            await flush(outbox)
        assert numbers(store.rows) == [1, 3]

    virtual(scene())


def test_two_processes_do_not_take_each_others_rows(virtual, tmp_path):
    async def scene() -> None:
        one, other = FakeStore(), FakeStore()
        one.up = other.up = False
        async with writing(one, tmp_path) as first, writing(other, tmp_path) as second:
            for number in range(4):
                first.put(row(number))
                second.put(row(number + 100))
                await asyncio.sleep(1)
            one.up = other.up = True
            await flush(first)
            await flush(second)
        assert numbers(one.rows) == [0, 1, 2, 3]
        assert numbers(other.rows) == [100, 101, 102, 103]

    virtual(scene())


@pytest.mark.parametrize("fails", [False, True])
def test_more_rows_than_memory_may_hold_during_a_write_keep_their_order(virtual, tmp_path, fails):
    async def scene() -> None:
        store = FakeStore()
        store.takes_s = 5.0
        async with writing(store, tmp_path) as outbox:
            outbox.put(row(0))
            await asyncio.sleep(0.2)
            assert store.tries == 1
            store.up = not fails
            for number in range(1, 5_000):
                outbox.put(row(number))
            await asyncio.sleep(6)
            outbox.put(row(5_000))
            store.up = True
            store.takes_s = 0.01
            await flush(outbox)
        assert numbers(store.rows) == list(range(5_001))

    virtual(scene())


def test_memory_is_bounded_before_the_writer_has_begun(virtual, tmp_path):
    async def scene() -> None:
        spill = Spill(tmp_path)
        outbox = Outbox(FakeStore(), spill)
        for number in range(3_000):
            outbox.put(row(number))
        assert spill.rows == 2_001
        assert outbox.waiting == 3_000
        outbox.close()
        await outbox.run()
        assert outbox.written == 3_000
        spill.close()

    virtual(scene())


# Rows that are refused


def refused(folder: Path) -> list[int]:
    path = folder / "rejected.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=LineSaid).sequence for line in lines]


def test_refused_rows_are_set_aside_and_the_others_written(virtual, tmp_path, caplog):
    async def scene() -> None:
        store = FakeStore()
        store.refuses = {"bad"}
        async with writing(store, tmp_path) as outbox:
            for number in range(6):
                outbox.put(row(number, "bad" if number % 2 else "call-1"))
            await flush(outbox)
            assert outbox.rejected == 3
            assert outbox.written == 3
            assert outbox.healthy
        assert numbers(store.rows) == [0, 2, 4]
        assert refused(tmp_path) == [1, 3, 5]

    virtual(scene())
    assert "the database refused rows" in caplog.text
    assert PRIVATE not in caplog.text


def test_a_batch_of_nothing_but_refused_rows_is_done(virtual, tmp_path):
    async def scene() -> None:
        store = FakeStore()
        store.refuses = {"bad"}
        async with writing(store, tmp_path) as outbox:
            outbox.put(row(1, "bad"))
            outbox.put(row(2, "bad"))
            await flush(outbox)
            assert outbox.waiting == 0
        assert store.rows == []
        assert refused(tmp_path) == [1, 2]

    virtual(scene())


class LosesItself(FakeStore):
    """Refuses rows, and is down at the moment the rest should be written."""

    async def write(self, rows) -> None:
        self.up = self.tries != 1
        await super().write(rows)


def test_rows_refused_just_before_the_database_is_lost_are_set_aside_once(virtual, tmp_path):
    async def scene() -> None:
        store = LosesItself()
        store.refuses = {"bad"}
        async with writing(store, tmp_path) as outbox:
            outbox.put(row(1, "bad"))
            outbox.put(row(2))
            await flush(outbox)
            assert outbox.rejected == 1
        assert numbers(store.rows) == [2]
        assert refused(tmp_path) == [1]

    virtual(scene())


# The end


def test_closing_while_the_database_is_down_tries_once_and_keeps_the_rows(virtual, tmp_path):
    async def scene() -> None:
        store = FakeStore()
        async with writing(store, tmp_path) as outbox:
            await asyncio.sleep(1)
            store.up = False
            outbox.put(row(1))
            outbox.put(row(2))
        assert store.tries == 1
        await flush(outbox)
        assert outbox.waiting == 2

    virtual(scene())
    assert spilled(tmp_path) == [1, 2]


def test_closing_in_a_long_pause_does_not_wait_for_its_end(virtual, tmp_path):
    async def scene() -> None:
        store = FakeStore()
        store.up = False
        loop = asyncio.get_running_loop()
        async with writing(store, tmp_path) as outbox:
            outbox.put(row(1))
            await asyncio.sleep(100)
            began = loop.time()
        assert loop.time() - began < 0.2

    virtual(scene())


def test_a_row_put_after_the_end_lies_on_disk(virtual, tmp_path):
    async def scene() -> None:
        spill = Spill(tmp_path)
        outbox = Outbox(FakeStore(), spill)
        outbox.close()
        await outbox.run()
        outbox.put(row(7))
        assert spill.rows == 1
        spill.close()

    virtual(scene())
    assert spilled(tmp_path) == [7]


def test_a_cancelled_writer_keeps_the_batch_it_was_writing(virtual, tmp_path):
    async def scene() -> None:
        store = FakeStore()
        store.takes_s = 60.0
        spill = Spill(tmp_path)
        outbox = Outbox(store, spill)
        task = asyncio.ensure_future(outbox.run())
        outbox.put(row(1))
        await asyncio.sleep(1)
        outbox.put(row(2))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        spill.close()

    virtual(scene())
    assert spilled(tmp_path) == [1, 2]


# What should not happen


def test_a_bug_in_the_store_loses_no_rows_and_tells_no_words(virtual, tmp_path, caplog):
    async def scene() -> None:
        store = FakeStore()
        store.broken = Bug(PRIVATE)
        async with writing(store, tmp_path) as outbox:
            outbox.put(row(1))
            await asyncio.sleep(2)
            assert not outbox.healthy
            store.broken = None
            await flush(outbox)
        assert numbers(store.rows) == [1]

    with caplog.at_level(logging.DEBUG):
        virtual(scene())
    assert "a bug in the store" in caplog.text
    assert PRIVATE not in caplog.text


def test_without_database_and_disk_rows_stay_in_memory(virtual, tmp_path, caplog):
    async def scene() -> None:
        folder = tmp_path / "spill"
        store = FakeStore()
        store.up = False
        async with writing(store, folder) as outbox:
            shutil.rmtree(folder)
            for number in range(3):
                outbox.put(row(number))
                await asyncio.sleep(1)
            assert outbox.waiting == 3
            folder.mkdir()
            store.up = True
            await flush(outbox)
        assert numbers(store.rows) == [0, 1, 2]

    virtual(scene())
    assert "rows cannot be kept on disk" in caplog.text


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(
        st.tuples(st.booleans(), st.integers(0, 250), st.sampled_from([0.0, 0.05, 0.4, 3.0, 40.0])),
        max_size=12,
    )
)
def test_over_any_weather_all_rows_arrive_once_and_in_order(tmp_path_factory, plan):
    async def scene() -> None:
        store, put = FakeStore(), 0
        async with writing(store, tmp_path_factory.mktemp("spill")) as outbox:
            for up, amount, wait in plan:
                store.up = up
                for number in range(put, put + amount):
                    outbox.put(row(number))
                put += amount
                await asyncio.sleep(wait)
            store.up = True
            await flush(outbox)
        assert numbers(store.rows) == list(range(put))

    run(scene())
