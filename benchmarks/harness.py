"""python -m benchmarks.harness FOLDER: descriptions of our server for the neutral harness.

Makes a database in FOLDER in which the demo agent answers the number that the harness calls,
and one description (a JSON file) for each way of running the server:

    local.json            the product as it is without keys: local ears, voice and receptionist
    floor.json            engines that cost nothing; voice activity model, journal with audio
    floor-no-vad.json     the same without the voice activity model
    floor-no-media.json   the same without audio in the journal
    floor-bare.json       neither model nor journal
    openai.json           ElevenLabs hears and speaks, OpenAI thinks: the harness's simulators
    anthropic.json        the same with Anthropic
    hedged.json           the same with both, one as the other's hedge
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import click

import db
from voice_server.call import Policy

CALLED = "+15005550006"  # the number the harness's callers dial
PUBLIC_URL = "https://bench.example.com"
# As soon as the transcriber is asked for its final: the providers are waited for one by one, and
# whatever else a turn takes is ours. With more patience the final comes while we wait anyway.
PROMPT_MS = Policy().commit_ms

_PRODUCT = ("voice_server", "serve")
_FLOORS = {
    "floor": {},
    "floor-no-vad": {"VOICE_ACTIVITY": "off"},
    "floor-no-media": {"VOICE_SERVER_JOURNAL_MEDIA": "0"},
    "floor-bare": {"VOICE_ACTIVITY": "off", "VOICE_SERVER_JOURNAL": "0"},
}

# Where the harness's simulators are: it fills in `{http}`.
_SIMULATED = {
    "VOICE_SERVER_ELEVENLABS_API_URL": "{http}",
    "VOICE_SERVER_OPENAI_API_URL": "{http}/v1",
    "VOICE_SERVER_ANTHROPIC_API_URL": "{http}",
    "VOICE_SERVER_TWILIO_API_URL": "{http}",
}
# The harness gives keys of all providers; without its key a provider is not used.
_KEYLESS = {"ELEVENLABS_API_KEY": "", "OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": ""}
_REMOTE: dict[str, dict[str, str]] = {
    "openai": {"ANTHROPIC_API_KEY": ""},
    "anthropic": {"OPENAI_API_KEY": ""},
    "hedged": {},
}


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """All descriptions, by name. Servers keep their data in `folder`."""
    data_dir = folder / "data"
    patient = Policy().end_of_turn_ms
    servers = {"local": _server(_PRODUCT, data_dir, patient, _KEYLESS)}
    for name, env in _FLOORS.items():
        servers[name] = _server(("benchmarks.floor_server",), data_dir, patient, env)
    for name, env in _REMOTE.items():
        servers[name] = _server(_PRODUCT, folder / "prompt", PROMPT_MS, _SIMULATED | env)
    return servers


def _server(
    command: tuple[str, ...], data_dir: Path, endpoint_ms: int, env: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "command": [sys.executable, "-m", *command],
        "cwd": str(Path(__file__).resolve().parent.parent),
        "ws_path": "/twilio/media",
        "webhook_path": "/twilio/voice",
        "public_url": PUBLIC_URL,
        "endpoint_ms": endpoint_ms,
        "env": {
            "VOICE_SERVER_PUBLIC_URL": PUBLIC_URL,
            "VOICE_SERVER_PORT": "{port}",
            "VOICE_SERVER_DATA_DIR": str(data_dir),
            "VOICE_SERVER_MAX_CALLS": "1000",
            "VOICE_SERVER_LOG_LEVEL": "warning",
            **env,
        },
    }


async def prepare(data_dir: Path, behaviour: Mapping[str, Any]) -> None:
    """Make the database, and let the demo agent answer the harness's number, behaving so."""
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
            await connection.execute(
                "UPDATE ai_agents SET behavior_config = behavior_config || $2::jsonb WHERE id = $1",
                db.DEMO_AGENT_ID,
                json.dumps(behaviour),
            )
        finally:
            await connection.close()


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Write the descriptions into FOLDER and make the database they share."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(prepare(folder / "data", {}))
    asyncio.run(prepare(folder / "prompt", {"end_of_turn_ms": PROMPT_MS}))
    for name, description in describe(folder).items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(description, indent=1) + "\n")
        click.echo(path)


if __name__ == "__main__":
    main()
