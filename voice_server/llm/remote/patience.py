"""Puts every wait for a provider under a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from voice_server.errors import ServiceUnavailable
from voice_server.limits import Limits

T = TypeVar("T")


class Patience:
    """The deadlines of one request, counted from its making."""

    __slots__ = ("_answered", "_end", "_first", "_limits", "_loop", "_service")

    def __init__(self, service: str, limits: Limits) -> None:
        self._service = service
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._first = now + limits.first_byte_s
        self._end = now + limits.total_s
        self._answered = False

    async def wait(self, work: Awaitable[T]) -> T:
        """Await until the next deadline; raises `ServiceUnavailable` when it passes."""
        due = self._loop.time() + self._limits.between_s if self._answered else self._first
        try:
            async with asyncio.timeout_at(min(due, self._end)):
                return await work
        except TimeoutError:
            what = "went silent in mid-answer" if self._answered else "did not answer in time"
            raise ServiceUnavailable(self._service, what) from None

    def answered(self) -> None:
        """A sign of life came: the next one is waited for under its own deadline."""
        self._answered = True
