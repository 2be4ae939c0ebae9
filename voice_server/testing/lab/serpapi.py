"""SerpApi on the wire: Google searches and the account page.

A byte of the answer, for `Injection.after_bytes`, is a byte of the body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voice_server.testing.lab.events import HTML, Meter, Pace
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.host import cut

_CACHED_S = 3600.0
NOTHING = "Google hasn't returned any results for this query."
Hits: TypeAlias = list[dict[str, Any]]


def plain_hits(query: str) -> Hits:
    """Three hits about anything."""
    return [
        {
            "position": place,
            "title": f"About {query}, part {place}",
            "link": f"https://example.com/{place}",
            "displayed_link": "https://example.com",
            "snippet": f"The answer about {query} is number {place}. More stands on the page.",
            "source": "Example",
        }
        for place in (1, 2, 3)
    ]


class SerpApiSimulator:
    """Serve `app`. `hits` says what is found; `more` adds top-level fields to every answer."""

    def __init__(
        self,
        *,
        hits: Callable[[str], Hits] = plain_hits,
        more: Mapping[str, Any] | None = None,
        keys: frozenset[str] = frozenset(),
        plan: FaultPlan | None = None,
        pace: Pace = Pace(first_byte_s=0.8),  # noqa: B008 - frozen
        searches_left: int = 250,
    ) -> None:
        """No `keys` = any key will do."""
        self.hits = hits
        self.more = dict(more or {})
        self.plan = plan or FaultPlan()
        self.pace = pace
        self.meter = Meter()
        self.queries: list[str] = []
        self.charged: list[str] = []  # queries that cost a search
        self.searches_left = searches_left
        self._keys = keys
        self._cache: dict[str, tuple[float, str]] = {}
        self.app = Starlette(
            routes=[
                Route("/search", self._search),
                Route("/search.json", self._search),
                Route("/account.json", self._account),
                Route("/account", self._account),
                Route("/searches/{search_id}", self._archived),
            ]
        )

    def _refused(self, request: Request) -> Response | None:
        key = request.query_params.get("api_key", "")
        if key and (not self._keys or key in self._keys):
            return None
        text = "Invalid API key. Your API key should be here: https://serpapi.com/manage-api-key"
        return JSONResponse({"error": text}, 401)

    async def _account(self, request: Request) -> Response:
        if (refused := self._refused(request)) is not None:
            return refused
        return JSONResponse(
            {
                "account_id": "1",
                "account_email": "owner@example.com",
                "plan_name": "Free Plan",
                "searches_per_month": 250,
                "plan_searches_left": self.searches_left,
                "extra_credits": 0,
                "total_searches_left": self.searches_left,
                "this_month_usage": 250 - self.searches_left,
                "this_hour_searches": 0,
                "account_rate_limit_per_hour": 50,
            }
        )

    async def _search(self, request: Request) -> Response:
        injection = self.plan.take()
        if (refused := self._refused(request)) is not None:
            return refused
        query = request.query_params.get("q", "")
        if not query:
            return JSONResponse({"error": "Missing query `q` parameter."}, 400)
        if injection.fault in _STATUS:
            status, text = _STATUS[injection.fault]
            return JSONResponse({"error": text}, status)
        if self.searches_left <= 0:
            return JSONResponse({"error": "Your account has run out of searches."}, 429)
        self.queries.append(query)
        body = msgspec.json.encode(self._answer(query, request))
        return await self._sent(request, body, injection)

    async def _archived(self, request: Request) -> Response:
        """A search that was made before, free of charge, with or without `.json`."""
        if (refused := self._refused(request)) is not None:
            return refused
        search_id = request.path_params["search_id"].removesuffix(".json")
        for query, (_, known) in self._cache.items():
            if known == search_id:
                return JSONResponse(self._answer(query, request))
        return JSONResponse({"error": "Search not found."}, 404)

    def _answer(self, query: str, request: Request) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        cached = self._cache.get(query)
        fresh = cached is None or now - cached[0] > _CACHED_S
        if fresh or request.query_params.get("no_cache") == "true" or cached is None:
            cached = self._cache[query] = (now, f"search-{self.plan.seen}")
            self.meter.add("serpapi.search.requests", 1)
            self.charged.append(query)
            self.searches_left -= 1
        found = self.hits(query)
        answer: dict[str, Any] = {
            "search_metadata": {
                "id": cached[1],
                "status": "Success",
                "json_endpoint": f"https://serpapi.com/searches/x/{cached[1]}.json",
                "created_at": "2026-11-22 12:00:00 UTC",
                "processed_at": "2026-11-22 12:00:00 UTC",
                "total_time_taken": 0.8,
            },
            "search_parameters": {"engine": "google", "q": query},
            "search_information": {"query_displayed": query, "total_results": len(found)},
        }
        answer |= self.more
        if found:
            answer["organic_results"] = found
        elif not self.more:
            answer["error"] = NOTHING
        return answer

    async def _sent(self, request: Request, body: bytes, injection: Injection) -> Response:
        await asyncio.sleep(self.pace.first_byte_s)
        if injection.fault in (Fault.SLOW_FIRST_BYTE, Fault.STALL):
            await asyncio.sleep(injection.delay_s)
        if injection.fault is Fault.DROP:
            cut(request)
            await asyncio.sleep(0)
        if injection.fault is Fault.GARBAGE:
            return Response(HTML, media_type="text/html")
        return Response(body, media_type="application/json")


_STATUS = {
    Fault.UNAUTHORIZED: (401, "Invalid API key."),
    Fault.RATE_LIMITED: (429, "You are exceeding the hourly throughput limit."),
    Fault.QUOTA: (429, "Your account has run out of searches."),
    Fault.SERVER_ERROR: (503, "Service unavailable."),
}
