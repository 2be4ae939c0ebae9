"""What is known of each provider account: how its engines do, and its open connections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
from pydantic import SecretStr

from voice_server.call.events import Consumed
from voice_server.engines.health import Health
from voice_server.engines.plan import Spend
from voice_server.engines.tally import Tally
from voice_server.errors import ServiceError
from voice_server.limits import Limits
from voice_server.llm.remote.connection import Connection
from voice_server.llm.remote.dialects import DIALECTS
from voice_server.llm.search import WebSearch
from voice_server.provider_settings import Provider, ProviderSettings
from voice_server.telemetry import EngineMetrics
from voice_server.vault.choice import Engine, KeyChoice
from voice_server.vault.notes import KeyNotes

SEARCH_LIMITS = Limits(first_byte_s=4.0, between_s=4.0, total_s=4.0)

_CONNECT_S = 5.0
_IDLE_S = 6 * 3600.0  # longer than any call: whoever is forgotten is in nobody's hands


class Account:
    """One key of one provider, shared by all calls that use it.

    `notes` hears when the provider refuses it, for each of its `owners`: user ids of the
    tenants who brought it as their own, and "" for the server.
    """

    __slots__ = ("_connecting", "_health", "_metrics", "_notes", "_search", "_settings", "choice",
                 "owners", "used_at")  # fmt: skip

    def __init__(
        self,
        choice: KeyChoice,
        settings: ProviderSettings,
        notes: KeyNotes,
        metrics: EngineMetrics,
    ) -> None:
        self.choice = choice
        self.owners: set[str] = set()
        self.used_at = 0.0
        self._settings = settings
        self._notes = notes
        self._metrics = metrics
        self._health: dict[Engine, Health] = {}
        self._connecting: asyncio.Future[Connection] | None = None
        self._search: WebSearch | None = None

    def health(self, engine: Engine) -> Health:
        """How this account does as such an engine."""
        if engine not in self._health:
            choice = self.choice
            name = f"{choice.provider.value} {engine.value} with the {choice.owner}'s key"
            tally = Tally(self._metrics, choice.provider.value, engine.value)
            self._health[engine] = Health(name, self._refused, tally)
        return self._health[engine]

    def _refused(self) -> None:
        for owner in self.owners:
            whose = msgspec.structs.replace(self.choice, owner="tenant" if owner else "server")
            self._notes.refused(owner, whose)

    def used(self, user_id: str) -> None:
        """A call of the tenant works with the key: counts when it is their own."""
        if user_id in self.owners:
            self._notes.used(user_id, msgspec.structs.replace(self.choice, owner="tenant"))

    async def mind(self) -> Connection:
        """The connections of a language model. Opened once; off the loop, for SDKs load slowly."""
        if self._connecting is None:
            self._connecting = asyncio.ensure_future(asyncio.to_thread(self._connect))
        return await asyncio.shield(self._connecting)

    def _connect(self) -> Connection:
        provider = self.choice.provider
        connection = Connection(
            DIALECTS[provider.value],
            self.choice.key.get_secret_value(),
            base_url=self._settings.url_of(provider),
            timeout_s=_CONNECT_S,
        )
        connection.rehearse()
        return connection

    def search(self) -> WebSearch:
        """The web search of this account."""
        if self._search is None:
            self._search = WebSearch(
                self.choice.key.get_secret_value(),
                SEARCH_LIMITS,
                base_url=self._settings.url_of(self.choice.provider),
            )
        return self._search

    async def close(self) -> None:
        """Close what is open; nobody asks this account any more."""
        for health in self._health.values():
            health.forget()
        closers: list[Callable[[], Awaitable[None]]] = []
        if self._connecting is not None:
            closers.append((await self._connecting).close)
        if self._search is not None:
            closers.append(self._search.close)
        for close in closers:
            with suppress(ServiceError, OSError):
                await close()


class KeyUses:
    """The keys that one call has worked with; each counts once, with what it first pays for."""

    __slots__ = ("_seen", "_user_id")

    def __init__(self, user_id: str) -> None:
        self._user_id = user_id
        self._seen: set[Account] = set()

    def of(self, account: Account, spend: Spend) -> Spend:
        """`spend` for what is used with this account's key."""

        def spend_with_key(consumed: Consumed) -> None:
            if account not in self._seen:
                self._seen.add(account)
                account.used(self._user_id)
            spend(consumed)

        return spend_with_key


class Accounts:
    """All accounts in use. One that no call has asked for in 6 hours is forgotten."""

    __slots__ = ("_accounts", "_metrics", "_notes", "_settings")

    def __init__(self, settings: ProviderSettings, notes: KeyNotes, metrics: EngineMetrics) -> None:
        self._settings = settings
        self._notes = notes
        self._metrics = metrics
        self._accounts: dict[tuple[Provider, SecretStr], Account] = {}

    def of(self, choice: KeyChoice, user_id: str = "") -> Account:
        """The account of a key; `user_id` is the tenant whose call it is for."""
        place = (choice.provider, choice.key)
        account = self._accounts.get(place)
        if account is None:
            account = self._accounts[place] = Account(
                choice, self._settings, self._notes, self._metrics
            )
        account.owners.add(user_id if choice.owner == "tenant" else "")
        account.used_at = asyncio.get_running_loop().time()
        return account

    async def forget_idle(self) -> None:
        """Close the accounts that nobody uses any more."""
        oldest = asyncio.get_running_loop().time() - _IDLE_S
        idle = [place for place, held in self._accounts.items() if held.used_at < oldest]
        for account in [self._accounts.pop(place) for place in idle]:
            await account.close()

    async def close(self) -> None:
        """Close all connections; no call may be using them."""
        for account in self._accounts.values():
            await account.close()
        self._accounts.clear()
