"""python -m benchmarks.conservation: does our ledger equal what the providers metered?"""

from __future__ import annotations

import asyncio
import logging
import sys

import click
import msgspec

from benchmarks.checks import print_checks
from benchmarks.conservation.run import Report, conserve
from benchmarks.database import throwaway_database
from benchmarks.progress import progress_of_calls
from voice_server.telemetry import configure_logging
from voice_server.testing.virtual import VirtualLoop


@click.command()
@click.option("--calls", default=1_000, show_default=True, type=click.IntRange(min=1))
@click.option("--alone", default=200, show_default=True, help="Of them, one at a time, before.")
@click.option("--at-once", default=10, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=1, show_default=True, help="Of callers and faults.")
@click.option("--faults", default=0.08, show_default=True, help="Share of requests that fail.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as one JSON object.")
def main(calls: int, alone: int, at_once: int, seed: int, faults: float, as_json: bool) -> None:
    """Make chaotic calls over failing providers in virtual time, and compare both ledgers.

    Exits with 1 when a unit or a micro-dollar is on one side only.
    """
    configure_logging("error")
    for noisy in ("asyncio", "uvicorn.error", "voice_server.engines", "voice_server.vault"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)  # what fails here fails on purpose
    with (
        progress_of_calls() as progress,
        throwaway_database() as (folder, url),
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        bar = progress.add_task("calls", total=calls)
        report = runner.run(
            conserve(
                folder,
                url,
                calls=calls,
                alone=alone,
                at_once=at_once,
                seed=seed,
                fault_share=faults,
                tick=lambda: progress.advance(bar),
            )
        )
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
    else:
        _print(report)
    sys.exit(0 if report.ok else 1)


def _print(report: Report) -> None:
    click.echo(
        f"{report.calls} calls, {report.alone} of them alone; {report.virtual_s:.0f} s of "
        f"telephone time in {report.real_s:.0f} s; seed {report.seed}"
    )
    click.echo("callers: " + ", ".join(f"{name} {n}" for name, n in report.kinds.items()))
    for name, struck in report.struck.items():
        faults = ", ".join(f"{fault} {count}" for fault, count in struck.items())
        click.echo(f"{name}: {faults or 'no faults'}")
    click.echo(f"replies left by us {report.cut_replies}, estimated {report.doubted_replies}")
    click.echo(f"{'item':52}{'ours':>12}{'metered':>12}{'diff':>6}{'micro-dollars':>15}")
    for line in report.lines:
        click.echo(
            f"{line.item:52}{line.ours:12}{line.metered:12}{line.difference:6}"
            f"{line.booked_micro_usd:15}"
        )
    print_checks(report.checks)


if __name__ == "__main__":
    main()
