"""`voice-server mirror`: let people watch live calls."""

from __future__ import annotations

import json

import click

from db import Pool
from voice_server import settings as configuration
from voice_server.cli.database import failures_explained, in_database, tenant_id
from voice_server.mirror.tokens import WebTokens
from voice_server.mirror.web import admission


@click.group()
def command() -> None:
    """Let people watch live calls in Firebase."""


@command.command(name="token")
@click.option("--tenant", required=True, help="The tenant's id or e-mail address.")
def token_command(tenant: str) -> None:
    """Print what a web client needs to watch a tenant's live calls, for an hour, as JSON."""

    async def work(pool: Pool) -> str:
        return await tenant_id(pool, tenant)

    with failures_explained():
        settings = configuration.load()
        if settings.firebase_credentials is None or not settings.firebase_database_url:
            raise click.ClickException(
                "no Firebase is set: give VOICE_SERVER_FIREBASE_DATABASE_URL and the key file in "
                "VOICE_SERVER_FIREBASE_CREDENTIALS"
            )
        tokens = WebTokens(settings.firebase_credentials)
    user_id = in_database(work)
    click.echo(json.dumps(admission(tokens, user_id, settings.firebase_database_url)))
