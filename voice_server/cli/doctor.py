"""`voice-server doctor`: what is wrong with this server, and how to mend it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:  # imported when used: `--help` must not wait for it
    from voice_server.doctor import Check

_COLOURS: Final = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Check settings, machine, database, keys, numbers and services; tell how to mend each.

    Asks only what is configured, changes nothing, and costs nothing at any provider. Exit
    status 1 when something failed; warnings leave it at 0.
    """
    import msgspec

    from voice_server.doctor import State, examine

    logging.disable(logging.ERROR)  # libraries tell in their words what the table tells in ours
    try:
        checks = asyncio.run(examine())
    finally:
        logging.disable(logging.NOTSET)
    healthy = all(check.state is not State.FAILED for check in checks)
    if as_json:
        click.echo(msgspec.json.encode({"healthy": healthy, "checks": checks}).decode())
    else:
        _show(checks)
    if not healthy:
        raise SystemExit(1)


def _show(checks: Sequence[Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("check", "state", "what", "fix", box=None)
    for check in checks:
        state = Text(check.state.value, style=_COLOURS[check.state.value])
        table.add_row(check.name, state, Text(check.what), Text(check.fix))
    Console().print(table)
