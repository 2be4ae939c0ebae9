"""Whose key an engine of a call uses: the tenant's, the server's, or none."""

from __future__ import annotations

import logging
from itertools import product

import pytest
from pydantic import SecretStr

from db import Pool, PostgresKeys, open_pool
from tests.db.server import execute
from tests.db.tenants import ANNA, BERT, add_tenants
from tests.vault.rings import SECRETS, ring, secret, settings
from voice_server.provider_settings import Provider
from voice_server.vault import PROVIDERS, Engine, KeyChecks, KeyChoice, KeyChooser, TenantKeys

SERVER = {
    "OPENAI_API_KEY": "sk-of-the-server-openai",
    "ANTHROPIC_API_KEY": "sk-of-the-server-anthropic",
    "ELEVENLABS_API_KEY": "xi-of-the-server",
}
OPENAI, ANTHROPIC, ELEVENLABS = Provider.OPENAI, Provider.ANTHROPIC, Provider.ELEVENLABS
EARS, VOICE, MIND = Engine.SPEECH_TO_TEXT, Engine.TEXT_TO_SPEECH, Engine.LANGUAGE_MODEL


@pytest.fixture
async def vault(pool: Pool) -> TenantKeys:
    await add_tenants(pool)
    return TenantKeys(PostgresKeys(pool), ring("new"), KeyChecks(settings()))


def tenants(provider: Provider) -> KeyChoice:
    return KeyChoice(provider, secret(provider), "tenant")


def servers(provider: Provider) -> KeyChoice:
    return KeyChoice(provider, SecretStr(SERVER[f"{provider.upper()}_API_KEY"]), "server")


@pytest.mark.parametrize(("has_own", "has_server"), [*product([True, False], repeat=2)])
async def test_the_tenants_key_goes_before_the_servers_and_none_means_local(
    vault: TenantKeys, has_own: bool, has_server: bool
) -> None:
    if has_own:
        await vault.add_untried(ANNA, OPENAI, secret(OPENAI))
    chooser = KeyChooser(settings(**(SERVER if has_server else {})), vault)
    chosen = await chooser.choose(ANNA, {MIND: [OPENAI]})
    expected = [tenants(OPENAI)] * has_own + [servers(OPENAI)] * has_server
    assert chosen == {MIND: tuple(expected)}


async def test_each_engine_is_chosen_for_itself(vault: TenantKeys) -> None:
    await vault.add_untried(ANNA, ELEVENLABS, secret(ELEVENLABS))
    chooser = KeyChooser(settings(OPENAI_API_KEY=SERVER["OPENAI_API_KEY"]), vault)
    chosen = await chooser.choose(ANNA, {EARS: (), VOICE: (), MIND: (), Engine.SEARCH: ()})
    assert chosen == {
        EARS: (tenants(ELEVENLABS),),
        VOICE: (tenants(ELEVENLABS),),
        MIND: (servers(OPENAI),),
        Engine.SEARCH: (),
    }


async def test_being_chosen_is_not_being_used(vault: TenantKeys) -> None:
    for provider in (OPENAI, ANTHROPIC):
        await vault.add_untried(ANNA, provider, secret(provider))
    chooser = KeyChooser(settings(**SERVER), vault)
    chosen = await chooser.choose(ANNA, {MIND: [ANTHROPIC, OPENAI]})
    assert chosen[MIND][:2] == (tenants(ANTHROPIC), tenants(OPENAI))
    for choice in (chosen[MIND][1], servers(ANTHROPIC)):
        await chooser.used(ANNA, choice)
    used = {row.provider: row.usage_count for row in await vault.list_of(ANNA)}
    assert used == {"anthropic": 0, "openai": 1}


async def test_the_servers_keys_follow_the_tenants_for_when_those_fail(vault: TenantKeys) -> None:
    await vault.add_untried(ANNA, ANTHROPIC, secret(ANTHROPIC))
    chosen = await KeyChooser(settings(**SERVER), vault).choose(ANNA, {MIND: ()})
    assert chosen == {MIND: (tenants(ANTHROPIC), servers(OPENAI), servers(ANTHROPIC))}


