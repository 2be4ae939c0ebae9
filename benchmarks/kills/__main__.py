"""`python -m benchmarks.kills`: a thousand dials, the server killed again and again."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import click
import msgspec

import db
from benchmarks.kills.run import KillReport, kill_and_count


@click.command()
@click.option("--dials", default=1_000, show_default=True)
@click.option("--a-round", default=10, show_default=True, help="Dials between two kills.")
@click.option("--seed", default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(dials: int, a_round: int, seed: int, as_json: bool) -> None:
    """Fail unless nobody is called twice and every call has a terminal status."""
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        Path(folder).chmod(0o755)  # as root, Postgres runs as another user
        report = asyncio.run(_run(Path(folder), dials, a_round, seed))
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
    else:
        for name, value in msgspec.structs.asdict(report).items():
            click.echo(f"{name.replace('_', ' '):>14}  {value}")
    sys.exit(0 if report.ok else 1)


async def _run(folder: Path, dials: int, a_round: int, seed: int) -> KillReport:
    async with db.running(folder / "postgres") as server:
        await db.migrate(server.dsn)
        pool = await db.open_pool(server.dsn, size=1)
        await db.seed_demo(pool)
        await pool.close()
        return await kill_and_count(server.dsn, folder, dials=dials, a_round=a_round, seed=seed)


main()
