"""Where ElevenLabs is reached and with which key."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

import msgspec
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.protocol import State

from voice_server.speech.elevenlabs.failures import mapped

_LARGEST_MESSAGE = 8 << 20  # a minute of base64 mu-law is 0.64 MB
_PING_S = 10.0
_CLOSE_S = 0.5  # the caller of a closed call waits for no handshake


class Access(msgspec.Struct, frozen=True):
    """An account. `base_url` chooses the region; a path in it is kept."""

    api_key: SecretStr
    base_url: str = "https://api.elevenlabs.io"

    @property
    def headers(self) -> dict[str, str]:
        """What authenticates a request; never to be logged."""
        return {"xi-api-key": self.api_key.get_secret_value()}

    def url(self, *path: str, query: Sequence[tuple[str, str]] = ()) -> str:
        """The address of a resource; the parts of `path` need no quoting."""
        route = "/".join(quote(part, safe="") for part in path)
        address = f"{self.base_url.rstrip('/')}/{route}"
        return f"{address}?{urlencode(query, quote_via=quote)}" if query else address


@functools.cache
def tls() -> ssl.SSLContext:
    """One for the process: reading the certificates takes 10 ms that no call should wait for."""
    return ssl.create_default_context()


async def open_socket(
    access: Access, *path: str, query: Sequence[tuple[str, str]], within_s: float
) -> ClientConnection:
    """Open a WebSocket; raises `ServiceError`. Whoever opens it closes it."""
    url = "ws" + access.url(*path, query=query).removeprefix("http")
    return await connect_to(url, headers=access.headers, within_s=within_s)


async def connect_to(url: str, *, headers: Mapping[str, str], within_s: float) -> ClientConnection:
    """The same for an address in full (`ws:` or `wss:`)."""
    secure = url.startswith("wss:")
    with mapped():
        return await connect(
            url,
            additional_headers=headers,
            ssl=tls() if secure else None,
            proxy=True if secure else None,  # plain sockets are for this machine
            compression=None,  # base64 audio does not shrink
            open_timeout=within_s,
            close_timeout=_CLOSE_S,
            ping_interval=_PING_S,
            ping_timeout=_PING_S,
            max_size=_LARGEST_MESSAGE,
        )


def is_open(socket: ClientConnection) -> bool:
    """Whether what is sent now goes out; sending it raises `ConnectionClosed` otherwise."""
    return socket.state is State.OPEN
