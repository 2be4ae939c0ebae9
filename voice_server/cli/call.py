"""`voice-server call`: a simulated phone plays a recording to a server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

# What a call needs is imported when it is made: `--help` must not wait for it.
if TYPE_CHECKING:
    from voice_server.testing.box import CallResult
    from voice_server.testing.caller import Caller
    from voice_server.testing.phone import Phone
    from voice_server.testing.report import PhoneReport


@click.command(name="call")
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", "url", help="Webhook URL of a running server; default: start one.")
@click.option("--auth-token", envvar="TWILIO_AUTH_TOKEN", help="Signs webhooks sent --to.")
@click.option("--number", help="The number to call; default: the demo agent's.")
@click.option("--fast", is_flag=True, help="In virtual time: as fast as the machine can.")
@click.option("--save", type=click.Path(path_type=Path), help="Write both sides to this WAV.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def command(
    recording: Path,
    url: str | None,
    auth_token: str | None,
    number: str | None,
    fast: bool,
    save: Path | None,
    as_json: bool,
) -> None:
    """Play RECORDING (mu-law WAV; its .json says when the caller speaks) to a server."""
    if fast and url:
        raise click.UsageError("--fast needs a server of its own: leave --to out")
    import msgspec

    import db
    from models.weights import WeightsMissing
    from voice_server.cli.serve import new_loop
    from voice_server.errors import VoiceServerError
    from voice_server.telemetry import configure_logging
    from voice_server.testing.caller import caller_for
    from voice_server.testing.virtual import VirtualLoop

    configure_logging("warning")
    number = number or db.DEMO_NUMBER
    try:
        caller = caller_for(recording)
        with asyncio.Runner(loop_factory=VirtualLoop if fast else new_loop) as runner:
            if url is None:
                title = "" if as_json else recording.stem
                result = runner.run(_call_own(caller, number, save, title))
            else:
                result = runner.run(_call_other(caller, url, auth_token, number, save))
    except (VoiceServerError, WeightsMissing, db.StoreError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(msgspec.json.encode(result).decode())
    else:
        print_result(result)


async def _call_own(caller: Caller, number: str, save: Path | None, title: str) -> CallResult:
    """Call a server of our own; shows the call under a title, "" = do not show it."""
    from voice_server import settings as configuration
    from voice_server.cli.screen import CallScreen
    from voice_server.testing.box import open_box

    storage = configuration.load_storage()
    url = storage.database_url
    async with open_box(
        storage.data_dir, database_url=url.get_secret_value() if url else None
    ) as box:
        phone = box.phone(caller, to_number=number)
        if not title:
            report = await phone.call()
        else:
            with CallScreen(title) as screen:
                stop = box.server.mirror.watch(screen.show)
                report = await phone.call()
                result = await box.result(phone.parameters.get("call", ""))
                stop()
        result = await box.result(phone.parameters.get("call", ""))
    _after(phone, report, save)
    return result


async def _call_other(
    caller: Caller, url: str, auth_token: str | None, number: str, save: Path | None
) -> CallResult:
    import msgspec

    from voice_server import settings as configuration
    from voice_server.runtime.replay import replay
    from voice_server.testing.box import result_of
    from voice_server.testing.phone import Phone

    storage = configuration.load_storage()
    phone = Phone(
        url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/twilio/voice",
        auth_token=auth_token or "",
        caller=caller,
        to_number=number,
    )
    report = await phone.call()
    _after(phone, report, save)
    call_id = phone.parameters.get("call", "")
    found = list(storage.data_dir.glob(f"journals/*/{call_id}.journal")) if call_id else []
    told = replay(found[0]) if found else None
    result = result_of(told, str(found[0]) if found else "", status=report.status)
    return msgspec.structs.replace(result, call_id=call_id)


def _after(phone: Phone, report: PhoneReport, save: Path | None) -> None:
    if save is not None:
        phone.save(save)
        click.echo(f"both sides of the call: {save}", err=True)
    for error in report.errors:
        click.secho(f"the carrier complains: {error}", fg="yellow", err=True)


def print_result(result: CallResult) -> None:
    """The end of a call, and where to look further."""
    click.echo(
        f"{result.outcome or result.status}: {result.turns} turns, "
        f"latency {result.latency_ms} ms, ${result.cost_usd:.4f}, "
        f"scam risk {result.risk_score:.2f} ({result.severity})"
    )
    if result.order_id:
        click.echo(f"order booked: {result.order_id}")
    if result.call_id:
        click.echo(f"stored as call {result.call_id} (voice-server db shell)")
    if result.journal:
        click.echo(f"replay it:  voice-server replay {result.journal}")
