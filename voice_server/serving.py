"""Puts a server on a port, and takes it off again without cutting a call."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn

from voice_server.app import Server
from voice_server.errors import ConfigurationError

_CLOSE_LIMIT_S = 5.0


class _Uvicorn(uvicorn.Server):
    """Leaves signals alone: whoever runs the loop decides what a SIGTERM means."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    """Listen at the settings' host and port; yields the base URL. Port 0 takes any free one.

    Raises `ConfigurationError` when the port is taken.
    """
    listener = _bind(server.settings.host, server.settings.port)
    config = uvicorn.Config(
        server.app,
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # the carrier offers none, and voice does not shrink
        ws_ping_interval=None,  # frames come every 20 ms; their absence says more than a pong's
        ws_max_size=1 << 17,
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=int(_CLOSE_LIMIT_S),
    )
    web = _Uvicorn(config)
    running = asyncio.ensure_future(web.serve(sockets=[listener]))
    try:
        while not web.started:
            if running.done():
                await running
            await asyncio.sleep(0.005)
        host, port = listener.getsockname()[:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        web.should_exit = True
        await asyncio.wait([running], timeout=_CLOSE_LIMIT_S + 1)
        running.cancel()
        await asyncio.wait([running])
        listener.close()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By its protocol asyncio knows that what it accepts must not wait for acknowledgements.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ({error.strerror}); "
            "set VOICE_SERVER_HOST and VOICE_SERVER_PORT to an address that is free here"
        ) from None
    listener.listen(512)
    return listener
