"""Reads a socket all the time, so that even a stalled service has counted what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect

T = TypeVar("T")


class Inbox(Generic[T]):
    """What has arrived and was not looked at yet."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[T] | None] = asyncio.Queue()

    async def get(self) -> T:
        """The next message; raises `WebSocketDisconnect` after the last."""
        message = await self._waiting.get()
        if message is None:
            self._waiting.put_nowait(None)
            raise WebSocketDisconnect(1006)
        return message[0]

    async def fill(self, socket: WebSocket, read: Callable[[str], T]) -> None:
        """Read until the socket closes; `read` sees each message as it arrives."""
        try:
            while True:
                self._waiting.put_nowait((read(await socket.receive_text()),))
        except (WebSocketDisconnect, RuntimeError):
            self._waiting.put_nowait(None)


@asynccontextmanager
async def open_inbox(socket: WebSocket, read: Callable[[str], T]) -> AsyncIterator[Inbox[T]]:
    """Read an accepted socket inside the block."""
    inbox: Inbox[T] = Inbox()
    task = asyncio.get_running_loop().create_task(inbox.fill(socket, read), name="lab inbox")
    try:
        yield inbox
    finally:
        task.cancel()
        await asyncio.wait([task])
