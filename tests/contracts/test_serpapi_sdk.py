"""SerpApi's own client library is content with the simulator, and they agree on what fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import serpapi

from voice_server.limits import Limits
from voice_server.llm.search import WebSearch
from voice_server.testing.lab.events import Pace
from voice_server.testing.lab.faults import Fault, FaultPlan
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.serpapi import SerpApiSimulator

ASK = {"engine": "google", "q": "tap washers", "gl": "us", "hl": "en"}


class Library:
    """The client, which blocks, off the loop."""

    def __init__(self, url: str, key: str) -> None:
        self._client = serpapi.Client(api_key=key, timeout=5)
        self._client.BASE_DOMAIN = url

    async def __call__(self, method: str, *arguments: Any, **options: Any) -> Any:
        return await asyncio.to_thread(getattr(self._client, method), *arguments, **options)

    def close(self) -> None:
        self._client.session.close()


@asynccontextmanager
async def library(key: str = "key", **options: Any) -> AsyncIterator[tuple[Any, Library]]:
    simulator = SerpApiSimulator(pace=Pace(0.0, 0.0), **options)
    async with hosting(simulator.app) as url:
        client = Library(url, key)
        try:
            yield simulator, client
        finally:
            client.close()


async def test_it_searches_and_reads_the_hits():
    async with library() as (simulator, ask):
        found = await ask("search", ASK)
    assert isinstance(found, serpapi.SerpResults)
    assert found["search_metadata"]["status"] == "Success"
    assert found["organic_results"][0]["snippet"]
    assert simulator.meter.items == {"serpapi.search.requests": 1}


async def test_it_reads_the_account_and_finds_a_search_again_in_the_archive_for_nothing():
    async with library(searches_left=7) as (simulator, ask):
        first = await ask("search", ASK)
        again = await ask("search_archive", search_id=first["search_metadata"]["id"])
        assert again["organic_results"] == first["organic_results"]
        assert (await ask("account"))["total_searches_left"] == 6
        with pytest.raises(serpapi.HTTPError) as unknown:
            await ask("search_archive", search_id="never-made")
    assert unknown.value.status_code == 404
    assert simulator.meter.items == {"serpapi.search.requests": 1}


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.UNAUTHORIZED, 401),
        (Fault.RATE_LIMITED, 429),
        (Fault.QUOTA, 429),
        (Fault.SERVER_ERROR, 503),
    ],
)
async def test_its_errors_carry_the_status_and_the_reason(fault, status):
    async with library(plan=FaultPlan({1: fault})) as (_, ask):
        with pytest.raises(serpapi.HTTPError) as refused:
            await ask("search", ASK)
    assert refused.value.status_code == status
    assert refused.value.error


async def test_a_wrong_key_is_refused_and_a_dead_connection_is_one():
    async with library("wrong", keys=frozenset({"right"})) as (_, ask):
        with pytest.raises(serpapi.HTTPError) as refused:
            await ask("account")
        assert refused.value.status_code == 401
    async with library(plan=FaultPlan({1: Fault.DROP})) as (_, ask):
        with pytest.raises(serpapi.HTTPConnectionError):
            await ask("search", ASK)


async def test_it_and_our_own_client_are_told_the_same():
    async with library() as (simulator, ask), hosting(simulator.app) as url:
        theirs = await ask("search", ASK)
        ours = WebSearch("key", Limits(2.0, 2.0, 2.0), base_url=url)
        found = await ours.search("tap washers", lambda _: None)
        await ours.close()
    assert [hit.title for hit in found.hits] == [
        result["title"] for result in theirs["organic_results"][: len(found.hits)]
    ]
    assert simulator.meter.items == {"serpapi.search.requests": 1}  # ours came from the cache
