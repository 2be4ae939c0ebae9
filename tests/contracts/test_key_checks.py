"""Our key checks and the simulators understand each other: good keys, wrong keys, used-up ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from tests.vault.rings import SECRETS, secret, settings
from voice_server.provider_settings import Provider
from voice_server.testing.lab.anthropic import messages
from voice_server.testing.lab.elevenlabs import open_elevenlabs
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.model import ModelSimulator
from voice_server.testing.lab.openai import chat_completions
from voice_server.testing.lab.serpapi import SerpApiSimulator
from voice_server.testing.lab.twilio import open_twilio
from voice_server.vault import Finding, KeyChecks

PATHS = {Provider.OPENAI: "/v1", Provider.GROK: "/v1", Provider.GOOGLE: "/v1beta/openai"}


@asynccontextmanager
async def simulated(provider: Provider, *, searches: int = 250) -> AsyncIterator[tuple[str, str]]:
    """The address of a simulator and a key it accepts."""
    keys = frozenset({SECRETS[provider]})
    if provider is Provider.ELEVENLABS:
        async with open_elevenlabs() as lab:
            yield lab.url, lab.key
        return
    if provider is Provider.TWILIO:
        async with open_twilio() as carrier:
            yield carrier.url, f"{carrier.account_sid}:{carrier.auth_token}"
        return
    if provider is Provider.ANTHROPIC:
        app = ModelSimulator(messages(), keys=keys).app
    elif provider is Provider.SERPAPI:
        app = SerpApiSimulator(keys=keys, searches_left=searches).app
    else:
        app = ModelSimulator(chat_completions(provider.value), keys=keys).app  # type: ignore[arg-type]
    async with hosting(app) as url:
        yield url + PATHS.get(provider, ""), SECRETS[provider]


@pytest.mark.parametrize("provider", list(Provider))
async def test_a_good_key_is_accepted(provider: Provider) -> None:
    async with simulated(provider) as (url, key):
        found = await KeyChecks(settings(url)).check(provider, SecretStr(key))
    assert found is Finding.ACCEPTED


@pytest.mark.parametrize("provider", list(Provider))
async def test_a_wrong_key_is_refused(provider: Provider) -> None:
    async with simulated(provider) as (url, key):
        wrong = SecretStr(key[:-1] + ("0" if key[-1] != "0" else "1"))
        found = await KeyChecks(settings(url)).check(provider, wrong)
    assert found is Finding.REFUSED


async def test_an_account_without_searches_left_is_exhausted() -> None:
    async with simulated(Provider.SERPAPI, searches=0) as (url, _):
        checks = KeyChecks(settings(url))
        assert await checks.check(Provider.SERPAPI, secret(Provider.SERPAPI)) is Finding.EXHAUSTED
