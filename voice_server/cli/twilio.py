"""`voice-server twilio`: make Twilio's numbers lead to this server."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import msgspec

from voice_server import settings as configuration
from voice_server.cli.dial import e164, twilio_client
from voice_server.errors import ConfigurationError, VoiceServerError
from voice_server.telemetry import configure_logging
from voice_server.twilio.address import STATUS_PATH, VOICE_PATH
from voice_server.twilio.resources import leads_to


@click.group()
def command() -> None:
    """Make Twilio's numbers lead to this server."""


@command.command(name="connect")
@click.argument("number")
@click.option("--check", is_flag=True, help="Change nothing; fail when something is to be done.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def connect_command(number: str, check: bool, as_json: bool) -> None:
    """Point the webhooks of NUMBER (E.164, of your account) at VOICE_SERVER_PUBLIC_URL."""
    configure_logging("warning")
    try:
        result = asyncio.run(_connect(e164(number), check=check))
    except VoiceServerError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(msgspec.json.encode(result).decode())
    else:
        done = "leads here" if not result["changed"] else "led elsewhere"
        now = "" if check or not result["changed"] else "; it leads here now"
        click.echo(f"{result['number']} {done}{now}: {result['voice_url']}")
    if check and result["changed"]:
        raise SystemExit(1)


async def _connect(number: str, *, check: bool) -> dict[str, Any]:
    settings = configuration.load()
    base = settings.public_url.rstrip("/")
    if not base:
        raise ConfigurationError("VOICE_SERVER_PUBLIC_URL: Twilio must know where to ask")
    rest = twilio_client(settings)
    try:
        numbers = await rest.numbers(number)
        found = next((item for item in numbers if item.phone_number == number), None)
        if found is None:
            raise ConfigurationError(
                "NUMBER: the account of TWILIO_ACCOUNT_SID does not own it; buy it, or check the id"
            )
        wanted = {"voice_url": base + VOICE_PATH, "status_url": base + STATUS_PATH}
        changed = not leads_to(found, **wanted)
        if changed and not check:
            await rest.connect_number(found.sid, **wanted)
    finally:
        await rest.close()
    return {"number": number, "changed": changed, **wanted}
