"""The connection to a model is open before the first question, and nothing depends on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from tests.llm.remote.minds import PROVIDERS, open_desk, settled, text_of
from voice_server.llm.remote.warmth import Warmth
from voice_server.testing.lab.mind import Said

YES = Said("Yes.")
WITHIN_S = 5.0
NO_SUCH_PAGE = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}"


class Door:
    """A server that answers each request with the same bytes, or not at all."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.url = ""
        self.opened = 0
        self.requests: list[bytes] = []

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            while not reader.at_eof():
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self._answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def open_door(answer: bytes) -> AsyncIterator[tuple[Door, Warmth, httpx2.AsyncClient]]:
    door = Door(answer)
    async with await asyncio.start_server(door.greet, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        door.url = f"http://{host}:{port}/v1/"
        async with httpx2.AsyncClient() as http:
            warmth = Warmth(http, door.url, within_s=WITHIN_S)
            yield door, warmth, http
            await warmth.close()
        await settled()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_first_answer_comes_over_a_connection_that_was_warmed(virtual, provider):
    async def story() -> None:
        async with open_desk(provider, said=YES) as desk:
            pool = desk.connection._client._client._transport._pool
            await desk.connection.warmth.start()
            (warm,) = pool.connections
            assert warm.is_idle()
            assert text_of(await desk.ask()) == "Yes."
            assert pool.connections == [warm]

    virtual(story())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_warming_asks_the_model_nothing_and_costs_nothing(virtual, provider):
    async def story() -> None:
        async with open_desk(provider, said=YES) as desk:
            await desk.connection.warmth.start()
            assert desk.simulator.visits == []
            assert not desk.simulator.meter.items
            assert not desk.ledger

    virtual(story())


def test_warming_shows_no_key(virtual):
    async def story() -> None:
        async with open_door(NO_SUCH_PAGE) as (door, warmth, _):
            await warmth.start()
            (request,) = door.requests
            assert request.startswith(b"GET /v1/ ")
            assert b"authorization" not in request.lower()
            assert b"key" not in request.lower()

    virtual(story())


def test_warming_again_renews_the_connection_there_is(virtual):
    async def story() -> None:
        async with open_door(NO_SUCH_PAGE) as (door, warmth, _):
            for _ in range(3):
                await warmth.start()
            assert (door.opened, len(door.requests)) == (1, 3)

    virtual(story())


def test_calls_that_begin_together_each_get_a_connection(virtual):
    async def story() -> None:
        async with open_door(NO_SUCH_PAGE) as (door, warmth, _):
            await asyncio.gather(*(warmth.start() for _ in range(4)))
            assert door.opened == 4

    virtual(story())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 503 Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"this is no HTTP\r\n\r\n",
    ],
    ids=["refused", "sent elsewhere", "down", "garbage"],
)
def test_whatever_is_answered_warming_ends_at_once_and_fails_nobody(virtual, answer):
    async def story() -> None:
        async with open_door(answer) as (door, warmth, _):
            began = asyncio.get_running_loop().time()
            assert await warmth.start() is None
            assert asyncio.get_running_loop().time() - began < 0.1
            assert len(door.requests) == 1

    virtual(story())


async def test_warming_fails_nobody_where_nothing_listens():
    async with httpx2.AsyncClient() as http:
        assert await Warmth(http, "http://127.0.0.1:9/", within_s=WITHIN_S).start() is None


def test_an_answer_that_never_comes_or_never_ends_is_given_up(virtual):
    async def story() -> None:
        for answer in (b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n."):
            async with open_door(answer) as (_, warmth, _):
                began = asyncio.get_running_loop().time()
                await warmth.start()
                assert asyncio.get_running_loop().time() - began == pytest.approx(WITHIN_S)

    virtual(story())


def test_a_question_does_not_wait_for_warming_that_hangs(virtual):
    async def story() -> None:
        async with open_door(b"") as (door, warmth, http):
            warming = warmth.start()
            await asyncio.sleep(0.1)
            with pytest.raises(httpx2.ReadTimeout):
                await http.get(door.url, timeout=1.0)
            assert len(door.requests) == 2
            assert not warming.done()

    virtual(story())


def test_closing_leaves_nothing_running(virtual):
    async def story() -> None:
        async with open_door(b"") as (_, warmth, _):
            warming = warmth.start()
            await asyncio.sleep(0.1)
            await warmth.close()
            assert warming.cancelled()

    virtual(story())
