"""`voice-server doctor`, as the operator meets it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from db import open_pool
from models.weights import default_directory
from tests.cli.test_help import loaded_by
from tests.db.server import database, execute, fetch, template  # noqa: F401
from tests.db.tenants import add_tenants
from tests.test_docs import variable
from tests.vault.provider import provider_saying
from tests.vault.rings import entry
from voice_server.cli import main
from voice_server.settings import Settings
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.model import ModelSimulator
from voice_server.testing.lab.openai import chat_completions
from voice_server.testing.lab.twilio import open_twilio

NUMBERS = ("+12025550111", "+12025550122")
KEY = "sk-a-servers-secret"
_CLEAN: dict[str, str | None] = {variable(field): None for field in Settings.model_fields}


async def doctor(*arguments: str, **environment: str) -> Result:
    """Beside the simulators' loop, as another process would be."""
    env = _CLEAN | {"COLUMNS": "200"} | environment
    return await asyncio.to_thread(CliRunner().invoke, main, ["doctor", *arguments], env=env)


async def findings(**environment: str) -> dict[str, dict[str, Any]]:
    result = await doctor("--json", **environment)
    told = json.loads(result.output)
    failed = any(check["state"] == "failed" for check in told["checks"])
    assert told["healthy"] is not failed
    assert result.exit_code == int(failed)
    return {check["name"]: check for check in told["checks"]}


@asynccontextmanager
async def surroundings(dsn: str, folder: Path) -> AsyncIterator[dict[str, str]]:
    """The environment of a server all of whose parts are there and well."""
    pool = await open_pool(dsn, size=1)
    await add_tenants(pool)
    await pool.close()

    async def health(_: Any) -> PlainTextResponse:
        return PlainTextResponse("ok")

    firebase = FirebaseLab()
    async with (
        open_twilio(numbers=NUMBERS) as carrier,
        hosting(ModelSimulator(chat_completions(), keys=frozenset({KEY})).app) as mind,
        hosting(firebase.app) as mirror,
        hosting(Starlette(routes=[Route("/healthz", health)])) as public,
    ):
        for number in carrier.numbers.values():
            number["voice_url"] = f"{public}/twilio/voice"
            number["status_callback"] = f"{public}/twilio/status"
        yield {
            "DATABASE_URL": dsn,
            "OPENAI_API_KEY": KEY,
            "TWILIO_ACCOUNT_SID": carrier.account_sid,
            "TWILIO_AUTH_TOKEN": carrier.auth_token,
            "VOICE_SERVER_DATA_DIR": str(folder),
            "VOICE_SERVER_FIREBASE_DATABASE_URL": firebase.database_url(mirror),
            "VOICE_SERVER_MODELS_DIR": str(default_directory()),
            "VOICE_SERVER_OPENAI_API_URL": f"{mind}/v1",
            "VOICE_SERVER_PORT": "0",
            "VOICE_SERVER_PUBLIC_URL": public,
            "VOICE_SERVER_TWILIO_API_URL": carrier.url,
            "VOICE_SERVER_VAULT_KEYS": entry("new"),
        }


@pytest.mark.postgres
@pytest.mark.weights
async def test_a_server_that_is_well_is_said_to_be(database: str, tmp_path: Path) -> None:  # noqa: F811
    async with surroundings(database, tmp_path) as environment:
        found = await findings(**environment)
    states = {name: check["state"] for name, check in found.items()}
    unused = {f"{one} key" for one in ("elevenlabs", "anthropic", "google", "grok", "serpapi")}
    unused.add("hosted agents")
    assert {name for name, state in states.items() if state == "skipped"} == unused
    assert states.pop("disk space") in ("ok", "warning", "failed")  # this machine's own affair
    assert {state for name, state in states.items() if name not in unused} == {"ok"}
    assert all(check["what"] for check in found.values())


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("changes", "name", "fix"),
    [
        ({"OPENAI_API_KEY": "sk-a-wrong-secret"}, "openai key", "OPENAI_API_KEY"),
        ({"TWILIO_AUTH_TOKEN": "a-wrong-secret"}, "twilio numbers", "TWILIO_AUTH_TOKEN"),
        (
            {"VOICE_SERVER_OPENAI_API_URL": "http://127.0.0.1:9"},
            "openai key",
            "VOICE_SERVER_OPENAI_API_URL",
        ),
        (
            {"VOICE_SERVER_PUBLIC_URL": "http://127.0.0.1:9"},
            "twilio number 1",
            "voice-server twilio connect",
        ),
        (
            {"VOICE_SERVER_PUBLIC_URL": "http://127.0.0.1:9"},
            "public URL",
            "VOICE_SERVER_PUBLIC_URL",
        ),
        ({"VOICE_SERVER_MODELS_DIR": "/nonexistent"}, "weights", "voice-server models pull"),
        ({"VOICE_SERVER_PUBLIC_URL": "voice.example.com"}, "settings", "https"),
        (
            {"DATABASE_URL": "postgresql://u:secret@127.0.0.1:9/voice"},
            "database",
            "DATABASE_URL",
        ),
    ],
)
async def test_each_problem_names_what_mends_it(
    database: str,  # noqa: F811
    tmp_path: Path,
    changes: dict[str, str],
    name: str,
    fix: str,
) -> None:
    async with surroundings(database, tmp_path) as environment:
        told = environment | {"VOICE_SERVER_MODELS_DIR": str(tmp_path)} | changes
        found = await findings(**told)
        table = await doctor(**told)
    assert found[name]["state"] == "failed"
    assert fix in f"{found[name]['what']} {found[name]['fix']}"
    assert table.exit_code == 1
    for text in (json.dumps(found), table.output):
        assert "secret" not in text
        assert "2025550" not in text
        assert environment["TWILIO_AUTH_TOKEN"] not in text


