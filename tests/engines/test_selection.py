"""Which engines a call gets: by the agent's row, the keys at hand, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from tests.runtime.fakes import (
    FACTS,
    FakeEars,
    FakeGuardian,
    FakeMind,
    FakeMirror,
    FakePhrases,
    FakeScorer,
    FakeToolbox,
    FakeVoice,
    FakeVoiceActivity,
)
from voice_server.engines.ears import EarsChain
from voice_server.engines.language import LanguageChain
from voice_server.engines.phrases import Phrases, PreparedVoice
from voice_server.engines.readiness import AttentiveEars
from voice_server.engines.selection import Engines
from voice_server.llm.toolbox import CombinedToolbox
from voice_server.ports import CallFacts
from voice_server.provider_settings import Provider, ProviderSettings
from voice_server.runtime.services import Services
from voice_server.testing.lab.elevenlabs import open_elevenlabs
from voice_server.vault.choice import Engine, KeyChoice, KeyChooser

KEYS = {
    "elevenlabs": "ELEVENLABS_API_KEY",
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GEMINI_API_KEY",
    "grok": "XAI_API_KEY",
    "serpapi": "SERPAPI_API_KEY",
}
NOWHERE = {  # nothing listens there: warming fails, which must not matter
    f"{provider}_api_url": "http://127.0.0.1:9" for provider in KEYS
}


def settings(*providers: str) -> ProviderSettings:
    return ProviderSettings(**NOWHERE | {KEYS[one]: f"server-{one}-key" for one in providers})


def local() -> Services:
    return Services(
        speech_to_text=FakeEars(),
        voice_activity=FakeVoiceActivity(),
        language_model=FakeMind(),
        text_to_speech=FakeVoice(),
        phrases=FakePhrases(),
        risk=FakeScorer(),
        toolbox=FakeToolbox(),
        guardian=FakeGuardian(),
        mirror=FakeMirror(),
    )


def facts(**configs: object) -> CallFacts:
    rows = {name: msgspec.json.encode(value).decode() for name, value in configs.items()}
    return msgspec.structs.replace(FACTS, agent=msgspec.structs.replace(FACTS.agent, **rows))


def choose(virtual, keys: Any, of: ProviderSettings, call: CallFacts = FACTS) -> tuple[Any, Any]:
    """The plan, and the services it gives beside the local ones."""
    here = local()

    async def scene() -> tuple[Any, Services]:
        engines = Engines(of, keys, here, can_transfer=True)
        try:
            plan = await engines.choose(call)
            return plan, plan.services(lambda consumed: None)
        finally:
            await engines.close()

    plan, given = virtual(scene())
    return plan, (here, given)


def server(virtual, *providers: str, call: CallFacts = FACTS) -> tuple[Any, Any]:
    of = settings(*providers)
    return choose(virtual, KeyChooser(of, None), of, call)


class Vault:
    """Chooses among the keys of one tenant and of the server."""

    def __init__(self, **rows: tuple[KeyChoice, ...]) -> None:
        self._rows = rows

    async def choose(self, user_id: str, wanted: Mapping[Engine, Any]) -> dict[Engine, Any]:
        return {engine: self._rows.get(engine.value, ()) for engine in wanted}

    async def used(self, user_id: str, choice: KeyChoice) -> None:
        """Nothing is counted here."""


def key(provider: Provider, owner: Any) -> KeyChoice:
    return KeyChoice(provider, SecretStr(f"{owner}-{provider}"), owner)


def test_a_key_for_speech_brings_ears_and_voice_and_leaves_the_rest_local(virtual):
    _, (here, given) = server(virtual, "elevenlabs")
    assert isinstance(given.speech_to_text, EarsChain)
    assert isinstance(given.text_to_speech, PreparedVoice)
    assert given.phrases is not here.phrases
    assert given.language_model is here.language_model
    assert given.toolbox is here.toolbox
    assert given.risk is here.risk


def test_a_key_for_a_model_leaves_speech_local_and_brings_its_tools(virtual):
    _, (here, given) = server(virtual, "openai")
    assert isinstance(given.speech_to_text, AttentiveEars)
    assert given.text_to_speech is here.text_to_speech
    assert isinstance(given.language_model, LanguageChain)
    assert isinstance(given.toolbox, CombinedToolbox)


@pytest.mark.parametrize(
    ("model", "first"),
    [
        ("gpt-6-luna", "gpt-6-luna"),
        ("claude-haiku-5-5", "claude-haiku-5-5"),
        ("gemini-3.5-flash-lite", "gemini-3.5-flash-lite"),
        ("grok-4.20-non-reasoning", "grok-4.20-non-reasoning"),
    ],
)
def test_the_agents_model_says_which_provider_thinks_and_others_stand_behind_it(
    virtual, model, first
):
    call = facts(llm_config={"model": model})
    plan, _ = server(virtual, "openai", "anthropic", "google", "grok", call=call)
    assert plan.minds[0].mind.model == first
    assert len({link.mind.card.provider for link in plan.minds}) == len(plan.minds) == 3


def test_without_a_key_for_its_model_an_agent_thinks_with_the_provider_there_is(virtual):
    plan, _ = server(virtual, "anthropic", call=facts(llm_config={"model": "gpt-6-luna"}))
    assert [link.mind.model for link in plan.minds] == ["claude-haiku-5-5"]


def test_the_tenants_key_comes_before_the_servers_of_the_same_provider(virtual):
    chooser = Vault(
        language_model=(
            key(Provider.ANTHROPIC, "tenant"),
            key(Provider.OPENAI, "tenant"),
            key(Provider.OPENAI, "server"),
        ),
        speech_to_text=(key(Provider.ELEVENLABS, "tenant"), key(Provider.ELEVENLABS, "server")),
    )
    plan, _ = choose(virtual, chooser, settings(), facts(llm_config={"model": "gpt-6-luna"}))
    assert [(link.account.choice.provider, link.account.choice.owner) for link in plan.minds] == [
        (Provider.OPENAI, "tenant"),
        (Provider.OPENAI, "server"),
        (Provider.ANTHROPIC, "tenant"),
    ]
    assert [account.choice.owner for account in plan.ears] == ["tenant", "server"]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"model": ""},
        {"model": "gpt-4o-mini", "temperature": 0.7},
        {"system_prompt": "Be kind."},
    ],
    ids=["nothing", "no model", "the table's own", "another setting"],
)
def test_an_agent_that_names_no_model_thinks_with_the_tenants_key(virtual, config):
    chooser = Vault(
        language_model=(
            key(Provider.GROK, "tenant"),
            key(Provider.OPENAI, "server"),
            key(Provider.ANTHROPIC, "server"),
        )
    )
    plan, _ = choose(virtual, chooser, settings(), facts(llm_config=config))
    assert [(link.mind.card.provider, link.account.choice.owner) for link in plan.minds] == [
        ("grok", "tenant"),
        ("openai", "server"),
        ("anthropic", "server"),
    ]


def test_a_model_that_the_agent_names_goes_before_the_tenants_other_keys(virtual):
    chooser = Vault(
        language_model=(key(Provider.GROK, "tenant"), key(Provider.ANTHROPIC, "server"))
    )
    plan, _ = choose(virtual, chooser, settings(), facts(llm_config={"model": "claude-haiku-5-5"}))
    assert [link.mind.model for link in plan.minds] == [
        "claude-haiku-5-5",
        "grok-4.20-non-reasoning",
    ]


def test_a_search_key_offers_the_search(virtual):
    with_search, _ = server(virtual, "openai", "serpapi")
    without, _ = server(virtual, "openai")
    assert "search_web" in {tool.name for tool in with_search.tools}
    assert "search_web" not in {tool.name for tool in without.tools}


def test_odd_configurations_are_told_to_the_operator_and_fail_no_call(virtual, caplog):
    call = facts(
        llm_config={"model": "no such model", "temperature": "hot"},
        voice_config={"language": "en-US", "settings": {"speed": 9}},
    )
    with caplog.at_level(logging.WARNING, "voice_server.engines"):
        plan, _ = server(virtual, "openai", "elevenlabs", call=call)
    assert plan.voice.language == "en"
    assert plan.minds[0].mind.model == "gpt-6-luna"
    told = " ".join(record.warning for record in caplog.records)
    assert "speed" in told
    assert "no such model" in told


async def ringing_s(url: str, key: str) -> float:
    """How long the caller hears ringing because of us."""
    of = ProviderSettings(ELEVENLABS_API_KEY=key, elevenlabs_api_url=url)
    engines = Engines(of, KeyChooser(of, None), local(), can_transfer=True)
    began = asyncio.get_running_loop().time()
    await engines.choose(FACTS)
    took = asyncio.get_running_loop().time() - began
    await engines.close()
    return took


def test_the_phone_rings_until_a_voice_is_ready(virtual):
    async def scene() -> None:
        async with open_elevenlabs() as lab:
            assert await ringing_s(lab.url, lab.key) < 0.1
            assert lab.contexts_opened == 0

    virtual(scene())


async def phrases_of(engines: Engines, user_id: str) -> Phrases:
    agent = msgspec.structs.replace(FACTS.agent, user_id=user_id)
    plan = await engines.choose(msgspec.structs.replace(FACTS, agent=agent))
    phrases = plan.services(lambda consumed: None).phrases
    assert isinstance(phrases, Phrases)
    return phrases


def test_phrases_said_on_a_tenants_own_account_are_not_for_others(virtual):
    async def scene() -> None:
        async with open_elevenlabs() as lab:
            own = KeyChoice(Provider.ELEVENLABS, SecretStr(lab.key), "tenant")
            of = ProviderSettings(elevenlabs_api_url=lab.url)
            engines = Engines(of, Vault(text_to_speech=(own,)), local(), can_transfer=True)
            first, second, third = [await phrases_of(engines, user) for user in ("a", "b", "a")]
            spoken = asyncio.Event()
            spoken.set()
            async with aclosing(first.prepare(["Hold on."], FACTS, spoken)) as costs:
                _ = [consumed async for consumed in costs]
            assert first.own("Hold on.")
            assert second.own("Hold on.") is None
            assert third.own("Hold on.") == first.own("Hold on.")
            await engines.close()

    virtual(scene())


def test_the_phone_does_not_ring_long_for_a_voice_that_does_not_answer(virtual):
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    async def scene() -> None:
        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            assert await ringing_s(f"http://{host}:{port}", "k") == pytest.approx(0.8)
            await asyncio.sleep(1)

    virtual(scene())


def test_a_connection_to_the_model_opens_while_the_phone_rings_and_delays_nothing(virtual):
    visitors = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visitors
        visitors += 1
        await reader.read(-1)
        writer.close()

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            of = ProviderSettings(OPENAI_API_KEY="k", openai_api_url=f"http://{host}:{port}/v1")
            engines = Engines(of, KeyChooser(of, None), local(), can_transfer=False)
            await engines.prepare()
            assert visitors == 0
            began = loop.time()
            await engines.choose(FACTS)
            assert loop.time() - began < 0.1
            await asyncio.sleep(0.1)
            assert visitors == 1
            await engines.close()
            await asyncio.sleep(1)

    virtual(scene())


def test_calls_of_one_key_share_its_connection_and_its_health(virtual):
    of = settings("openai")

    async def scene() -> None:
        engines = Engines(of, KeyChooser(of, None), local(), can_transfer=False)
        await engines.prepare()
        first, second = await engines.choose(FACTS), await engines.choose(FACTS)
        assert first.minds[0].connection is second.minds[0].connection
        assert first.minds[0].account is second.minds[0].account
        assert "transfer_call" not in {tool.name for tool in first.tools}
        await engines.close()

    virtual(scene())
