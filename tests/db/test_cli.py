from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner, Result

from db.migrate import migrations
from tests.db.server import empty_database, shared_server
from voice_server.cli import main


@pytest.fixture
async def empty() -> str:
    return await empty_database(shared_server().dsn)


@pytest.fixture
def folder(scratch: Path) -> Path:
    return scratch / "state"


def run(*arguments: str, **environment: str | None) -> Result:
    # Settings of the machine that runs the tests must not matter.
    clean: dict[str, str | None] = {"DATABASE_URL": None, "TWILIO_AUTH_TOKEN": None}
    return CliRunner().invoke(main, ["db", *arguments], env=clean | environment)


def test_migrate_tells_what_it_applied_and_then_has_nothing_to_do(empty: str) -> None:
    first = run("migrate", DATABASE_URL=empty)
    assert first.exit_code == 0, first.output
    assert first.output.count("applied") == len(migrations())

    second = run("migrate", DATABASE_URL=empty)
    assert second.output == "the database of DATABASE_URL is up to date\n"


def test_status_is_for_people_or_for_programs(empty: str) -> None:
    before = json.loads(run("status", "--json", DATABASE_URL=empty).output)
    assert (before["pending"], before["healthy"]) == (len(migrations()), True)
    assert "run `voice-server db migrate`" in run("status", DATABASE_URL=empty).output

    run("migrate", DATABASE_URL=empty)
    after = json.loads(run("status", "--json", DATABASE_URL=empty).output)
    assert after["pending"] == 0
    assert {entry["state"] for entry in after["migrations"]} == {"applied"}
    assert all(entry["applied_at"] for entry in after["migrations"])
    assert "0001 tables" in run("status", DATABASE_URL=empty).output


@pytest.mark.parametrize("url", [None, ""])
def test_without_a_url_the_embedded_server_is_used(folder: Path, url: str | None) -> None:
    result = run("migrate", DATABASE_URL=url, VOICE_SERVER_DATA_DIR=str(folder))
    assert result.exit_code == 0, result.output
    assert f"the embedded database in {folder / 'postgres'} is up to date" in result.output


def test_the_shell_passes_arguments_and_exit_status_of_psql(
    empty: str, capfd: pytest.CaptureFixture[str]
) -> None:
    good = run("shell", "-At", "-c", "SELECT 40 + 2", DATABASE_URL=empty)
    assert good.exit_code == 0
    assert capfd.readouterr().out == "42\n"

    bad = run("shell", "-c", "SELECT nonsense", DATABASE_URL=empty)
    assert bad.exit_code == 1
    assert "nonsense" in capfd.readouterr().err


def test_a_password_does_not_become_an_argument(
    empty: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with_password = empty.replace("postgres@", "postgres:p%40ss@")
    socket_folder = parse_qs(urlsplit(empty).query)["host"][0]
    result = run(
        "shell", "-At", "-c", r"\! tr '\0' ' ' < /proc/$PPID/cmdline", DATABASE_URL=with_password
    )
    assert result.exit_code == 0
    shown = capfd.readouterr().out
    assert "p%40ss" not in shown
    assert "p@ss" not in shown
    assert Path(socket_folder).name in shown


FAILURES = [
    ({"DATABASE_URL": "postgresql://u:secret@/x?host=/nowhere"}, "check DATABASE_URL"),
    ({"VOICE_SERVER_DATABASE_POOL": "many"}, "VOICE_SERVER_DATABASE_POOL"),
    ({"VOICE_SERVER_DATA_DIR": "/dev/null"}, "VOICE_SERVER_DATA_DIR"),
]


@pytest.mark.parametrize("command", ["migrate", "status", "shell"])
@pytest.mark.parametrize(("environment", "hint"), FAILURES)
def test_failures_say_what_to_do_and_show_no_secret(
    command: str, environment: dict[str, str | None], hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run(command, **environment)
    assert result.exit_code != 0
    if command == "shell" and "DATABASE_URL" in environment:
        return  # psql speaks for itself
    assert hint in result.output
    assert "secret" not in result.output
    assert "Traceback" not in result.output
