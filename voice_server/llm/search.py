"""Looks things up on the web through SerpApi, and makes the hits fit to be spoken."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from voice_server.call.events import Consumed
from voice_server.departure import Departure
from voice_server.errors import KeyRefused, ServiceRejected, ServiceUnavailable
from voice_server.limits import Limits

SERVICE = "serpapi"
REQUESTS = "serpapi.search.requests"
_MAX_HITS = 3
_MAX_SPOKEN = 240  # characters of one hit, about 15 s of speech
_MAX_BODY = 2_000_000
_KEPT = 10_000
_CACHED_S = 3600.0  # SerpApi answers the same query from its cache for an hour
_SENTENCE = re.compile(r".+?[.!?…](?=\s|$)", re.S)
_NOISE = re.compile(r"https?://\S+|www\.\S+|[*_#|<>]|\[\d+\]")


class Hit(msgspec.Struct, frozen=True):
    """One thing found: where, and what it says in a sentence or two."""

    title: str
    text: str
    source: str


class Found(msgspec.Struct, frozen=True):
    """What a search brought; `answer` is a direct one, "" if there was none."""

    answer: str = ""
    hits: tuple[Hit, ...] = ()


class WebSearch:
    """A client with one key; calls share it. `close` it in the end."""

    __slots__ = ("_booked", "_charged", "_country", "_http", "_key", "_limits")

    def __init__(
        self,
        api_key: str,
        limits: Limits,
        *,
        base_url: str = "https://serpapi.com",
        country: str = "us",
    ) -> None:
        """`country` is a two-letter code: hits are chosen for people there."""
        # SerpApi wants its key in the query, and httpx logs the URL of every request at INFO.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        self._key = api_key
        self._limits = limits
        self._country = country
        self._http = httpx.AsyncClient(base_url=base_url, timeout=limits.total_s)
        self._charged: OrderedDict[str, None] = OrderedDict()  # ids
        # By query: when it was booked last, and whether an answer came.
        self._booked: OrderedDict[str, tuple[float, bool]] = OrderedDict()

    async def search(self, query: str, spend: Callable[[Consumed], None]) -> Found:
        """Search Google; raises `ServiceError`.

        Only successful searches are charged, and one that comes from SerpApi's own cache is
        free: it carries the id of the search that filled it. A search whose answer never came
        is booked, for it may have been charged; not so its repetition, which finds the first
        one in the cache, or is the first that is charged.
        """
        asked = {
            "engine": "google",
            "q": query,
            "gl": self._country,
            "hl": "en",
            "num": "10",
            "api_key": self._key,
        }
        departure = Departure()
        fate: bool | None = None  # whether it was charged; None = not known
        try:
            response = await self._get("/search", asked, departure)
            if not response.is_success:
                fate = False
                raise _refused(response.status_code)
            answer = _decoded(response.content)
            fate = _succeeded(answer) and self._is_new(answer)
            if not _succeeded(answer):
                raise ServiceUnavailable(SERVICE, "the search did not succeed")
        except httpx.ConnectError:
            raise ServiceUnavailable(SERVICE, "not reachable") from None
        except httpx.HTTPError as error:
            raise ServiceUnavailable(SERVICE, type(error).__name__) from None
        finally:
            charged = departure.left if fate is None else fate
            if charged and self._is_unbooked(query, told=fate is not None):
                spend(Consumed(REQUESTS, 1))
        return found_in(answer)

    async def searches_left(self) -> int:
        """How many searches the key has left, free of charge; raises `ServiceError`."""
        try:
            response = await self._get("/account.json", {"api_key": self._key}, Departure())
        except httpx.HTTPError as error:
            raise ServiceUnavailable(SERVICE, type(error).__name__) from None
        if not response.is_success:
            raise _refused(response.status_code)
        left = _decoded(response.content).get("total_searches_left")
        return left if isinstance(left, int) else 0

    async def _get(self, path: str, asked: dict[str, str], departure: Departure) -> httpx.Response:
        try:
            async with asyncio.timeout(self._limits.total_s):
                return await self._received(path, asked, departure)
        except TimeoutError:
            raise ServiceUnavailable(SERVICE, "did not answer in time") from None

    async def _received(
        self, path: str, asked: dict[str, str], departure: Departure
    ) -> httpx.Response:
        told = departure.extensions
        async with self._http.stream("GET", path, params=asked, extensions=told) as response:
            content = bytearray()
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _MAX_BODY:
                    raise ServiceUnavailable(SERVICE, "an answer without end")
        return httpx.Response(response.status_code, content=bytes(content))

    def _is_new(self, answer: dict[str, Any]) -> bool:
        """This search was not answered before: it is charged."""
        key = _string(answer.get("search_metadata"), "id")
        if key and key in self._charged:
            return False
        self._charged[key] = None
        _trim(self._charged)
        return True

    def _is_unbooked(self, query: str, *, told: bool) -> bool:
        """Whether this charge is not the one that was booked for the same query before."""
        now = asyncio.get_running_loop().time()
        at, answered = self._booked.get(query, (-math.inf, True))
        if told and not answered:
            self._booked[query] = (at, True)
            return False
        if not told and now - at < _CACHED_S:
            return False
        self._booked[query] = (now, told)
        _trim(self._booked)
        return True

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _trim(known: OrderedDict[str, Any]) -> None:
    while len(known) > _KEPT:
        known.popitem(last=False)


def _refused(status: int) -> ServiceRejected | ServiceUnavailable:
    if status in (401, 403):
        return KeyRefused(SERVICE, f"HTTP {status}: the key is refused; replace it")
    if status == 429 or status >= 500:
        return ServiceUnavailable(SERVICE, f"HTTP {status}")
    return ServiceRejected(SERVICE, f"HTTP {status}: the request is refused")


def _succeeded(answer: dict[str, Any]) -> bool:
    # A search without hits succeeds too, and has an "error" beside its "Success".
    return _string(answer.get("search_metadata"), "status") == "Success"


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError):
        raise ServiceUnavailable(SERVICE, "garbled answer") from None


def found_in(answer: dict[str, Any]) -> Found:
    """The best of an answer, in words fit for speech; odd fields are passed over."""
    hits = []
    for result in _objects(answer.get("organic_results")):
        text = spoken(_string(result, "snippet"))
        if text:
            source = _string(result, "source") or _string(result, "displayed_link")
            hits.append(Hit(spoken(_string(result, "title")), text, spoken(source)))
    places = answer.get("local_results")
    for place in _objects(places.get("places") if isinstance(places, dict) else places):
        parts = (_string(place, "address"), _string(place, "phone"))
        text = ", ".join(filter(None, parts))
        if text:
            hits.append(Hit(spoken(_string(place, "title")), spoken(text), "map"))
    box = answer.get("answer_box")
    graph = answer.get("knowledge_graph")
    direct = _string(box, "answer") or _string(box, "snippet") or _string(graph, "description")
    return Found(spoken(direct), tuple(hits[:_MAX_HITS]))


def spoken(text: str) -> str:
    """Text without addresses and marks, cut after a sentence where one ends in time."""
    text = " ".join(_NOISE.sub(" ", text).split())
    if len(text) <= _MAX_SPOKEN:
        return text
    kept = ""
    for sentence in _SENTENCE.findall(text[: _MAX_SPOKEN + 1]):
        if len(kept) + len(sentence) > _MAX_SPOKEN:
            break
        kept += sentence
    return kept.strip() or text[:_MAX_SPOKEN].rsplit(" ", 1)[0] + "…"


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _string(holder: Any, field: str) -> str:
    value = holder.get(field) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else ""
