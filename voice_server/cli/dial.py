"""`voice-server dial`: have an agent call somebody."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click
import msgspec
import phonenumbers

import db
from voice_server import settings as configuration
from voice_server.errors import ConfigurationError, VoiceServerError
from voice_server.outbound import Dialler, DialOrder, DialStep
from voice_server.telemetry import configure_logging
from voice_server.twilio.rest import TwilioRest

_LOOK_S = 1.0
_SAID = {
    DialStep.INTENDED: "the call is noted",
    DialStep.REQUESTED: "asking Twilio to place it",
    DialStep.PLACED: "Twilio has taken it",
    DialStep.INDETERMINATE: "Twilio's answer is lost; looking the call up, not dialling again",
    DialStep.FINISHED: "Twilio does not place it",
}


class DialResult(msgspec.Struct, frozen=True):
    """What became of a dial, in the words of `voice-server dial --json`."""

    call_id: str
    state: str  # intended, requested, placed, indeterminate or finished
    status: str  # of `call_sessions`
    raw_status: str  # Twilio's word, or ours where Twilio never heard of the call
    carrier_call_id: str
    answered_by: str


@click.command(name="dial")
@click.argument("number")
@click.option("--agent", "agent_id", required=True, help="Id of the agent that calls.")
@click.option("--from", "sender", default="", help="Number to call from; default: the agent's.")
@click.option("--ring", "ring_s", default=30, show_default=True, help="Seconds to let it ring.")
@click.option("--limit", "limit_s", default=3_600, show_default=True, help="Longest call, seconds.")
@click.option("--detect-machines", is_flag=True, help="Let Twilio tell people from machines.")
@click.option("--record", is_flag=True, help="Record both sides, a track each.")
@click.option("--call-id", help="Our own id; dialling an id twice calls once.")
@click.option("--no-wait", is_flag=True, help="Return when Twilio has taken the call.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def command(
    number: str,
    agent_id: str,
    sender: str,
    ring_s: int,
    limit_s: int,
    detect_machines: bool,
    record: bool,
    call_id: str | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Have an agent call NUMBER (E.164). A server must run at VOICE_SERVER_PUBLIC_URL.

    The same database as the server's is needed. If this command is killed, the server finds
    out what became of the call; nobody is called twice.
    """
    to = e164(number)
    configure_logging("warning")

    async def run() -> DialResult:
        async with _office() as (dialler, dials, agents):
            agent = await agents.by_id(agent_id)
            if agent is None:
                raise click.ClickException(f"no active agent has the id {agent_id}")
            if not sender and not agent.phone_number:
                raise click.ClickException("the agent has no number to call from; give --from")
            order = DialOrder(
                call_id or f"call-{secrets.token_hex(10)}",
                agent,
                to,
                sender=e164(sender) if sender else "",
                ring_s=ring_s,
                limit_s=limit_s,
                machine_detection="Enable" if detect_machines else "",
                record=record,
            )
            row = await dialler.dial(order)
            while not (row.is_over or (no_wait and row.state == "placed")):
                row = await _wait(dialler, dials, row)
        return DialResult(
            row.call_id,
            row.state,
            row.status,
            row.raw_status,
            row.carrier_call_id,
            row.answered_by,
        )

    try:
        result = asyncio.run(run())
    except (VoiceServerError, db.StoreError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(msgspec.json.encode(result).decode())
    else:
        click.echo(f"{result.status} ({result.raw_status or result.state}): {result.call_id}")
    if result.status in ("failed", "cancelled"):
        raise SystemExit(1)


def e164(number: str) -> str:
    """A number as the carrier wants it; raises `click.BadParameter`."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed is None or not phonenumbers.is_possible_number(parsed):
        raise click.BadParameter("not a phone number; write it like +12025550188")
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def twilio_client(settings: configuration.Settings) -> TwilioRest:
    """The account of the settings; raises ConfigurationError when there is none."""
    token = settings.twilio_auth_token
    if not settings.twilio_account_sid or token is None:
        raise ConfigurationError(
            "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN: set both to those of your Twilio account"
        )
    return TwilioRest(
        settings.twilio_account_sid, token.get_secret_value(), settings.twilio_api_url
    )


@asynccontextmanager
async def _office() -> AsyncIterator[tuple[Dialler, db.PostgresDials, db.PostgresAgentDirectory]]:
    settings = configuration.load()
    if not settings.public_url:
        raise ConfigurationError("VOICE_SERVER_PUBLIC_URL: Twilio must know where to ask")
    rest = twilio_client(settings)
    try:
        async with _database(settings) as url:
            await db.migrate(url)
            pool = await db.open_pool(url, size=2)
            try:
                dials = db.PostgresDials(pool)
                dialler = Dialler(dials, rest, settings.public_url, on_step=_tell)
                yield dialler, dials, db.PostgresAgentDirectory(pool)
            finally:
                await pool.close()
    finally:
        await rest.close()


@asynccontextmanager
async def _database(settings: configuration.Settings) -> AsyncIterator[str]:
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with db.running(settings.data_dir / "postgres") as embedded:
        yield embedded.dsn


async def _wait(dialler: Dialler, dials: db.PostgresDials, row: db.DialRow) -> db.DialRow:
    """Look again in a moment; the server's callbacks move the row on."""
    await asyncio.sleep(_LOOK_S)
    await dialler.sweep()
    return await dials.get(row.call_id) or row


def _tell(_call_id: str, step: DialStep) -> None:
    if step in _SAID:
        click.echo(_SAID[step], err=True)
