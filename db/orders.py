"""Books, finds and cancels service orders.

`user_profiles.orders_stats` follows by itself: a trigger counts whoever changes an order.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from db.calls import instant, is_about_content, reason_of, rejected
from db.pool import Connection, Pool
from db.rows import NewOrder

# Read out and typed by people: no 0/O, 1/I/L, 5/S, 8/B, 2/Z; no vowels, so no words.
_ALPHABET = "34679CDFGHJKMNPQRTVWXY"
_LENGTH = 6  # 113 million ids; a clash is drawn again
_DRAWS = 20
_ACTOR = "ai_agent"


class OrderRow(msgspec.Struct, frozen=True):
    """An order as stored; empty texts stand for NULL."""

    order_id: str
    vendor_id: str
    call_id: str
    customer_name: str
    customer_phone: str
    customer_address: str
    service_type: str
    description: str
    priority: str
    status: str
    scheduled_at: datetime | None
    scheduled_text: str
    created_at: datetime


class PostgresOrders:
    """The orders of tenants."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def book(self, order: NewOrder) -> str:
        """Book an order, or find it if its key was booked before; returns its id.

        Ids look like "ORD-7F3K9Q". Raises `RowRejected` for an order the schema refuses, and
        `StoreUnavailable`; after the latter the same key may be tried again.
        """
        try:
            async with self._pool.server() as connection:
                return await _book(connection, order)
        except asyncpg.PostgresError as error:
            if not is_about_content(error):
                raise
            raise rejected(order, reason_of(error)) from None

    async def find(self, vendor_id: str, order_id: str) -> OrderRow | None:
        """A tenant's order by its id, however it is spelled: "ord 7f3k9q" will do."""
        async with self._pool.server() as connection:
            row = await connection.fetchrow(
                f"SELECT {_COLUMNS} FROM orders WHERE order_id = $1 AND vendor_id = $2",
                _spelled(order_id),
                vendor_id,
            )
        return None if row is None else _order(row)

    async def of_customer(
        self, vendor_id: str, customer_phone: str, *, limit: int = 10
    ) -> tuple[OrderRow, ...]:
        """A customer's orders with a tenant, newest first."""
        async with self._pool.server() as connection:
            rows = await connection.fetch(
                f"""
                SELECT {_COLUMNS} FROM orders WHERE customer_phone = $1 AND vendor_id = $2
                ORDER BY created_at DESC LIMIT $3
                """,
                customer_phone,
                vendor_id,
                limit,
            )
        return tuple(_order(row) for row in rows)

    async def cancel(self, vendor_id: str, order_id: str) -> OrderRow | None:
        """Cancel an order unless it is completed; returns it as it stands then, None if unknown."""
        async with self._pool.server() as connection:
            await connection.execute(
                """
                UPDATE orders SET status = 'cancelled', updated_by_role = $3
                WHERE order_id = $1 AND vendor_id = $2
                    AND status NOT IN ('completed', 'cancelled')
                """,
                _spelled(order_id),
                vendor_id,
                _ACTOR,
            )
            row = await connection.fetchrow(
                f"SELECT {_COLUMNS} FROM orders WHERE order_id = $1 AND vendor_id = $2",
                _spelled(order_id),
                vendor_id,
            )
        return None if row is None else _order(row)


async def _book(connection: Connection, order: NewOrder) -> str:
    for _ in range(_DRAWS):
        order_id = await _insert(connection, order) or await connection.fetchval(
            "SELECT order_id FROM orders WHERE vendor_id = $1 AND idempotency_key = $2",
            order.vendor_id,
            order.key,
        )
        if order_id is not None:
            return str(order_id)
    raise AssertionError(f"{_DRAWS} order ids in a row were taken")


async def _insert(connection: Connection, order: NewOrder) -> str | None:
    """The new order's id; None when its key was booked before, or the drawn id is taken."""
    drawn = "ORD-" + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    found = await connection.fetchval(
        """
        INSERT INTO orders (
            order_id, vendor_id, idempotency_key, call_session_id, customer_name,
            customer_phone, customer_address, customer_email, service_type, description,
            priority, scheduled_date, scheduled_text, assigned_at, created_by_role,
            updated_by_role
        ) VALUES (
            $1, $2, $3, nullif($4, ''), $5, $6, nullif($7, ''), nullif($8, ''), $9, $10,
            $11, $12, $13, now(), $14, $14
        )
        ON CONFLICT DO NOTHING
        RETURNING order_id
        """,
        drawn,
        order.vendor_id,
        order.key,
        order.call_id,
        order.customer_name,
        order.customer_phone,
        order.customer_address,
        order.customer_email,
        order.service_type,
        order.description,
        order.priority,
        instant(order.scheduled_at) if order.scheduled_at else None,
        order.scheduled_text,
        _ACTOR,
    )
    return None if found is None else str(found)


_COLUMNS = """
    order_id, vendor_id, call_session_id, customer_name, customer_phone, customer_address,
    service_type, description, priority, status, scheduled_date, scheduled_text, created_at
"""


def _order(row: Any) -> OrderRow:
    return OrderRow(
        order_id=row["order_id"],
        vendor_id=str(row["vendor_id"]),
        call_id=row["call_session_id"] or "",
        customer_name=row["customer_name"],
        customer_phone=row["customer_phone"],
        customer_address=row["customer_address"] or "",
        service_type=row["service_type"],
        description=row["description"] or "",
        priority=row["priority"],
        status=row["status"],
        scheduled_at=row["scheduled_date"],
        scheduled_text=row["scheduled_text"],
        created_at=row["created_at"],
    )


def _spelled(order_id: str) -> str:
    letters = "".join(letter for letter in order_id.upper() if letter.isalnum())
    return f"ORD-{letters.removeprefix('ORD')}"
