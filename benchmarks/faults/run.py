"""Makes the calls of the matrix, one for each cell, and measures the waits of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import msgspec

import db
from benchmarks.faults.ear import Ear
from benchmarks.faults.world import (
    CHECKING,
    ENGINES,
    FAULTS,
    MOMENTS,
    SAID,
    Moment,
    World,
    can_fail,
    firebase_elsewhere,
    open_world,
)
from benchmarks.tagged import tagged_engines, talker
from voice_server.app import RealTime
from voice_server.call import Policy
from voice_server.testing.box import Box, open_box
from voice_server.testing.caller import Move
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.virtual import hold_time

LIMIT_MS = 1_500
_HOSTED_NUMBER = "+12025550107"
# Virtual, between two calls: nobody remembers what failed. A key that was refused is not used
# for ten minutes.
_REST_S = 20.0
_LONG_REST_S = 610.0
_PATIENT = {"patience_s": 6.0, "max_wait_s": 40.0}  # so that waits end by us, not by the caller


class Cell(msgspec.Struct, frozen=True):
    """One fault of one engine that begins at one moment of a call. Waits in ms."""

    engine: str
    fault: str
    moment: str
    waits: tuple[int, ...] = ()  # for our next sound, all of the call since the fault began
    struck: bool = False  # the call has come to that moment
    status: str = ""  # of the call
    complaints: tuple[str, ...] = ()  # the carrier's

    @property
    def p50_ms(self) -> int:
        """The usual wait."""
        return int(median(self.waits)) if self.waits else 0

    @property
    def p100_ms(self) -> int:
        """The longest wait."""
        return max(self.waits, default=0)


class Matrix(msgspec.Struct, frozen=True):
    """All cells that were tried."""

    cells: tuple[Cell, ...]

    @property
    def p100_ms(self) -> int:
        """The longest wait of all."""
        return max((cell.p100_ms for cell in self.cells), default=0)

    @property
    def too_long(self) -> tuple[Cell, ...]:
        """The cells that break the rule."""
        return tuple(cell for cell in self.cells if cell.p100_ms > LIMIT_MS)

    @property
    def troubled(self) -> tuple[Cell, ...]:
        """The cells whose call went wrong for the carrier."""
        return tuple(cell for cell in self.cells if cell.complaints or cell.status != "completed")

    @property
    def ok(self) -> bool:
        """Whether nobody was left alone."""
        return not self.too_long and not self.troubled


def cells() -> Iterator[Cell]:
    """The whole matrix, to be tried."""
    for engine in ENGINES:
        for fault in FAULTS:
            if not can_fail(engine, fault):
                continue
            for moment in MOMENTS:
                if engine != "hosted agent" or not MOMENTS[moment].searched:
                    yield Cell(engine, fault, moment)


class _Person:
    """The caller of one cell, who lets the fault begin when its moment has come."""

    def __init__(self, ear: Ear, moment: Moment, world: World, strike: Callable[[], None]) -> None:
        self._ear = ear
        self._moment = moment
        self._world = world
        self._strike = strike

    def move(self, heard: bytes, now_ms: int) -> Move:
        """One frame of the call."""
        move = self._ear.move(heard, now_ms)
        if self._ear.began_ms < 0 and self._has_come():
            self._ear.began_ms = now_ms
            self._strike()
        return move

    def _has_come(self) -> bool:
        ear, moment = self._ear, self._moment
        return (
            ear.spoke_ms >= moment.spoke_ms
            and ear.heard_ms >= moment.heard_ms
            and ear.speaking == moment.speaking
            and (not moment.searched or bool(self._world.search.queries))
        )


class Trial:
    """A server and its world, in which cell after cell is tried."""

    def __init__(self, box: Box, world: World) -> None:
        self._box = box
        self._world = world

    async def matrix(
        self, planned: Iterable[Cell], tick: Callable[[], None] = lambda: None
    ) -> Matrix:
        """Try these cells."""
        tried = []
        for cell in planned:
            tried.append(await self._try(cell))
            tick()
        return Matrix(tuple(tried))

    async def _try(self, cell: Cell) -> Cell:
        world = self._world
        ear = Ear(talker(SAID, **_PATIENT), self._phase, patience_ms=Policy().end_of_turn_ms)
        moment = MOMENTS[cell.moment]
        if cell.moment == "tool running" and cell.engine == "Postgres":
            moment = CHECKING
        world.search.queries.clear()
        person = _Person(ear, moment, world, lambda: world.strike(cell.engine, cell.fault))
        number = _HOSTED_NUMBER if cell.engine == "hosted agent" else db.DEMO_NUMBER
        phone = self._box.phone(person, to_number=number)
        report = await phone.call()
        ear.end()
        await world.heal()
        await asyncio.sleep(_LONG_REST_S if cell.fault == "401" else _REST_S)
        return msgspec.structs.replace(
            cell,
            waits=tuple(ear.waits),
            struck=ear.began_ms >= 0,
            status=report.status,
            complaints=report.errors,
        )

    def _phase(self) -> str:
        """Of the only call."""
        return next((state.phase for state in self._box.server.mirror.live().values()), "")


@asynccontextmanager
async def open_trial(data_dir: Path, database_url: str) -> AsyncIterator[Trial]:
    """Open everything; run it in a `VirtualLoop`. The database has the demo tenant."""
    firebase = FirebaseLab()
    with firebase_elsewhere(firebase) as firebase_url:
        async with open_world(database_url, firebase) as world:
            with hold_time():
                await _hire(database_url)
            settings: dict[str, Any] = world.settings | {"firebase_database_url": firebase_url}
            async with open_box(
                data_dir, engines=tagged_engines(), patience=RealTime(), **settings
            ) as box:
                yield Trial(box, world)


async def _hire(database_url: str) -> None:
    """An agent whose calls a hosted agent takes, for the demo tenant."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            """
            INSERT INTO ai_agents (id, user_id, name, elevenlabs_config)
            VALUES ('hosted', $1, 'Robin', jsonb_build_object('agent_id', $2::text))
            ON CONFLICT (id) DO NOTHING
            """,
            db.DEMO_USER_ID,
            AGENT_ID,
        )
        await connection.execute(
            """
            INSERT INTO phone_numbers (number, user_id, agent_id) VALUES ($1, $2, 'hosted')
            ON CONFLICT (number) DO NOTHING
            """,
            _HOSTED_NUMBER,
            db.DEMO_USER_ID,
        )
    finally:
        await connection.close()


def table(matrix: Matrix) -> Iterator[str]:
    """The matrix as text: p50/p100 of each cell in ms, "-" where a fault cannot be."""
    yield "waits for our next sound since the fault began, p50/p100 in ms"
    yield f"{'':13}{'':20}" + "".join(f"{moment:>14}" for moment in MOMENTS)
    shown = {(cell.engine, cell.fault, cell.moment): cell for cell in matrix.cells}
    for engine in ENGINES:
        for fault in FAULTS:
            row = [shown.get((engine, fault, moment)) for moment in MOMENTS]
            if any(row):
                yield f"{engine:13}{fault:20}" + "".join(f"{_told(cell):>14}" for cell in row)
    yield f"longest wait {matrix.p100_ms} ms in {len(matrix.cells)} calls; limit {LIMIT_MS} ms"


def _told(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    if not cell.struck:
        return "not reached"
    return f"{cell.p50_ms}/{cell.p100_ms}" if cell.waits else "none"
