"""A gate on the way to a service: connections through it stall, die, or are refused."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from typing import TypeAlias

from voice_server.testing.virtual import hold_time

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_READY = b"Z\x00\x00\x00\x05"  # Postgres has done all it was asked


class Gate:
    """Passes bytes on. `address` is where clients go; `reach` opens the way to the service."""

    def __init__(self, reach: Callable[[], Awaitable[Streams]], *, is_postgres: bool) -> None:
        self._reach = reach
        self._is_postgres = is_postgres
        self._flow = asyncio.Event()
        self._flow.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._lethal = False
        self._greeting = b""
        self._server: asyncio.Server | None = None
        self._resuming: asyncio.TimerHandle | None = None
        self.address = ("127.0.0.1", 0)

    async def open(self) -> None:
        """Let connections in and through, as if nothing had ever happened."""
        if self._resuming is not None:
            self._resuming.cancel()
        self._lethal = False
        self._greeting = b""
        self._flow.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._pass, *self.address)
            self.address = self._server.sockets[0].getsockname()

    def stall(self, seconds: float) -> None:
        """No answer comes through for so long."""
        self._flow.clear()
        self._resuming = asyncio.get_running_loop().call_later(seconds, self._flow.set)

    def kill(self, last_words: bytes = b"") -> None:
        """Connections die, new ones as soon as they are used; their clients hear `last_words`."""
        self._lethal = True
        self._greeting = last_words
        for writer in self._writers:
            self._end(writer)

    def refuse(self) -> None:
        """Nobody is there."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()

    def _end(self, writer: asyncio.StreamWriter) -> None:
        if self._greeting:
            writer.write(self._greeting)
            writer.close()
        else:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            theirs, upstream = await self._reach()
            with ExitStack() as stack:
                hold = _Hold() if self._is_postgres else None
                if hold is not None:
                    stack.callback(hold.release)
                stack.callback(upstream.close)
                async with asyncio.TaskGroup() as ways:
                    there = ways.create_task(self._forth(reader, upstream, writer, hold))
                    back = ways.create_task(self._back(theirs, writer, hold))
                    there.add_done_callback(lambda _: back.cancel())
                    back.add_done_callback(lambda _: there.cancel())
        except* (OSError, asyncio.CancelledError):
            pass  # either end is gone
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _forth(
        self,
        reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        hold: _Hold | None,
    ) -> None:
        while data := await reader.read(1 << 16):
            if self._lethal:
                self._end(client)
                return
            if hold is not None:
                hold.take()
            upstream.write(data)
            await upstream.drain()

    async def _back(
        self, theirs: asyncio.StreamReader, client: asyncio.StreamWriter, hold: _Hold | None
    ) -> None:
        while data := await theirs.read(1 << 16):
            if hold is not None and (data[-6:-1] == _READY or len(data) == 1):
                hold.release()
            await self._flow.wait()
            client.write(data)
            await client.drain()


class _Hold:
    """Virtual time stands still while Postgres works, which knows nothing of it."""

    def __init__(self) -> None:
        self._held: AbstractContextManager[None] | None = None

    def take(self) -> None:
        if self._held is None:
            self._held = hold_time()
            self._held.__enter__()

    def release(self) -> None:
        if self._held is not None:
            self._held.__exit__(None, None, None)
            self._held = None


@asynccontextmanager
async def open_gate(
    reach: Callable[[], Awaitable[Streams]], *, is_postgres: bool = False
) -> AsyncIterator[Gate]:
    """A gate on a free port of this machine."""
    gate = Gate(reach, is_postgres=is_postgres)
    await gate.open()
    try:
        yield gate
    finally:
        gate.refuse()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)


async def through(url: str) -> Streams:
    """The way to a service on this machine, by its URL."""
    host, port = url.removeprefix("http://").split("/")[0].split(":")
    return await asyncio.open_connection(host, int(port))
