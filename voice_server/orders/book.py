"""What the order tools need from storage; `db.orders` and `db.messages` satisfy it by shape."""

from __future__ import annotations

from typing import Protocol

from db.messages import NewMessage
from db.orders import OrderRow
from db.rows import NewOrder


class OrderBook(Protocol):
    """The orders of tenants. Methods raise `StoreUnavailable` and `RowRejected` (of `db`)."""

    async def book(self, order: NewOrder) -> str:
        """Book once per key; returns the order's id."""

    async def find(self, vendor_id: str, order_id: str) -> OrderRow | None: ...

    async def of_customer(
        self, vendor_id: str, customer_phone: str, *, limit: int = 10
    ) -> tuple[OrderRow, ...]:
        """Newest first."""

    async def cancel(self, vendor_id: str, order_id: str) -> OrderRow | None:
        """Cancel unless it is done; returns the order as it stands, None if unknown."""


class MessageBook(Protocol):
    """The messages callers leave."""

    async def keep(self, message: NewMessage) -> bool:
        """Keep once per key; False while the call itself is not stored."""
