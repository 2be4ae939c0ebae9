"""A request costs something from the moment its body goes out."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from voice_server.departure import Departure
from voice_server.testing.lab.host import hosting

APP = Starlette(routes=[Route("/", lambda _: PlainTextResponse("here"), methods=["GET", "POST"])])


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_that_is_answered_has_left_once(method: str) -> None:
    told: list[str] = []
    departure = Departure(lambda: told.append("left"))
    async with hosting(APP) as url, httpx.AsyncClient() as client:
        await client.request(method, url, content=b"x", extensions=departure.extensions)
    assert departure.left
    assert told == ["left"]


async def test_a_request_to_nobody_never_leaves() -> None:
    departure = Departure()
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:9", extensions=departure.extensions)
    assert not departure.left


async def test_a_request_that_waits_for_a_connection_has_not_left() -> None:
    limits = httpx.Limits(max_connections=1)
    left, writers = asyncio.Event(), []
    departures = [Departure(left.set), Departure(left.set)]
    async with (
        await asyncio.start_server(
            lambda _, writer: writers.append(writer), "127.0.0.1", 0
        ) as server,
        httpx.AsyncClient(limits=limits) as client,
    ):
        host, port = server.sockets[0].getsockname()
        waiting = [
            asyncio.ensure_future(client.get(f"http://{host}:{port}", extensions=one.extensions))
            for one in departures
        ]
        await left.wait()
        for request in waiting:
            request.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for writer in writers:
            writer.close()
    assert [one.left for one in departures] == [True, False]
