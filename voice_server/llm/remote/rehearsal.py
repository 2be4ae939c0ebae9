"""Lets a vendor's SDK make its first request to nobody.

On that one it loads and builds some 80 ms' worth of code, in which a server's loop would stand
still in the middle of its first conversation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2


def stage(events: bytes) -> httpx2.AsyncClient:
    """A client that asks nobody: every request is answered with these server-sent events."""
    import anyio
    import httpx2

    async def answer(_: httpx2.Request) -> httpx2.Response:
        anyio.Event()  # the sockets are anyio's, and most of what it loads comes with its first use
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=events)

    return httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
