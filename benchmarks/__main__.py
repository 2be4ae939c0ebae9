"""python -m benchmarks: what the server's parts cost on this machine, models included."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from benchmarks import calls, engines, frames
from benchmarks.added import added_latency
from benchmarks.calls import Figure
from benchmarks.measure import REPEATS, Bench, Timing, measure
from voice_server.speech.engines import LocalEngines, open_local
from voice_server.telemetry import configure_logging

_WHOLE_CALL, _ADDED = "whole call", "added latency"


@click.command()
@click.option("--only", default="", help="Benches whose name holds this word.")
@click.option("--repeats", default=REPEATS, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(only: str, repeats: int, as_json: bool) -> None:
    """Time the parts of the server; times are CPU time, `ratio` is to a loop of plain Python."""
    configure_logging("error")
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    folder.chmod(0o755)  # as root, the embedded database runs as another user
    local = open_local(2)
    timings: list[Timing] = []
    figures: list[Figure] = []
    try:
        for bench in _benches(local, folder):
            if only.lower() in bench.name.lower():
                timings.append(measure(bench, repeats))
                if not as_json:
                    _print_timing(timings[-1])
        for figure in _figures(local, folder, only.lower()):
            figures.append(figure)
            if not as_json:
                click.echo(f"{figure.name:<42} {figure.value:>10,.6g} {figure.unit}")
    finally:
        local.close()
        shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        click.echo(msgspec.json.encode({"timings": timings, "figures": figures}).decode())


def _benches(local: LocalEngines, folder: Path) -> Iterator[Bench]:
    yield from frames.benches(folder)
    yield from engines.benches(local)
    shield = calls.shield()
    yield from calls.benches(shield)
    shield.close()


def _figures(local: LocalEngines, folder: Path, only: str) -> Iterator[Figure]:
    if only in _WHOLE_CALL:
        yield from calls.whole_call(local, folder)
    if only in _ADDED:
        yield from added_latency(folder)


def _print_timing(timing: Timing) -> None:
    click.echo(
        f"{timing.name:<42} {timing.least_us:>10,.2f} µs at least, "
        f"{timing.median_us:>10,.2f} median, x{timing.ratio:<8g} per {timing.unit}"
    )


if __name__ == "__main__":
    main()
