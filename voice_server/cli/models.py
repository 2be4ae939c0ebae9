"""`voice-server models`: the third-party weights, fetched and checked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn
from rich.table import Table

from models.manifest import shipped
from models.weights import Condition, PullFailed, Weight, Weights

_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")


@click.group(name="models")
def command() -> None:
    """Fetch and check the third-party weights."""


@command.command()
@click.argument("names", nargs=-1, type=click.Choice(shipped().names()))
@_json_option
def pull(names: tuple[str, ...], as_json: bool) -> None:
    """Download what is missing (NAMES: only these), check every sum."""
    weights = Weights()
    _pull(weights, names, shown=not as_json)
    _show([w for w in weights.list() if not names or w.name in names], weights, as_json=as_json)


def pull_missing() -> None:
    """Fetch what is not there, with a progress bar; says nothing when all is there."""
    weights = Weights()
    if any(weight.condition is not Condition.READY for weight in weights.list()):
        _pull(weights, (), shown=True)


def _pull(weights: Weights, names: Sequence[str], *, shown: bool) -> None:
    try:
        with _Bars(shown=shown) as progress:
            weights.pull(names, progress)
    except PullFailed as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(
            f"cannot write to {weights.directory} ({error.strerror}): "
            "set VOICE_SERVER_MODELS_DIR to a folder that can be written"
        ) from None


@command.command(name="list")
@_json_option
def list_(as_json: bool) -> None:
    """Show the weights, their licences, and whether they are here."""
    weights = Weights()
    _show(weights.list(), weights, as_json=as_json)


@command.command()
@_json_option
def verify(as_json: bool) -> None:
    """Compute every checksum again; exit status 1 unless all are right."""
    weights = Weights()
    inventory = weights.verify()
    _show(inventory, weights, as_json=as_json)
    if any(weight.condition is not Condition.READY for weight in inventory):
        click.echo("Run `voice-server models pull` to fetch what is missing.", err=True)
        sys.exit(1)


class _Bars:
    """A progress bar per package, on stderr."""

    __slots__ = ("_progress", "_tasks")

    def __init__(self, *, shown: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            console=Console(stderr=True),
            disable=not shown,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Callable[[str, int, int], None]:
        self._progress.start()
        return self._report

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _report(self, package: str, done: int, total: int) -> None:
        if package not in self._tasks:
            self._tasks[package] = self._progress.add_task(package, total=total)
        self._progress.update(self._tasks[package], completed=done)


def _show(inventory: Sequence[Weight], weights: Weights, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(inventory).decode())
        return
    table = Table("name", "condition", "MB", "licence", "from", box=None)
    for weight in inventory:
        table.add_row(
            weight.name,
            weight.condition.value,
            f"{weight.bytes / 1e6:.1f}",
            weight.licence,
            weight.origin,
        )
    Console().print(table)
    click.echo(f"in {weights.directory}")
