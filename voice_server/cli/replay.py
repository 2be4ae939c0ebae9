"""`voice-server replay`: a recorded call, once more."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from voice_server.runtime.replay import ReplayedCall


@click.command(name="replay")
@click.argument("journal", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--simulate", is_flag=True, help="Let today's agent answer the recorded caller.")
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --simulate: a JSON file with policy fields to change.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(journal: Path, simulate: bool, policy: Path | None, as_json: bool) -> None:
    """Replay JOURNAL through the call core and compare every command with the recorded one.

    Exits with 1 at a difference. With --simulate nothing is compared: the recorded caller
    meets the present agent, policy and voice, to see what would happen.
    """
    import msgspec

    from voice_server.errors import JournalError
    from voice_server.runtime.replay import replay

    if policy is not None and not simulate:
        raise click.UsageError("--policy is for --simulate: an exact replay keeps its policy")
    began = time.perf_counter()
    try:
        told = _simulated(journal, policy) if simulate else replay(journal)
    except (JournalError, msgspec.MsgspecError) as error:
        raise click.ClickException(str(error)) from None
    seconds = time.perf_counter() - began
    if as_json:
        click.echo(msgspec.json.encode(told).decode())
    else:
        _print(told, seconds, simulate=simulate)
    sys.exit(1 if told.difference else 0)


def _simulated(journal: Path, policy: Path | None) -> ReplayedCall:
    import msgspec

    from voice_server.testing.simulate import simulate

    changes = msgspec.json.decode(policy.read_bytes(), type=dict[str, object]) if policy else {}
    return simulate(journal, changes)


def _print(told: ReplayedCall, seconds: float, *, simulate: bool) -> None:
    for line in told.lines:
        unheard = click.style(f" [{line.unheard}]", dim=True) if line.unheard else ""
        click.echo(f"{line.started_ms / 1000:7.1f}  {line.speaker:6}  {line.text}{unheard}")
    ended = f"{told.outcome} ({told.reason})" if told.outcome else "the journal has no end"
    click.echo(
        f"{ended}: {told.turns} turns, {told.duration_ms / 1000:.1f} s, "
        f"${told.cost_micro_usd / 1_000_000:.4f}, scam risk {told.risk:.2f} ({told.severity})"
    )
    if told.cut_short:
        click.secho(
            "the journal is cut short: the server was killed, or the call lives", fg="yellow"
        )
    pace = told.duration_ms / 1000 / seconds if seconds else 0.0
    if told.difference is not None:
        _print_difference(told)
    elif not simulate:
        click.echo(f"identical commands for {told.events} events; {pace:,.0f} x real time")


def _print_difference(told: ReplayedCall) -> None:
    from voice_server.runtime.replay import describe

    difference = told.difference
    assert difference is not None
    click.secho(
        f"first difference at event {difference.entry} ({difference.event}), "
        f"{difference.at_ms / 1000:.2f} s into the call:",
        fg="red",
    )
    click.echo(f"  recorded: {describe(difference.recorded) or 'nothing'}")
    click.echo(f"  replayed: {describe(difference.replayed) or 'nothing'}")
