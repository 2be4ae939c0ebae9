"""A slice of the fault matrix, and the ear and the gate it is measured with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import db
from benchmarks.faults.ear import Ear
from benchmarks.faults.gate import Gate, Streams, open_gate
from benchmarks.faults.run import LIMIT_MS, Cell, Matrix, cells, open_trial, table
from benchmarks.faults.world import ENGINES, FAULTS, MOMENTS, can_fail
from voice_server.testing.caller import Move
from voice_server.testing.virtual import VirtualLoop

TONE, SILENCE = b"\x10" * 160, b"\xff" * 160
EVERY = 37  # of the cells: some of every engine and moment


@pytest.fixture(scope="module")
def shown(pytestconfig: pytest.Config) -> Iterator[list[Matrix]]:
    """Takes a matrix to be shown under the tests."""
    collected: list[Matrix] = []
    yield collected
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or capture is None:
        return
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        for matrix in collected:
            for line in table(matrix):
                reporter.line(line)


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_whatever_fails_the_caller_hears_something_in_time(
    tmp_path: Path, database: str, shown: list[Matrix]
) -> None:
    async def scene() -> Matrix:
        async with open_trial(tmp_path, database) as trial:
            return await trial.matrix(list(cells())[::EVERY])

    asyncio.run(_furnish(database))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        matrix = runner.run(scene())
    shown.append(matrix)
    assert {cell.engine for cell in matrix.cells} == set(ENGINES)
    assert {cell.moment for cell in matrix.cells} == set(MOMENTS)
    assert matrix.too_long == ()
    assert matrix.troubled == ()
    assert all(cell.struck for cell in matrix.cells)


async def _furnish(database: str) -> None:
    pool = await db.open_pool(database, size=1)
    await db.seed_demo(pool)
    await pool.close()


def test_every_engine_fails_in_every_way_it_can():
    planned = list(cells())
    assert {cell.engine for cell in planned} == set(ENGINES)
    assert {cell.fault for cell in planned} == set(FAULTS)
    assert {cell.moment for cell in planned} == set(MOMENTS)
    assert len({(cell.engine, cell.fault, cell.moment) for cell in planned}) == len(planned)
    assert not any(can_fail("search", fault) for fault in ("unknown close code",))


def test_the_table_has_a_row_for_every_fault_and_says_what_was_too_long():
    matrix = Matrix(
        (
            Cell("ears", "500", "thinking", (300, 500), struck=True, status="completed"),
            Cell("ears", "500", "closing", struck=True, status="completed"),
            Cell("voice", "401", "greeting", (LIMIT_MS + 20,), struck=True, status="completed"),
            Cell("search", "401", "speaking", status="completed"),
        )
    )
    lines = list(table(matrix))
    assert "400/500" in lines[2]
    assert "none" in lines[2]
    assert lines[2].startswith("ears")
    assert "not reached" in lines[4]
    assert "1520 ms in 4 calls" in lines[-1]
    assert [cell.engine for cell in matrix.too_long] == ["voice"]
    assert not matrix.ok
    assert Matrix((Cell("ears", "500", "thinking", status="failed"),)).troubled


# The ear


class Talker:
    """Speaks in the given frames."""

    def __init__(self, *speaks: range) -> None:
        self._speaks = speaks

    def move(self, heard: bytes, now_ms: int) -> Move:
        talks = any(now_ms in speaks for speaks in self._speaks)
        return Move(TONE if talks else SILENCE)


def waits(
    *, caller: tuple[range, ...] = (), agent: tuple[range, ...], phase: Callable[[int], str]
) -> list[int]:
    """What an ear measures in four seconds; the tenant's patience is 700 ms."""
    now = 0
    ear = Ear(Talker(*caller), lambda: phase(now), patience_ms=700)
    ear.began_ms = 0
    for now in range(20, 4_000, 20):
        ear.move(TONE if any(now in sounds for sounds in agent) else SILENCE, now)
    ear.end()
    return ear.waits


def test_from_the_answer_on_a_greeting_is_owed():
    assert waits(agent=(range(920, 4_000),), phase=lambda _: "speaking") == [900]


def test_after_the_caller_an_answer_is_owed_when_the_patience_is_over():
    found = waits(
        caller=(range(1_000, 1_500),),
        agent=(range(500), range(3_000, 4_000)),
        phase=lambda now: "listening" if now < 2_200 else "thinking",
    )
    assert found == [3_000 - 20 - 1_480 - 700]


def test_a_pause_within_a_turn_is_owed_and_one_after_it_is_not():
    sounds = (range(1_000), range(1_800, 2_000))
    assert waits(agent=sounds, phase=lambda _: "speaking")[0] == 800
    assert waits(agent=sounds, phase=lambda _: "listening") == []


def test_a_caller_whom_nobody_understands_is_owed_an_answer_all_the_same():
    found = waits(caller=(range(1_000, 1_500),), agent=(range(500),), phase=lambda _: "listening")
    assert found == [3_980 - 1_480 - 700]


def test_an_ended_call_owes_nothing():
    assert waits(agent=(range(500),), phase=lambda now: "speaking" if now < 500 else "") == []


# The gate


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data.upper())
    writer.close()


async def last_words(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(100)
    except ConnectionError:
        return b""


async def asked(gate: Gate) -> bytes:
    """What a new connection is answered."""
    reader, writer = await asyncio.open_connection(*gate.address)
    writer.write(b"again")
    heard = await last_words(reader)
    writer.close()
    return heard


async def with_gate(scene: Callable[[Gate, asyncio.StreamReader, asyncio.StreamWriter], object]):
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:

        async def reach() -> Streams:
            return await asyncio.open_connection(*server.sockets[0].getsockname())

        async with open_gate(reach) as gate:
            reader, writer = await asyncio.open_connection(*gate.address)
            writer.write(b"hello")
            assert await reader.read(100) == b"HELLO"
            await scene(gate, reader, writer)
            writer.close()
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)


def test_an_open_gate_lets_everything_through_and_a_stalled_one_lets_it_wait(virtual):
    async def scene(gate, reader, writer) -> None:
        gate.stall(30.0)
        began = asyncio.get_running_loop().time()
        writer.write(b"still there?")
        assert await reader.read(100) == b"STILL THERE?"
        assert asyncio.get_running_loop().time() - began == pytest.approx(30.0)

    virtual(with_gate(scene))


@pytest.mark.parametrize("words", [b"", b"no"])
def test_connections_die_at_a_deadly_gate_with_its_last_words_until_it_opens(virtual, words):
    async def scene(gate, reader, writer) -> None:
        gate.kill(words)
        assert await last_words(reader) == words
        assert await asked(gate) == words
        await gate.open()
        assert await asked(gate) == b"AGAIN"

    virtual(with_gate(scene))


def test_nobody_is_behind_a_gate_that_refuses(virtual):
    async def scene(gate, reader, writer) -> None:
        gate.refuse()
        assert await last_words(reader) == b""
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*gate.address)
        await gate.open()
        assert await asked(gate) == b"AGAIN"

    virtual(with_gate(scene))
