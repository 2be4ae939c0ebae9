"""Chooses the key of each engine of a call: the tenant's own, else the server's, else none."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Literal

import msgspec
from pydantic import SecretStr

from db import StoreUnavailable
from voice_server.provider_settings import Provider, ProviderSettings
from voice_server.vault.tenant_keys import TenantKeys

log = logging.getLogger(__name__)


class Engine(StrEnum):
    """What a call needs a provider for."""

    SPEECH_TO_TEXT = "speech_to_text"
    TEXT_TO_SPEECH = "text_to_speech"
    LANGUAGE_MODEL = "language_model"
    HOSTED_AGENT = "hosted_agent"  # all three in one
    SEARCH = "search"
    CARRIER = "carrier"


# Who can be an engine, in the order of preference where the agent has none.
PROVIDERS: Final[Mapping[Engine, tuple[Provider, ...]]] = {
    Engine.SPEECH_TO_TEXT: (Provider.ELEVENLABS,),
    Engine.TEXT_TO_SPEECH: (Provider.ELEVENLABS,),
    Engine.LANGUAGE_MODEL: (
        Provider.OPENAI,
        Provider.ANTHROPIC,
        Provider.GOOGLE,
        Provider.GROK,
    ),
    Engine.HOSTED_AGENT: (Provider.ELEVENLABS,),
    Engine.SEARCH: (Provider.SERPAPI,),
    Engine.CARRIER: (Provider.TWILIO,),
}


class KeyChoice(msgspec.Struct, frozen=True):
    """With whose key a provider is used in a call."""

    provider: Provider
    key: SecretStr
    owner: Literal["tenant", "server"]


class KeyChooser:
    """Chooses for calls. Without a vault every tenant uses the server's keys."""

    __slots__ = ("_servers", "_vault")

    def __init__(self, servers: ProviderSettings, vault: TenantKeys | None) -> None:
        self._servers = servers
        self._vault = vault

    async def choose(
        self, user_id: str, wanted: Mapping[Engine, Sequence[Provider]]
    ) -> dict[Engine, tuple[KeyChoice, ...]]:
        """The keys each wanted engine of a call can work with, best first; () = local only.

        `wanted` names who may be an engine, in the order of preference; an empty sequence takes
        `PROVIDERS`. The tenant's keys come before the server's. Never raises: a call whose keys
        cannot be read uses the server's.
        """
        candidates = {engine: tuple(asked) or PROVIDERS[engine] for engine, asked in wanted.items()}
        own = await self._own(user_id, {one for asked in candidates.values() for one in asked})
        return {engine: self._rank(asked, own) for engine, asked in candidates.items()}

    async def used(self, user_id: str, choice: KeyChoice) -> None:
        """A call works with the key: once a call. Never raises."""
        if choice.owner == "tenant" and self._vault is not None:
            try:
                await self._vault.count_use(user_id, choice.provider, choice.key)
            except StoreUnavailable:
                log.warning("the use of a key could not be counted", extra={"tenant": user_id})

    async def refused(self, user_id: str, choice: KeyChoice) -> None:
        """A provider refused the key in a call: later calls of the tenant do without it.

        Never raises. A key of the server is only reported: it has no row to mark.
        """
        log.error(
            "a provider refuses a key",
            extra={"tenant": user_id, "provider": choice.provider.value, "owner": choice.owner},
        )
        if choice.owner == "tenant" and self._vault is not None:
            try:
                await self._vault.refuse(user_id, choice.provider, choice.key)
            except StoreUnavailable:
                log.warning("a refused key could not be marked", extra={"tenant": user_id})

    async def _own(self, user_id: str, providers: set[Provider]) -> Mapping[Provider, SecretStr]:
        if self._vault is None or not providers:
            return {}
        try:
            return await self._vault.keys_for(user_id, sorted(providers))
        except StoreUnavailable:
            log.warning("the tenant's keys cannot be read", extra={"tenant": user_id})
            return {}

    def _rank(
        self, asked: Sequence[Provider], own: Mapping[Provider, SecretStr]
    ) -> tuple[KeyChoice, ...]:
        servers = [(one, self._servers.key_of(one)) for one in asked]
        return (
            *(KeyChoice(one, own[one], "tenant") for one in asked if one in own),
            *(KeyChoice(one, key, "server") for one, key in servers if key is not None),
        )
