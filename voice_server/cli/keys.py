"""`voice-server keys`: the tenants' own keys of providers. A key is never an argument."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import click
from pydantic import SecretStr

from db import KeyRow, Pool, PostgresKeys
from voice_server.cli.database import failures_explained, in_database, tenant_id
from voice_server.errors import ConfigurationError
from voice_server.provider_settings import Provider, ProviderSettings
from voice_server.settings import load_providers
from voice_server.vault import Added, Finding, KeyChecks, KeyRing, TenantKeys

T = TypeVar("T")

_SAID: Final = {
    Finding.ACCEPTED: "the provider accepts it",
    Finding.RESTRICTED: "the provider accepts it for some uses only",
    Finding.EXHAUSTED: "the provider accepts it, but no quota is left: add credits there",
    Finding.REFUSED: "the provider refuses it: check it in the provider's console",
    Finding.MALFORMED: "this cannot be such a key (Twilio's is ACCOUNT_SID:AUTH_TOKEN)",
    Finding.BROKEN: "its seal does not open: add it again, or put its master key back",
    Finding.UNDECIDED: "the provider could not be asked: run `voice-server keys validate` later",
}
_provider = click.argument("provider", type=click.Choice([one.value for one in Provider]))
_tenant = click.option("--tenant", required=True, help="The tenant's id or e-mail address.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def command() -> None:
    """Keep the tenants' own keys of providers, sealed under VOICE_SERVER_VAULT_KEYS."""


@command.command(name="add")
@_provider
@_tenant
@click.option("--unchecked", is_flag=True, help="Store it without asking the provider.")
def add_command(provider: str, tenant: str, unchecked: bool) -> None:
    """Store a key in the place of the former one. It is read from the terminal or from stdin."""
    key, asked = _read_key(), Provider(provider)

    async def work(vault: TenantKeys, user_id: str) -> tuple[Added, str]:
        if unchecked:
            done = await vault.add_untried(user_id, asked, key)
            return done, _SAID[Finding.MALFORMED] if done is Added.NOT_STORED else "not tried"
        done, finding = await vault.add(user_id, asked, key)
        return done, _SAID[finding]

    done, said = _in_vault(tenant, work)
    if done is Added.NOT_STORED:
        raise click.ClickException(f"{provider}: not stored; {said}")
    click.echo(f"{provider}: {done}; {said}")


@command.command(name="list")
@_tenant
@_json
def list_command(tenant: str, as_json: bool) -> None:
    """Tell which keys a tenant has, how they fare and how often calls used them."""

    async def work(pool: Pool) -> tuple[str, tuple[KeyRow, ...]]:
        rows = PostgresKeys(pool)
        user_id = await tenant_id(pool, tenant)
        return user_id, await rows.of(user_id)

    user_id, keys = in_database(work)
    if as_json:
        click.echo(json.dumps({"tenant": user_id, "keys": [_as_json(row) for row in keys]}))
        return
    for row in keys:
        state = "valid" if row.is_valid else "INVALID"
        tried = row.last_validated
        when = f"tried {tried.isoformat(' ', 'seconds')}" if tried else "never tried"
        click.echo(f"{row.provider:<11} {state:<8} used {row.usage_count:>6}  {when}")
    if not keys:
        click.echo("no keys: calls use the server's keys, else the local engines")


@command.command(name="validate")
@click.argument("provider", required=False, type=click.Choice([one.value for one in Provider]))
@_tenant
@_json
def validate_command(provider: str | None, tenant: str, as_json: bool) -> None:
    """Try stored keys at their providers and note the result. Exit status 1 if one is bad."""
    asked = (Provider(provider),) if provider else tuple(Provider)

    async def work(vault: TenantKeys, user_id: str) -> dict[str, Finding]:
        found = await vault.validate(user_id, asked)
        return {one.value: finding for one, finding in found.items()}

    found = _in_vault(tenant, work)
    if as_json:
        click.echo(json.dumps({one: finding.value for one, finding in found.items()}))
    else:
        for one, finding in found.items():
            click.echo(f"{one:<11} {finding:<10} {_SAID[finding]}")
        if not found:
            click.echo("no such keys are stored")
    if any(finding.is_valid is False or finding is Finding.BROKEN for finding in found.values()):
        raise SystemExit(1)


@command.command(name="rotate")
def rotate_command() -> None:
    """Seal all keys of all tenants under the newest master key. May be repeated."""
    settings, ring = _settings()

    async def work(pool: Pool) -> tuple[int, int, tuple[tuple[str, Provider], ...]]:
        done = await TenantKeys(PostgresKeys(pool), ring, KeyChecks(settings)).rotate()
        return done.resealed, done.current, done.broken

    resealed, current, broken = in_database(work)
    click.echo(f"{resealed} keys sealed anew under {ring.newest}, {current} were already")
    for user_id, provider in broken:
        click.echo(f"{user_id} {provider.value}: {_SAID[Finding.BROKEN]}", err=True)
    if broken:
        raise SystemExit(1)


@command.command(name="remove")
@_provider
@_tenant
def remove_command(provider: str, tenant: str) -> None:
    """Forget a key of a tenant."""

    async def work(pool: Pool) -> bool:
        rows = PostgresKeys(pool)
        return await rows.remove(await tenant_id(pool, tenant), provider)

    if not in_database(work):
        raise click.ClickException(f"{provider}: no such key is stored")
    click.echo(f"{provider}: removed")


def _read_key() -> SecretStr:
    if sys.stdin.isatty():
        typed: str = click.prompt("key", hide_input=True)
        return SecretStr(typed.strip())
    key = sys.stdin.readline().strip()
    if not key:
        raise click.ClickException("no key: give it on stdin, or run this in a terminal")
    return SecretStr(key)


def _settings() -> tuple[ProviderSettings, KeyRing]:
    with failures_explained():
        settings = load_providers()
        if settings.vault_keys is None:
            raise ConfigurationError(
                "VOICE_SERVER_VAULT_KEYS: missing, so no key can be sealed or opened; make one "
                'with `echo "$(date +%Y-%m):$(openssl rand -base64 32)"` and keep it safe'
            )
    return settings, KeyRing.parse(settings.vault_keys)


def _in_vault(tenant: str, work: Callable[[TenantKeys, str], Awaitable[T]]) -> T:
    settings, ring = _settings()

    async def run(pool: Pool) -> T:
        rows = PostgresKeys(pool)
        user_id = await tenant_id(pool, tenant)
        return await work(TenantKeys(rows, ring, KeyChecks(settings)), user_id)

    return in_database(run)


def _as_json(row: KeyRow) -> dict[str, Any]:
    return {
        "provider": row.provider,
        "is_valid": row.is_valid,
        "last_validated": row.last_validated.isoformat() if row.last_validated else None,
        "usage_count": row.usage_count,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }
