"""What a long benchmark must find to be content."""

from __future__ import annotations

from collections.abc import Iterable

import click
import msgspec


class Check(msgspec.Struct, frozen=True):
    """One thing that must hold, and what was found."""

    name: str
    ok: bool
    found: str


def print_checks(checks: Iterable[Check]) -> None:
    """Print a line for each, marked by whether it held."""
    for check in checks:
        mark = click.style("ok  ", fg="green") if check.ok else click.style("FAIL", fg="red")
        click.echo(f"{mark} {check.name}: {check.found}")
