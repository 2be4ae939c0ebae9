"""`voice-server demo`: recorded callers ring a server on this machine, in real time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
import msgspec

import db
from models.weights import WeightsMissing
from voice_server import settings as configuration
from voice_server.cli.call import print_result
from voice_server.cli.models import pull_missing
from voice_server.cli.screen import CallScreen
from voice_server.cli.serve import new_loop, serve
from voice_server.errors import VoiceServerError
from voice_server.telemetry import configure_logging
from voice_server.testing.box import Box, CallResult, open_box
from voice_server.testing.caller import caller_for
from voice_server.testing.virtual import VirtualLoop, hold_time


@click.command(name="demo")
@click.argument(
    "recordings",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--fast", is_flag=True, help="In virtual time: as fast as the machine can.")
@click.option("--serve", "keep", is_flag=True, help="Keep a server running afterwards.")
@click.option("--port", default=8080, show_default=True, help="With --serve: where it listens.")
def command(recordings: tuple[Path, ...], fast: bool, keep: bool, port: int) -> None:
    """Let each of RECORDINGS call the demo agent, and show what the database keeps of it."""
    configure_logging("warning")
    storage = configuration.load_storage()
    pull_missing()
    try:
        with asyncio.Runner(loop_factory=VirtualLoop if fast else new_loop) as runner:
            runner.run(_demo(recordings, storage))
        if keep:
            _keep_serving(storage, port)
    except (VoiceServerError, WeightsMissing, db.StoreError) as error:
        raise click.ClickException(str(error)) from None


async def _demo(recordings: tuple[Path, ...], storage: configuration.Storage) -> None:
    url = storage.database_url
    click.echo("starting Postgres, the engines and the server ...", err=True)
    async with open_box(
        storage.data_dir, database_url=url.get_secret_value() if url else None
    ) as box:
        for recording in recordings:
            click.secho(f"\n☎  {recording.stem} calls", bold=True)
            await _one(box, recording, storage.data_dir / "demo" / f"{recording.stem}.wav")
    click.echo("\nLook into the database:  voice-server db shell")


async def _one(box: Box, recording: Path, both_sides: Path) -> None:
    phone = box.phone(caller_for(recording))
    with CallScreen(recording.stem) as screen:
        stop = box.server.mirror.watch(screen.show)
        await phone.call()
        result = await box.result(phone.parameters.get("call", ""))
        stop()
    both_sides.parent.mkdir(parents=True, exist_ok=True)
    phone.save(both_sides)
    click.echo()
    print_result(result)
    click.echo(f"listen to it: {both_sides}")
    with hold_time():
        await _evidence(box, result)


async def _evidence(box: Box, result: CallResult) -> None:
    """What Postgres knows of the call."""
    record = await db.PostgresCallRecords(box.server.pool).call(result.call_id)
    if record is not None and result.order_id:
        order = await db.PostgresOrders(box.server.pool).find(record.user_id, result.order_id)
        if order is not None:
            click.echo(
                f"in Postgres:  orders {order.order_id}: {order.service_type}, "
                f"{order.customer_name}, {order.customer_address}, {order.scheduled_text}"
            )
    detections = await db.PostgresCallRecords(box.server.pool).detections(result.call_id)
    if not detections:
        return
    worst = max(detections, key=lambda row: row.risk_score)
    if worst.severity in ("high", "critical"):
        click.echo(
            f"in Postgres:  scam_detections: {worst.severity}, risk {worst.risk_score}, "
            f"model {worst.model_version}, {worst.processing_time_ms} ms"
        )
        for pattern in _names(worst.patterns):
            click.echo(f"  evidence: {pattern}")


def _names(patterns: str) -> list[str]:
    found: list[dict[str, Any]] = msgspec.json.decode(patterns)
    return [f"{item['name']}: “{item['excerpt']}”" for item in found[:6]]


def _keep_serving(storage: configuration.Storage, port: int) -> None:
    settings = configuration.load(
        {"insecure_webhooks": True, "host": "127.0.0.1", "port": port, "data_dir": storage.data_dir}
    )
    click.echo(
        f"\nNow call it yourself:  voice-server call FILE.wav --to http://127.0.0.1:{port}\n"
        "Ctrl-C stops the server."
    )
    serve(settings)
