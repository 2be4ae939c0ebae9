"""python -m benchmarks.soak: a thousand short calls, then a look at what they left behind."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
import tempfile
from pathlib import Path

import click
import msgspec

from benchmarks.checks import print_checks
from benchmarks.progress import progress_of_calls
from benchmarks.soak.run import SoakReport, soak
from voice_server.telemetry import configure_logging
from voice_server.testing.virtual import VirtualLoop


@click.command()
@click.option("--calls", default=1_000, show_default=True, type=click.IntRange(min=2))
@click.option("--warm-up", default=100, show_default=True, help="Calls before the first look.")
@click.option("--at-once", default=10, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=1, show_default=True, help="Of the callers' dice.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as one JSON object.")
def main(calls: int, warm_up: int, at_once: int, seed: int, as_json: bool) -> None:
    """Make many short calls to the real server in virtual time, all engines local.

    Exits with 1 when a call, a cost, a task, a descriptor or memory is unaccounted for.
    """
    configure_logging("error")
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    folder = tempfile.mkdtemp(prefix="soak-")
    Path(folder).chmod(0o755)  # as root, the embedded database runs as another user
    try:
        with (
            progress_of_calls() as progress,
            asyncio.Runner(loop_factory=VirtualLoop) as runner,
        ):
            bar = progress.add_task("calls", total=calls)
            report = runner.run(
                soak(
                    Path(folder),
                    calls=calls,
                    warm_up=min(warm_up, calls // 2),
                    at_once=at_once,
                    seed=seed,
                    tick=lambda: progress.advance(bar),
                )
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
    else:
        _print(report)
    sys.exit(0 if report.ok else 1)


def _print(report: SoakReport) -> None:
    click.echo(
        f"{report.calls} calls ({report.admitted} admitted), {report.virtual_s:.0f} s of "
        f"telephone time in {report.real_s:.0f} s"
    )
    for title, tally in (
        ("callers", report.kinds),
        ("statuses", report.ledger.statuses),
        ("outcomes", report.ledger.outcomes),
    ):
        click.echo(f"{title}: " + ", ".join(f"{name} {count}" for name, count in tally.items()))
    print_checks(report.checks)


if __name__ == "__main__":
    main()
