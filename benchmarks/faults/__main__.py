"""python -m benchmarks.faults: engine x fault x moment, and how long the caller hears nothing."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from benchmarks.database import throwaway_database
from benchmarks.faults.run import Cell, Matrix, cells, open_trial, table
from benchmarks.faults.world import ENGINES, FAULTS
from benchmarks.progress import progress_of_calls
from voice_server.telemetry import configure_logging
from voice_server.testing.virtual import VirtualLoop


@click.command()
@click.option("--engine", type=click.Choice(ENGINES), multiple=True, help="Default: all.")
@click.option("--fault", type=click.Choice(tuple(FAULTS)), multiple=True, help="Default: all.")
@click.option("--json", "as_json", is_flag=True, help="Print all cells as one JSON object.")
def main(engine: tuple[str, ...], fault: tuple[str, ...], as_json: bool) -> None:
    """Let each engine fail in each way at each moment of a call, in virtual time.

    Exits with 1 when a caller waited too long for a sound, or lost the call.
    """
    configure_logging("error")
    for noisy in ("asyncio", "uvicorn.error", "voice_server", "firebase_admin"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)  # what fails here fails on purpose
    planned = [
        cell
        for cell in cells()
        if cell.engine in (engine or ENGINES) and cell.fault in (fault or FAULTS)
    ]
    with progress_of_calls() as progress:
        bar = progress.add_task("calls", total=len(planned))
        matrix = _run(planned, lambda: progress.advance(bar))
    click.echo(msgspec.json.encode(matrix).decode() if as_json else "\n".join(table(matrix)))
    for cell in matrix.troubled:
        told = f"{cell.engine}, {cell.fault}, {cell.moment}: {cell.status} {cell.complaints}"
        click.echo(told, err=True)
    sys.exit(0 if matrix.ok else 1)


def _run(planned: list[Cell], tick: Callable[[], None]) -> Matrix:
    async def trial(folder: Path, url: str) -> Matrix:
        async with open_trial(folder, url) as opened:
            return await opened.matrix(planned, tick)

    with (
        throwaway_database() as (folder, url),
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        return runner.run(trial(folder, url))


if __name__ == "__main__":
    main()