async def test_all_settings_that_need_attention_are_listed_and_the_rest_is_looked_at(
    tmp_path: Path,
) -> None:
    result = await doctor(
        "--json",
        VOICE_SERVER_PORT="many",
        VOICE_SERVER_VAULT_KEYS="id:c2VjcmV0",
        VOICE_SERVER_DATA_DIR=str(tmp_path),
        VOICE_SERVER_MODELS_DIR=str(tmp_path),
    )
    checks = json.loads(result.output)["checks"]
    wrong = [check["what"] for check in checks if check["name"] == "settings"]
    assert {what.split(":")[0] for what in wrong} == {
        "VOICE_SERVER_PORT",
        "VOICE_SERVER_VAULT_KEYS",
        "TWILIO_AUTH_TOKEN",
        "VOICE_SERVER_PUBLIC_URL",
    }
    assert "c2VjcmV0" not in result.output
    states = {check["name"]: check["state"] for check in checks}
    assert states["data directory"] == "ok"
    assert states["weights"] == "failed"
    assert states["port"] == "skipped"
    assert result.exit_code == 1


async def test_a_server_without_any_key_is_looked_at_without_the_network(tmp_path: Path) -> None:
    found = await findings(
        VOICE_SERVER_INSECURE_WEBHOOKS="1",
        VOICE_SERVER_PORT="0",
        VOICE_SERVER_DATA_DIR=str(tmp_path),
        VOICE_SERVER_MODELS_DIR=str(tmp_path),
    )
    remote = ("key", "vault", "twilio", "public", "firebase", "clock")
    assert {found[name]["state"] for name in found if any(word in name for word in remote)} == {
        "skipped"
    }
    assert found["settings"]["state"] == "ok"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("shift_h", "side"), [(2, "behind"), (-2, "ahead of")])
async def test_a_clock_that_is_wrong_is_a_warning(tmp_path: Path, shift_h: int, side: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=shift_h), usegmt=True)
    answer = f"HTTP/1.1 200 X\r\ndate: {date}\r\ncontent-length: 2\r\n\r\n{{}}".encode()
    async with provider_saying(script=(answer,)) as desk:
        found = await findings(
            OPENAI_API_KEY=KEY,
            VOICE_SERVER_OPENAI_API_URL=desk.url,
            VOICE_SERVER_INSECURE_WEBHOOKS="1",
            VOICE_SERVER_PORT="0",
            VOICE_SERVER_DATA_DIR=str(tmp_path),
            VOICE_SERVER_MODELS_DIR=str(tmp_path),
        )
    assert found["clock"]["state"] == "warning"
    assert f"{side} openai" in found["clock"]["what"]
    assert "timedatectl" in found["clock"]["fix"]


@pytest.mark.postgres
async def test_a_pending_migration_is_told_and_left_to_the_operator(
    database: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    newest = "(SELECT max(number) FROM private.migrations)"
    await execute(database, f"DELETE FROM private.migrations WHERE number = {newest}")
    count = "SELECT count(*) AS applied FROM private.migrations"
    (before,) = await fetch(database, count)
    found = await findings(
        DATABASE_URL=database,
        VOICE_SERVER_INSECURE_WEBHOOKS="1",
        VOICE_SERVER_PORT="0",
        VOICE_SERVER_DATA_DIR=str(tmp_path),
        VOICE_SERVER_MODELS_DIR=str(tmp_path),
    )
    assert found["migrations"]["state"] == "warning"
    assert "voice-server db migrate" in found["migrations"]["fix"]
    assert await fetch(database, count) == [before]


def test_its_help_loads_nothing_heavy() -> None:
    assert loaded_by("doctor", "--help") == []
