"""Puts a simulated service on a loopback port, on any event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.requests import HTTPConnection
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

_ABORT = "lab.abort"


class _AbortableSocket(WebSocketsSansIOProtocol):
    """Lets the application cut the wire, which ASGI has no word for."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[_ABORT] = self.transport.abort


class _AbortableHttp(H11Protocol):
    """The same for plain requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def abortable(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})[_ABORT] = transport.abort
            await app(scope, receive, send)

        self.app = abortable


class _Uvicorn(uvicorn.Server):
    """Leaves signals alone: they are for whoever runs the loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def cut(connection: HTTPConnection) -> None:
    """Let a connection die without a word; the peer of a WebSocket sees 1006."""
    connection.scope["extensions"][_ABORT]()


@asynccontextmanager
async def hosting(
    app: Any, *, host: str = "127.0.0.1", port: int = 0, certificate: Path | None = None
) -> AsyncIterator[str]:
    """Serve an ASGI application; yields its base URL. Port 0 takes any free one.

    With `certificate`, a PEM file that holds the key as well, it is served over TLS.
    """
    # With its protocol, or asyncio leaves Nagle's algorithm on: 40 ms for many an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.listen(512)
    config = uvicorn.Config(
        app,
        http=_AbortableHttp,
        ws=_AbortableSocket,
        ws_ping_interval=None,
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_keep_alive=75,  # as most servers; clients of ours keep connections for 60
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate,
    )
    web = _Uvicorn(config)
    running = asyncio.ensure_future(web.serve(sockets=[listener]))
    try:
        while not web.started:
            if running.done():
                await running
            await asyncio.sleep(0.005)
        scheme = "http" if certificate is None else "https"
        yield f"{scheme}://{host}:{listener.getsockname()[1]}"
    finally:
        web.should_exit = True
        await asyncio.wait([running], timeout=3)
        running.cancel()
        # uvicorn cancels what outlives its patience, but does not wait for it.
        await asyncio.wait([running, *web.server_state.tasks], timeout=3)
        listener.close()
