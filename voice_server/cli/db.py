"""`voice-server db`: migrate, inspect and open the database."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from urllib.parse import unquote, urlsplit, urlunsplit

import click

from db.binaries import wheel_programs
from db.migrate import MigrationStatus, State, migrate, status
from voice_server.cli.database import database, failures_explained

_REMEDIES = {
    State.PENDING: "run `voice-server db migrate`",
    State.CHANGED: "the file differs from what was applied: restore it",
    State.UNKNOWN: "applied by a newer version of this server",
}


@click.group()
def command() -> None:
    """Migrate, inspect and open the database."""


@command.command(name="migrate")
def migrate_command() -> None:
    """Bring the schema up to date. Safe to repeat, and to run on many machines at once."""
    with failures_explained(), database() as (dsn, where):
        applied = asyncio.run(migrate(dsn))
        for migration in applied:
            click.echo(f"applied {migration.number:04} {migration.name}")
        click.echo(f"{where} is up to date")


@command.command(name="status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status_command(as_json: bool) -> None:
    """Tell which migrations the database has. Changes nothing."""
    with failures_explained(), database() as (dsn, where):
        rows = asyncio.run(status(dsn))
    if as_json:
        click.echo(json.dumps(_summary(rows, where)))
        return
    click.echo(where)
    for row in rows:
        note = row.applied_at.isoformat(" ", "seconds") if row.applied_at else ""
        remedy = _REMEDIES.get(row.state, "")
        click.echo(f"  {row.number:04} {row.name:<28} {row.state:<8} {remedy or note}")


@command.command(name="shell", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def shell_command(arguments: tuple[str, ...]) -> None:
    """Open psql on the database. ARGUMENTS go to psql, e.g. -c "SELECT 1"."""
    with failures_explained(), database() as (dsn, _):
        code = _psql(dsn, arguments)
    raise SystemExit(code)


def _summary(rows: tuple[MigrationStatus, ...], where: str) -> dict[str, object]:
    return {
        "database": where,
        "pending": sum(row.state is State.PENDING for row in rows),
        "healthy": all(row.state in (State.APPLIED, State.PENDING) for row in rows),
        "migrations": [
            {
                "number": row.number,
                "name": row.name,
                "state": row.state.value,
                "applied_at": row.applied_at.isoformat() if row.applied_at else None,
            }
            for row in rows
        ],
    }


def _psql(dsn: str, arguments: tuple[str, ...]) -> int:
    """Run psql as a child, since an embedded server would not survive our becoming psql."""
    url, password = _without_password(dsn)
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    # Ctrl-C interrupts a query in psql; it must not end us and the server below it.
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.run(
            [_find_psql(), url, *arguments],
            env=environment,
            check=False,
        ).returncode
    finally:
        signal.signal(signal.SIGINT, former)


def _find_psql() -> str:
    # The system's psql first: the embedded one cannot speak TLS.
    return shutil.which("psql") or str(wheel_programs() / "psql")


def _without_password(dsn: str) -> tuple[str, str]:
    """Take the password out of a URL: the arguments of a process are for all to see."""
    parts = urlsplit(dsn)
    login, at, host = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{host}")), unquote(password)
