"""A whole server that dials what it is given, and dies where it is told to.

The first line of its input is a `Task` as JSON. It says `ready` when it listens, `dialled` when
every dial has returned, and runs until it is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import cast

import msgspec

import db
from benchmarks.trivial import Engines
from voice_server import settings as configuration
from voice_server.app import Server, open_server
from voice_server.errors import ServiceError
from voice_server.limits import Limits
from voice_server.outbound import Dialler, DialOrder, DialStep
from voice_server.serving import serving
from voice_server.speech.engines import LocalEngines
from voice_server.telemetry import configure_logging
from voice_server.twilio.rest import TwilioRest

PUBLIC_URL = "https://voice.localhost"
AT_ONCE = 10


class Task(msgspec.Struct):
    """What one incarnation of the server has to do."""

    database_url: str
    data_dir: str
    port: int
    twilio_url: str
    account_sid: str
    auth_token: str
    agent_id: str
    dials: list[tuple[str, str]]  # our id, the number
    die_in: str  # the dial in which it dies, "" = in none
    die_after: str  # a `DialStep`
    grace_s: float


async def main(task: Task) -> None:
    """Serve and dial; never returns."""
    settings = configuration.load(
        {
            "host": "127.0.0.1",
            "port": task.port,
            "data_dir": Path(task.data_dir),
            "public_url": PUBLIC_URL,
            "journal": False,
            "DATABASE_URL": task.database_url,
            "TWILIO_AUTH_TOKEN": task.auth_token,
            "insecure_webhooks": False,
        }
    )
    async with (
        open_server(settings, engines=cast(LocalEngines, Engines())) as server,
        serving(server),
    ):
        print("ready", flush=True)  # noqa: T201
        await _dial_all(task, server)


async def _dial_all(task: Task, server: Server) -> None:
    def die(call_id: str, step: DialStep) -> None:
        if call_id == task.die_in and step.value == task.die_after:
            os.kill(os.getpid(), signal.SIGKILL)

    limits = Limits(first_byte_s=1.0, between_s=1.0, total_s=1.5)
    rest = TwilioRest(task.account_sid, task.auth_token, task.twilio_url, limits=limits)
    dialler = Dialler(
        db.PostgresDials(server.pool), rest, PUBLIC_URL, grace_s=task.grace_s, on_step=die
    )
    agent = await db.PostgresAgentDirectory(server.pool).by_id(task.agent_id)
    assert agent is not None
    free = asyncio.Semaphore(AT_ONCE)

    async def dial(call_id: str, to: str) -> None:
        async with free:
            await dialler.dial(DialOrder(call_id, agent, to, ring_s=5, machine_detection="Enable"))

    looking_after = asyncio.ensure_future(_look_after(dialler))
    await asyncio.gather(*(dial(call_id, to) for call_id, to in task.dials))
    print("dialled", flush=True)  # noqa: T201
    await looking_after


async def _look_after(dialler: Dialler) -> None:
    """The server's own watch, at a pace for calls of a second."""
    while True:
        try:
            await dialler.sweep(unchecked_s=0.5, placed_s=1.5)
        except (db.StoreError, ServiceError) as error:
            print(type(error).__name__, file=sys.stderr)  # noqa: T201
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    configure_logging("error")
    asyncio.run(main(msgspec.json.decode(sys.stdin.readline(), type=Task)))
