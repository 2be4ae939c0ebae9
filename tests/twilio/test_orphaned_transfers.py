"""The server that put a caller on hold is killed: another one answers, and ends the call well."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.twilio.child import Task
from tests.twilio.house import (
    PUBLIC,
    WARM,
    House,
    Polite,
    PutsThrough,
    agent_of,
    carrier,
    free_port,
    picks_up,
    server_at,
    until,
)
from voice_server.testing.lab.twilio import Callee
from voice_server.testing.lab.twilio_call import LabCall

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
HOST = PUBLIC.removeprefix("https://")
SORRY = "We are sorry, nobody could take your call. Please try again later."


class Orphaned(House):
    """A server that goes on where one before was killed."""

    async def sweep(self) -> None:
        """Let some time pass, and the server see to what is due."""
        async with self.server.pool.server() as connection:
            await connection.execute(
                "UPDATE call_transfers SET due_at = now() WHERE due_at IS NOT NULL"
            )
        await self.book.sweep()

    call_id = ""

    async def written(self) -> None:
        """Wait until the minutes of the caller's stream, and so all rows before, are stored."""
        stored = None
        async with asyncio.timeout(30):
            while stored is None:
                async with self.server.pool.server() as connection:
                    stored = await connection.fetchval(
                        "SELECT id FROM call_sessions JOIN call_costs ON call_id = id "
                        "WHERE twilio_call_id = $1 AND item = 'twilio.media_stream.minutes'",
                        self.lab.calls[0].sid,
                    )
        self.call_id = stored

    async def end(self) -> tuple[str, str, str]:
        """Wait until all is over; how the call is stored, which is billed as the carrier does."""
        await self.settled()
        await self.sweep()
        record, told = await self.record(self.call_id)
        assert await self.costs(self.call_id) == self.metered
        return record.status, told["outcome"], told["reason"]


@asynccontextmanager
async def killed(url: str, folder: Path, human: Callee) -> AsyncIterator[tuple[Orphaned, LabCall]]:
    """A caller whose server was killed while they were on hold, and another server."""
    first, second = free_port(), free_port()
    async with (
        carrier(first, human=human) as lab,
        server_at(second, lab, url, folder / "second", PutsThrough()) as server,
    ):
        home = Orphaned(server, lab, await agent_of(server, **WARM), None)
        folder = folder / "first"
        task = Task(first, url, str(folder), lab.url, lab.account_sid, lab.auth_token)
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.twilio.child"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            child.stdin.write(msgspec.json.encode(task) + b"\n")
            assert await child.stdout.readline() == b"ready\n"
            caller = home.ring(Polite())
            await until(lambda: len(lab.calls) == 2)
            await home.written()
        finally:
            child.kill()
            await child.wait()
        lab.route.addresses[HOST] = f"127.0.0.1:{second}"
        yield home, caller


def rings(human: Callee, for_s: float) -> Callee:
    human.pickup = msgspec.structs.replace(human.pickup, after_s=for_s)
    return human


async def test_a_human_takes_the_call_through_another_server(postgres: str, tmp_path: Path):
    async with killed(postgres, tmp_path, rings(picks_up(), 2.0)) as (home, caller):
        await until(lambda: caller.report is not None)
        human = home.lab.calls[1]
        await until(lambda: human.report is not None)
        assert human.report.said[0].startswith(WARM["transfer_whisper"])
        assert len(home.lab.rooms.met) == 1
        assert caller.report.verbs == ("Connect", "Dial", "Hangup")
        assert await home.end() == ("completed", "handed_over", "transfer")


async def test_a_caller_whom_the_human_declines_hears_so_from_another_server(
    postgres: str, tmp_path: Path
):
    async with killed(postgres, tmp_path, rings(picks_up("2"), 2.0)) as (home, caller):
        human = home.lab.calls[1]
        await until(lambda: human.report is not None)
        assert caller.report is None
        await home.sweep()
        await until(lambda: caller.report is not None)
        assert caller.report.said[-1] == SORRY
        assert await home.end() == ("failed", "failed", "part_failed")


async def test_a_caller_of_whom_nobody_tells_anything_is_not_left_on_hold(
    postgres: str, tmp_path: Path
):
    async with killed(postgres, tmp_path, rings(picks_up(), 600.0)) as (home, caller):
        await home.sweep()
        await until(lambda: caller.report is not None)
        assert caller.report.said[-1] == SORRY
        await until(lambda: home.lab.calls[1].report is not None)
        assert home.lab.calls[1].report.status == "canceled"
        assert await home.end() == ("failed", "failed", "part_failed")


async def test_a_caller_who_hangs_up_on_hold_has_abandoned_the_call(postgres: str, tmp_path: Path):
    async with killed(postgres, tmp_path, rings(picks_up(), 600.0)) as (home, caller):
        caller.phone.hang_up()
        await until(lambda: caller.report is not None)
        await home.book.flush()
        await home.sweep()
        assert await home.end() == ("completed", "abandoned", "carrier_ended")
