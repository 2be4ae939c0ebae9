"""python -m benchmarks.harness FOLDER: descriptions of our server for the neutral harness.

Makes a database in FOLDER in which the demo agent answers the number that the harness calls,
and one description (a JSON file) for each way of running the server:

    local.json            the product as it is without keys: local ears, voice and receptionist
    floor.json            engines that cost nothing; voice activity model, journal with audio
    floor-no-vad.json     the same without the voice activity model
    floor-no-media.json   the same without audio in the journal
    floor-bare.json       neither model nor journal
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import asyncpg
import click

import db
from voice_server.call import Policy

CALLED = "+15005550006"  # the number the harness's callers dial
PUBLIC_URL = "https://bench.example.com"

_FLOORS = {
    "floor": {},
    "floor-no-vad": {"VOICE_ACTIVITY": "off"},
    "floor-no-media": {"VOICE_SERVER_JOURNAL_MEDIA": "0"},
    "floor-bare": {"VOICE_ACTIVITY": "off", "VOICE_SERVER_JOURNAL": "0"},
}


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """All descriptions, by name. Servers keep their data in `folder`."""
    servers = {"local": _server("voice_server", "serve", data_dir=folder / "data")}
    for name, env in _FLOORS.items():
        servers[name] = _server("benchmarks.floor_server", data_dir=folder / "data", **env)
    return servers


def _server(*command: str, data_dir: Path, **env: str) -> dict[str, Any]:
    return {
        "command": [sys.executable, "-m", *command],
        "cwd": str(Path(__file__).resolve().parent.parent),
        "ws_path": "/twilio/media",
        "webhook_path": "/twilio/voice",
        "public_url": PUBLIC_URL,
        "endpoint_ms": Policy().end_of_turn_ms,
        "env": {
            "VOICE_SERVER_PUBLIC_URL": PUBLIC_URL,
            "VOICE_SERVER_PORT": "{port}",
            "VOICE_SERVER_DATA_DIR": str(data_dir),
            "VOICE_SERVER_MAX_CALLS": "1000",
            "VOICE_SERVER_LOG_LEVEL": "warning",
            **env,
        },
    }


async def prepare(data_dir: Path) -> None:
    """Make the database, and let the demo agent answer the harness's number."""
    async with db.running(data_dir / "postgres") as server:
        await db.migrate(server.dsn)
        pool = await db.open_pool(server.dsn, size=1)
        await db.seed_demo(pool)
        await pool.close()
        connection = await asyncpg.connect(server.dsn)
        try:
            await connection.execute(
                """
                INSERT INTO phone_numbers (number, user_id, agent_id, label)
                VALUES ($1, $2, $3, 'Benchmark') ON CONFLICT (number) DO NOTHING
                """,
                CALLED,
                db.DEMO_USER_ID,
                db.DEMO_AGENT_ID,
            )
        finally:
            await connection.close()


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Write the descriptions into FOLDER and make the database they share."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(prepare(folder / "data"))
    for name, description in describe(folder).items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(description, indent=1) + "\n")
        click.echo(path)


if __name__ == "__main__":
    main()
