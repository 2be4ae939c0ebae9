"""Which calls a hosted agent gets, by the row of the agent and the keys at hand."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from pydantic import SecretStr

from tests.engines.test_selection import Vault, facts, key, local, settings
from voice_server.engines.ears import EarsChain
from voice_server.engines.hosted import HostedPlan
from voice_server.engines.selection import Engines, RemotePlan
from voice_server.errors import ServiceRejected
from voice_server.hosted import HostedMind, HostedVoice
from voice_server.llm.toolbox import CombinedToolbox
from voice_server.ports import CallFacts
from voice_server.provider_settings import Provider, ProviderSettings
from voice_server.testing.lab.elevenlabs import open_elevenlabs
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID
from voice_server.vault.choice import KeyChoice, KeyChooser

HOSTED = facts(elevenlabs_config={"agent_id": AGENT_ID}, voice_config={"voice_id": "sarah"})


async def chosen(of: ProviderSettings, call: CallFacts, keys: Any = None) -> Any:
    engines = Engines(of, keys or KeyChooser(of, None), local(), can_transfer=True)
    try:
        return await engines.choose(call)
    finally:
        await engines.close()


@pytest.mark.parametrize("keys", [("elevenlabs",), ("openai",), ("elevenlabs", "openai")])
def test_an_agent_that_names_a_hosted_one_gets_it_before_all_others(virtual, keys):
    async def scene() -> None:
        plan = await chosen(settings(*keys), HOSTED)
        assert isinstance(plan, HostedPlan)
        given = plan.services(lambda consumed: None)
        assert isinstance(given.speech_to_text, EarsChain)
        assert isinstance(given.language_model, HostedMind)
        assert isinstance(given.text_to_speech, HostedVoice)
        assert isinstance(given.toolbox, CombinedToolbox)

    virtual(scene())


def test_the_greeting_the_voice_and_the_facts_of_the_call_are_in_the_opening(virtual):
    async def scene() -> None:
        plan = await chosen(settings("elevenlabs"), HOSTED)
        assert plan.opening.voice_id == "sarah"
        assert "Acme" in plan.opening.greeting
        assert plan.opening.variables["call_id"] == HOSTED.call_id

    virtual(scene())


@pytest.mark.parametrize(
    ("config", "warned"), [({}, False), ({"agent_id": "?"}, True), ({"agent": "x"}, True)]
)
def test_without_a_usable_agent_the_ordinary_engines_take_the_call(virtual, caplog, config, warned):
    async def scene() -> None:
        with caplog.at_level(logging.WARNING):
            plan = await chosen(settings("openai"), facts(elevenlabs_config=config))
        assert isinstance(plan, RemotePlan)

    virtual(scene())
    told = [getattr(record, "warning", "") for record in caplog.records]
    assert any("elevenlabs_config" in one for one in told) is warned


def test_the_tenants_key_goes_before_the_servers(virtual):
    async def scene() -> None:
        async with open_elevenlabs() as lab:
            of = ProviderSettings(ELEVENLABS_API_KEY="wrong", elevenlabs_api_url=lab.url)
            own = KeyChoice(Provider.ELEVENLABS, SecretStr(lab.key), "tenant")
            keys = Vault(hosted_agent=(own, key(Provider.ELEVENLABS, "server")))
            plan = await chosen(of, HOSTED, keys)
            socket = await plan.door.open(1.0)
            await socket.close()

    virtual(scene())


def test_an_agent_that_was_just_refused_is_left_alone_for_a_while(virtual):
    async def scene() -> None:
        of = settings("elevenlabs")
        engines = Engines(of, KeyChooser(of, None), local(), can_transfer=True)
        plan = await engines.choose(HOSTED)
        now = asyncio.get_running_loop().time()
        plan.health.failed(now, ServiceRejected("ElevenLabs Agents", "refused"))
        assert isinstance(await engines.choose(HOSTED), RemotePlan)
        other = facts(elevenlabs_config={"agent_id": "agent_else"})
        assert isinstance(await engines.choose(other), HostedPlan)
        await asyncio.sleep(60)
        assert isinstance(await engines.choose(HOSTED), HostedPlan)
        await engines.close()

    virtual(scene())
