"""Server-sent events at a provider's pace: what goes out, when, and who notices the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from voice_server.testing.lab.events import Meter, Pace, Piece, Pieces, Visit, sliced
from voice_server.testing.lab.faults import Fault, Injection
from voice_server.testing.lab.host import hosting

LETTERS = "abcdefgh"
PACE = Pace(first_byte_s=1.0, between_s=0.5)


class Sender:
    """Sends eight letters, half a second apart."""

    def __init__(self, injection: Injection) -> None:
        self.injection = injection
        self.visit = Visit(1, "/", "model", injection.fault, 0.0)
        self.settled = 0

    async def answer(self, request: Request) -> Response:
        def settle(visit: Visit) -> None:
            assert visit is self.visit
            self.settled += 1

        return Pieces(
            [Piece(letter.encode(), 1, 1) for letter in LETTERS],
            pace=PACE,
            injection=self.injection,
            visit=self.visit,
            settle=settle,
            broken=lambda fault: f"<{fault.value}>".encode(),
        )


@asynccontextmanager
async def sending(injection: Injection) -> AsyncIterator[tuple[Sender, httpx.AsyncClient]]:
    sender = Sender(injection)
    app = Starlette(routes=[Route("/", sender.answer)])
    async with hosting(app) as url, httpx.AsyncClient(base_url=url, timeout=None) as client:
        yield sender, client


async def listen(client: httpx.AsyncClient) -> tuple[str, float, float]:
    """What came, when the first of it came, and when it ended."""
    loop = asyncio.get_running_loop()
    began, first, got = loop.time(), 0.0, ""
    async with client.stream("GET", "/") as response:
        async for text in response.aiter_text():
            first = first or loop.time() - began
            got += text
    return got, first, loop.time() - began


def test_pieces_keep_their_pace_and_are_counted(virtual):
    async def story() -> None:
        async with sending(Injection()) as (sender, client):
            got, first, end = await listen(client)
            assert (got, sender.visit.sent_tokens, sender.settled) == (LETTERS, 8, 1)
            assert (round(first, 1), round(end, 1)) == (1.5, 5.0)
            assert sender.visit.finished
            assert sender.visit.closed_at == -1

    virtual(story())


@pytest.mark.parametrize(
    ("injection", "got", "first", "end"),
    [
        (Injection(Fault.SLOW_FIRST_BYTE, delay_s=7), LETTERS, 8.5, 12.0),
        (Injection(Fault.STALL, after_bytes=3, delay_s=7), LETTERS, 1.5, 12.0),
        (Injection(Fault.STALL, delay_s=7), LETTERS, 8.5, 12.0),
        (Injection(Fault.SERVER_ERROR, after_bytes=3), "abc<server_error>", 1.5, 3.0),
        (Injection(Fault.GARBAGE, after_bytes=1), "a<garbage>", 1.5, 2.0),
    ],
)
def test_faults_strike_where_they_are_told(virtual, injection, got, first, end):
    async def story() -> None:
        async with sending(injection) as (sender, client):
            came = await listen(client)
            assert (came[0], round(came[1], 1), round(came[2], 1)) == (got, first, end)
            assert sender.settled == 1

    virtual(story())


@pytest.mark.parametrize("after", [0, 3])
def test_a_drop_cuts_the_wire_without_an_end(virtual, after):
    async def story() -> None:
        async with sending(Injection(Fault.DROP, after_bytes=after)) as (sender, client):
            with pytest.raises(httpx.TransportError):
                await listen(client)
            await asyncio.sleep(0.1)
            assert (sender.settled, sender.visit.sent_tokens) == (1, after)
            assert not sender.visit.finished

    virtual(story())


def test_garbage_from_the_start_is_a_page_of_html(virtual):
    async def story() -> None:
        async with sending(Injection(Fault.GARBAGE)) as (sender, client):
            response = await client.get("/")
            assert response.status_code == 200
            assert response.text.startswith("<html>")
            assert sender.settled == 1

    virtual(story())


def test_a_client_that_leaves_is_noticed_at_once(virtual):
    async def story() -> None:
        async with sending(Injection()) as (sender, client):
            async with client.stream("GET", "/") as response:
                async for _ in response.aiter_text():
                    break
            await asyncio.sleep(3.0)
            assert sender.visit.sent_tokens == 1
            assert sender.visit.closed_at == pytest.approx(1.5, abs=0.1)
            assert sender.settled == 1

    virtual(story())


def test_a_meter_keeps_no_zeros():
    meter = Meter()
    meter.add("a", 0)
    meter.add("b", 2)
    meter.add("b", 3)
    assert meter.items == {"b": 5}


@pytest.mark.parametrize(("text", "pieces"), [("", []), ("abc", ["abc"]), ("abcde", ["abcd", "e"])])
def test_four_characters_are_a_token(text, pieces):
    assert sliced(text) == pieces
