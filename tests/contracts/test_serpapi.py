"""SerpApi's wire, as a plain HTTP client that knows its documentation sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from voice_server.testing.lab.events import Pace
from voice_server.testing.lab.faults import Fault, FaultPlan
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.serpapi import NOTHING, SerpApiSimulator

ASK = {"engine": "google", "q": "tap washers", "api_key": "key"}


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[tuple[SerpApiSimulator, httpx.AsyncClient]]:
    simulator = SerpApiSimulator(pace=Pace(0.0, 0.0), **options)
    async with hosting(simulator.app) as url, httpx.AsyncClient(base_url=url) as http:
        yield simulator, http


@pytest.mark.parametrize("path", ["/search", "/search.json"])
async def test_a_search(path):
    async with client() as (simulator, http):
        answer = (await http.get(path, params=ASK)).json()
        assert answer["search_metadata"]["status"] == "Success"
        assert answer["search_parameters"]["q"] == "tap washers"
        first = answer["organic_results"][0]
        assert {"position", "title", "link", "snippet", "source"} <= first.keys()
        assert simulator.meter.items == {"serpapi.search.requests": 1}


async def test_the_same_search_within_an_hour_has_the_same_id_and_is_free():
    async with client() as (simulator, http):
        ids = {
            (await http.get("/search", params=ASK)).json()["search_metadata"]["id"]
            for _ in range(3)
        }
        assert len(ids) == 1
        assert simulator.meter.items == {"serpapi.search.requests": 1}
        await http.get("/search", params=ASK | {"no_cache": "true"})
        assert simulator.meter.items == {"serpapi.search.requests": 2}


async def test_no_hits_are_a_success_with_an_error_beside_it():
    async with client(hits=lambda _: []) as (_, http):
        response = await http.get("/search", params=ASK)
        assert response.status_code == 200
        assert response.json()["error"] == NOTHING
        assert response.json()["search_metadata"]["status"] == "Success"


async def test_the_account_tells_what_is_left_and_searches_end_with_it():
    async with client(searches_left=1) as (_, http):
        account = (await http.get("/account.json", params={"api_key": "key"})).json()
        assert account["total_searches_left"] == 1
        assert (await http.get("/search", params=ASK)).status_code == 200
        refused = await http.get("/search", params=ASK | {"q": "another"})
        assert refused.status_code == 429
        assert "run out of searches" in refused.json()["error"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.UNAUTHORIZED, 401),
        (Fault.RATE_LIMITED, 429),
        (Fault.QUOTA, 429),
        (Fault.SERVER_ERROR, 503),
    ],
)
async def test_failures(fault, status):
    async with client(plan=FaultPlan({1: fault})) as (simulator, http):
        response = await http.get("/search", params=ASK)
        assert response.status_code == status
        assert response.json()["error"]
        assert not simulator.meter.items


async def test_a_missing_key_and_a_missing_query():
    async with client() as (_, http):
        assert (await http.get("/search", params={"q": "x"})).status_code == 401
        assert (await http.get("/account", params={})).status_code == 401
        assert (await http.get("/search", params={"api_key": "k"})).status_code == 400
    async with client(plan=FaultPlan({1: Fault.DROP})) as (_, http):
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/search", params=ASK)
