"""The price list of a running server: a change of prices needs no restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

from db.errors import StoreError
from db.prices import PriceRow, in_force
from voice_server.call import Rate

Read: TypeAlias = Callable[[], Awaitable[tuple[PriceRow, ...]]]

log = logging.getLogger(__name__)

_REREAD_S = 60.0  # how old what an operator has set may be when a call begins


class Tariff:
    """All known prices, past and future. A call takes `at` its beginning and keeps that."""

    __slots__ = ("_from", "_rates", "_rows", "_until")

    def __init__(self, rows: tuple[PriceRow, ...] = ()) -> None:
        self.replace(rows)

    def replace(self, rows: tuple[PriceRow, ...]) -> None:
        """Take on another price list."""
        self._rows = rows
        self._rates: tuple[Rate, ...] = ()
        self._from = self._until = datetime.max.replace(tzinfo=UTC)

    def at(self, instant: datetime) -> tuple[Rate, ...]:
        """The rates in force at an instant with time zone; quick between two changes."""
        if not self._from <= instant < self._until:
            changes = [row.effective_from for row in self._rows]
            past = [change for change in changes if change <= instant]
            coming = [change for change in changes if change > instant]
            self._from = max(past, default=datetime.min.replace(tzinfo=UTC))
            self._until = min(coming, default=datetime.max.replace(tzinfo=UTC))
            self._rates = tuple(
                Rate(row.item, row.micro_usd, row.per) for row in in_force(self._rows, instant)
            )
        return self._rates

    async def keep_current(self, read: Read, *, every_s: float = _REREAD_S) -> None:
        """`read` the price list again and again until cancelled; while it cannot be, it stands."""
        while True:
            await asyncio.sleep(every_s)
            try:
                self.replace(await read())
            except StoreError:
                log.warning("the price list cannot be read; the former one stands")
