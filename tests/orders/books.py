"""Order and message books in memory: honest partners of the same shape as the database's."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from db.errors import RowRejected, StoreUnavailable
from db.messages import NewMessage
from db.orders import OrderRow
from db.rows import NewOrder


class MemoryOrders:
    """Orders in a dict. `down` makes every call fail; `calls` are those the tenant has."""

    def __init__(self, calls: set[str] | None = None) -> None:
        self.rows: dict[str, OrderRow] = {}
        self.down = False
        self._keys: dict[tuple[str, str], str] = {}
        self._calls = calls

    async def book(self, order: NewOrder) -> str:
        self._check()
        if order.call_id and self._calls is not None and order.call_id not in self._calls:
            raise RowRejected("NewOrder", order.call_id, reason="violates orders_call_fkey")
        key = (order.vendor_id, order.key)
        if key not in self._keys:
            order_id = f"ORD-{len(self.rows) + 1:06d}"
            self._keys[key] = order_id
            self.rows[order_id] = _stored(order_id, order)
        return self._keys[key]

    async def find(self, vendor_id: str, order_id: str) -> OrderRow | None:
        self._check()
        letters = "".join(letter for letter in order_id.upper() if letter.isalnum())
        row = self.rows.get(f"ORD-{letters.removeprefix('ORD')}")
        return row if row is not None and row.vendor_id == vendor_id else None

    async def of_customer(
        self, vendor_id: str, customer_phone: str, *, limit: int = 10
    ) -> tuple[OrderRow, ...]:
        self._check()
        rows = [
            row
            for row in reversed(self.rows.values())
            if (row.vendor_id, row.customer_phone) == (vendor_id, customer_phone)
        ]
        return tuple(rows[:limit])

    async def cancel(self, vendor_id: str, order_id: str) -> OrderRow | None:
        row = await self.find(vendor_id, order_id)
        if row is not None and row.status != "completed":
            row = msgspec.structs.replace(row, status="cancelled")
            self.rows[row.order_id] = row
        return row

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailable("the database does not answer")


class MemoryMessages:
    """Messages in a dict; `known` are the calls that are stored."""

    def __init__(self, known: set[str]) -> None:
        self.kept: dict[tuple[str, str], NewMessage] = {}
        self._known = known

    async def keep(self, message: NewMessage) -> bool:
        if message.call_id not in self._known:
            return False
        self.kept.setdefault((message.call_id, message.key), message)
        return True


def _stored(order_id: str, order: NewOrder) -> OrderRow:
    at = datetime.fromtimestamp(order.scheduled_at / 1000, UTC) if order.scheduled_at else None
    return OrderRow(
        order_id=order_id,
        vendor_id=order.vendor_id,
        call_id=order.call_id,
        customer_name=order.customer_name,
        customer_phone=order.customer_phone,
        customer_address=order.customer_address,
        service_type=order.service_type,
        description=order.description,
        priority=order.priority,
        status="new",
        scheduled_at=at,
        scheduled_text=order.scheduled_text,
        created_at=datetime(2026, 11, 22, tzinfo=UTC),
    )
