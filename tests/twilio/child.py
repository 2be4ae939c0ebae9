"""A whole server in a process of its own, to be killed.

The first line of its input is a `Task` as JSON. It says `ready` when it listens.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from tests.twilio.house import PutsThrough, server_at
from voice_server.telemetry import configure_logging


class Task(msgspec.Struct):
    """Where to serve, and on which carrier and database."""

    port: int
    database_url: str
    data_dir: str
    url: str
    account_sid: str
    auth_token: str


async def main(task: Task) -> None:
    """Serve until killed."""
    mind = PutsThrough()
    async with server_at(task.port, task, task.database_url, Path(task.data_dir), mind):
        print("ready", flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    configure_logging("error")
    asyncio.run(main(msgspec.json.decode(sys.stdin.readline(), type=Task)))
