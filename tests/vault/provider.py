"""A provider on a loopback socket: says what it is told to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

Answers = dict[str, tuple[int, Any]]
Piece = bytes | float  # bytes to send, seconds to wait


class Asked(msgspec.Struct, frozen=True):
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


class Provided:
    """Where the provider is, and what it was asked. `answers` may change while it runs."""

    def __init__(self, answers: Answers, script: tuple[Piece, ...] | None) -> None:
        self.answers = answers
        self.script = script
        self.asked: list[Asked] = []
        self.url = ""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(_parse(head.decode("latin-1")))
            for piece in self._pieces():
                if isinstance(piece, float):
                    await asyncio.sleep(piece)
                    continue
                writer.write(piece)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def stop(self) -> None:
        waiting = list(self._tasks)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _pieces(self) -> tuple[Piece, ...]:
        if self.script is not None:
            return self.script
        status, body = self.answers.get(self.asked[-1].path, (404, {}))
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
        return (head.encode() + content,)


@asynccontextmanager
async def provider_saying(
    answers: Answers | None = None, *, script: tuple[Piece, ...] | None = None
) -> AsyncIterator[Provided]:
    """`answers` by path; or a `script` of what every connection gets."""
    provided = Provided(answers or {}, script)
    server = await asyncio.start_server(provided.serve, "127.0.0.1", 0)
    provided.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provided
    finally:
        server.close()
        await provided.stop()
        await server.wait_closed()


def _parse(head: str) -> Asked:
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    parts = urlsplit(target)
    headers = dict(line.split(": ", 1) for line in lines if line)
    return Asked(
        method,
        parts.path,
        parse_qs(parts.query),
        {name.lower(): value for name, value in headers.items()},
    )
