"""Opens connections to a provider before anybody waits for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2


class Warmth:
    """Keeps idle connections to `url` in the pool of an HTTP client. Close it before the client."""

    __slots__ = ("_http", "_tasks", "_url", "_within_s")

    def __init__(self, http: httpx2.AsyncClient, url: str, *, within_s: float) -> None:
        self._http = http
        self._url = url
        self._within_s = within_s
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> asyncio.Task[None]:
        """Begin to open a connection, or to renew an idle one, before a question comes.

        What fails shows in the first question. The task may be waited for, but belongs to this.
        """
        task = asyncio.get_running_loop().create_task(self._knock(), name="llm warming")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _knock(self) -> None:
        """There is no handshake without a request; this one has no key and asks for nothing.

        So it costs nothing, and the answer, most likely "not found", does not matter. A HEAD
        would do, but for servers that answer it with a body and spoil the connection.
        """
        import httpx2

        with suppress(httpx2.HTTPError, TimeoutError):
            async with asyncio.timeout(self._within_s):
                await self._http.get(self._url, follow_redirects=False)

    async def close(self) -> None:
        """Give up what has not opened yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
