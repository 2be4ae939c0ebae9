"""The search of a call: another key helps where one is refused, and only there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from tests.vault.rings import settings
from voice_server.call.events import Consumed
from voice_server.engines.accounts import Accounts, KeyUses
from voice_server.engines.search import SearchChain
from voice_server.errors import KeyRefused, ServiceUnavailable
from voice_server.provider_settings import Provider
from voice_server.telemetry import Metrics
from voice_server.testing.lab.faults import Fault, FaultPlan
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.serpapi import SerpApiSimulator
from voice_server.vault import KeyChoice, KeyNotes

TENANT = "anna"


class Chooser:
    """Remembers what it is told of keys."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    async def used(self, user_id: str, choice: KeyChoice) -> None:
        self.told.append(("used", user_id, choice.owner))

    async def refused(self, user_id: str, choice: KeyChoice) -> None:
        self.told.append(("refused", user_id, choice.owner))


class Desk:
    """A call's search, what it cost, and what was noted of its keys."""

    def __init__(self, lab: SerpApiSimulator, chain: SearchChain, chooser: Chooser) -> None:
        self.lab = lab
        self.chain = chain
        self.chooser = chooser
        self.spent: list[Consumed] = []

    async def ask(self, query: str = "weather") -> object:
        return await self.chain.search(query, self.spent.append)


@asynccontextmanager
async def desk(
    keys: Sequence[tuple[str, str]], *, good: str, plan: FaultPlan | None = None
) -> AsyncIterator[Desk]:
    """One with the accounts of `keys` (owner, key), where SerpApi accepts `good` only."""
    lab = SerpApiSimulator(keys=frozenset({good}), plan=plan or FaultPlan())
    chooser = Chooser()
    notes = KeyNotes(chooser)
    async with hosting(lab.app) as url:
        accounts = Accounts(settings(url), notes, Metrics().engines)
        mine = [
            accounts.of(KeyChoice(Provider.SERPAPI, SecretStr(key), owner), TENANT)
            for owner, key in keys
        ]
        yield Desk(lab, SearchChain(mine, KeyUses(TENANT)), chooser)
        await accounts.close()
        await notes.close()


BOTH = [("tenant", "own-key-0001"), ("server", "servers-key-0001")]


async def test_the_tenants_own_key_searches_and_counts_once_a_call():
    async with desk(BOTH, good="own-key-0001") as opened:
        await opened.ask("weather")
        await opened.ask("news")
    assert opened.spent == [Consumed("serpapi.search.requests", 1)] * 2
    assert opened.chooser.told == [("used", TENANT, "tenant")]


async def test_the_servers_key_takes_over_from_a_refused_one_which_is_not_tried_again():
    async with desk(BOTH, good="servers-key-0001") as opened:
        await opened.ask("weather")
        before = opened.lab.plan.seen
        await opened.ask("news")
        assert opened.lab.plan.seen - before == 1
    assert opened.chooser.told == [("refused", TENANT, "tenant")]
    assert len(opened.spent) == 2


async def test_when_every_key_is_refused_the_search_says_so():
    async with desk(BOTH, good="somebody-elses-01") as opened:
        with pytest.raises(KeyRefused):
            await opened.ask()
    assert opened.spent == []
    assert sorted(opened.chooser.told) == [("refused", "", "server"), ("refused", TENANT, "tenant")]


async def test_a_service_that_is_down_is_not_asked_again_with_another_key():
    plan = FaultPlan(otherwise=Fault.SERVER_ERROR)
    async with desk(BOTH, good="own-key-0001", plan=plan) as opened:
        with pytest.raises(ServiceUnavailable):
            await opened.ask()
        assert plan.seen == 1
    assert opened.chooser.told == []


async def test_one_key_of_two_owners_is_blamed_for_both():
    same = [("tenant", "same-key-0001"), ("server", "same-key-0001")]
    async with desk(same, good="another-key-01") as opened:
        with pytest.raises(KeyRefused):
            await opened.ask()
        await asyncio.sleep(0)
    assert {told[1:] for told in opened.chooser.told} == {(TENANT, "tenant"), ("", "server")}