async def test_another_tenants_key_is_never_chosen(vault: TenantKeys) -> None:
    await vault.add_untried(BERT, OPENAI, secret(OPENAI))
    assert await KeyChooser(settings(), vault).choose(ANNA, {MIND: ()}) == {MIND: ()}


async def test_an_invalid_key_is_passed_over(vault: TenantKeys, database: str) -> None:
    await vault.add_untried(ANNA, OPENAI, secret(OPENAI))
    await execute(database, "UPDATE user_api_keys SET is_valid = false")
    chosen = await KeyChooser(settings(**SERVER), vault).choose(ANNA, {MIND: [OPENAI]})
    assert chosen == {MIND: (servers(OPENAI),)}


async def test_a_key_refused_in_a_call_is_passed_over_by_the_next(
    vault: TenantKeys, caplog: pytest.LogCaptureFixture
) -> None:
    await vault.add_untried(ANNA, OPENAI, secret(OPENAI))
    chooser = KeyChooser(settings(**SERVER), vault)
    first = (await chooser.choose(ANNA, {MIND: [OPENAI]}))[MIND][0]
    await chooser.refused(ANNA, first)
    second = (await chooser.choose(ANNA, {MIND: [OPENAI]}))[MIND][0]
    await chooser.refused(ANNA, second)
    assert (first, second) == (tenants(OPENAI), servers(OPENAI))
    assert (await chooser.choose(ANNA, {MIND: [OPENAI]}))[MIND] == (servers(OPENAI),)
    assert caplog.text.count("a provider refuses a key") == 2
    assert SECRETS[OPENAI] not in caplog.text


async def test_without_a_database_calls_use_the_servers_keys(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    pool = await open_pool(database, size=1)
    await pool.close()
    vault = TenantKeys(PostgresKeys(pool), ring("new"), KeyChecks(settings()))
    chooser = KeyChooser(settings(**SERVER), vault)
    with caplog.at_level(logging.WARNING):
        assert await chooser.choose(ANNA, {MIND: [OPENAI]}) == {MIND: (servers(OPENAI),)}
        await chooser.refused(ANNA, tenants(OPENAI))
        await chooser.used(ANNA, tenants(OPENAI))
    for problem in ("cannot be read", "could not be marked", "could not be counted"):
        assert problem in caplog.text
    assert SECRETS[OPENAI] not in caplog.text


async def test_without_a_vault_every_tenant_uses_the_servers_keys() -> None:
    chooser = KeyChooser(settings(**SERVER), None)
    assert await chooser.choose(ANNA, {MIND: [OPENAI], Engine.CARRIER: ()}) == {
        MIND: (servers(OPENAI),),
        Engine.CARRIER: (),
    }
    await chooser.refused(ANNA, servers(OPENAI))


async def test_nothing_wanted_is_nothing_chosen(vault: TenantKeys) -> None:
    assert await KeyChooser(settings(**SERVER), vault).choose(ANNA, {}) == {}


def test_the_carriers_key_of_the_server_is_account_and_token() -> None:
    sid, token = SECRETS[Provider.TWILIO].split(":")
    both = settings(TWILIO_ACCOUNT_SID=sid, TWILIO_AUTH_TOKEN=token)
    assert both.key_of(Provider.TWILIO) == secret(Provider.TWILIO)
    assert settings(TWILIO_AUTH_TOKEN=token).key_of(Provider.TWILIO) is None


def test_every_provider_can_be_some_engine() -> None:
    assert {one for providers in PROVIDERS.values() for one in providers} == set(Provider)
    assert set(PROVIDERS) == set(Engine)


def test_no_repr_of_a_choice_holds_the_key() -> None:
    shown = f"{tenants(OPENAI)!r} {tenants(OPENAI)} {[servers(OPENAI)]}"
    assert SECRETS[OPENAI] not in shown
    assert SERVER["OPENAI_API_KEY"] not in shown
