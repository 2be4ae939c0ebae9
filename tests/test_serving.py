"""The ports of servers and simulators: speech must not wait there."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any, cast

import msgspec
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from voice_server import settings as configuration
from voice_server.app import Server
from voice_server.serving import serving
from voice_server.testing.lab.host import hosting

APP = Starlette(routes=[Route("/", lambda _: PlainTextResponse("here"))])


def server() -> Server:
    settings = configuration.load({"port": 0, "insecure_webhooks": True})
    nothing = dict.fromkeys(Server.__struct_fields__, cast(Any, None))
    return msgspec.structs.replace(Server(**nothing), settings=settings, app=APP)


def peer(of: socket.socket) -> object:
    try:
        return of.getpeername()
    except OSError:
        return None


def accepted(client: Any) -> socket.socket:
    """The other end of a connection within this process."""
    ours = client.getsockname()
    return next(
        each
        for each in gc.get_objects()
        if isinstance(each, socket.socket) and each.fileno() >= 0 and peer(each) == ours
    )


async def sends_at_once(url: str) -> bool:
    """Whether what the server sends waits for no acknowledgement of what it sent before."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await reader.readline()).endswith(b"200 OK\r\n")
    theirs = accepted(writer.get_extra_info("socket"))
    try:
        return bool(theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_server_sends_speech_at_once():
    async with serving(server()) as url:
        assert await sends_at_once(url)


async def test_a_simulator_answers_at_once():
    async with hosting(APP) as url:
        assert await sends_at_once(url)
