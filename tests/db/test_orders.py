from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from db import Pool, PostgresOrders, RowRejected
from db.calls import instant
from tests.db.server import execute, fetch
from tests.db.tenants import ANNA, BERT, START, add_tenants, new_order


@pytest.fixture
async def orders(pool: Pool) -> PostgresOrders:
    await add_tenants(pool)
    return PostgresOrders(pool)


async def stats(dsn: str, user_id: str = ANNA) -> dict[str, int]:
    [row] = await fetch(dsn, "SELECT orders_stats FROM user_profiles WHERE id = $1", user_id)
    found: dict[str, int] = json.loads(row["orders_stats"])
    return found


def counted(total: int, pending: int, completed: int = 0, canceled: int = 0) -> dict[str, int]:
    return {"total": total, "pending": pending, "completed": completed, "canceled": canceled}


async def test_a_booked_order_can_be_found_as_people_spell_it(orders: PostgresOrders) -> None:
    order_id = await orders.book(new_order(scheduled_at=START))

    assert re.fullmatch(r"ORD-[34679CDFGHJKMNPQRTVWXY]{6}", order_id)
    for spelled in (
        order_id,
        order_id.lower(),
        order_id[4:],
        f" ord {order_id[4:7]} {order_id[7:]}",
    ):
        found = await orders.find(ANNA, spelled)
        assert found is not None
        assert (found.order_id, found.status, found.priority) == (order_id, "new", "medium")
    assert found.scheduled_at == instant(START)
    assert (found.scheduled_text, found.call_id) == ("tomorrow at ten", "call-1")


async def test_booking_twice_under_one_key_is_booking_once(
    orders: PostgresOrders, database: str
) -> None:
    ids = await asyncio.gather(*(orders.book(new_order()) for _ in range(6)))

    assert len(set(ids)) == 1
    assert await stats(database) == counted(1, 1)


async def test_the_same_key_of_two_vendors_is_two_orders(orders: PostgresOrders) -> None:
    first = await orders.book(new_order(vendor_id=ANNA))
    second = await orders.book(new_order(vendor_id=BERT))

    assert first != second
    assert await orders.find(BERT, first) is None
    assert await orders.cancel(BERT, first) is None
    assert await orders.of_customer(BERT, "+12025550133") == (await orders.find(BERT, second),)


async def test_an_order_does_not_wait_for_the_rows_of_its_call(orders: PostgresOrders) -> None:
    assert await orders.book(new_order(call_id="not stored yet"))


async def test_cancelling_counts_once_and_never_undoes_a_completed_order(
    orders: PostgresOrders, database: str
) -> None:
    first, second = await orders.book(new_order("a")), await orders.book(new_order("b"))
    await execute(database, f"UPDATE orders SET status = 'completed' WHERE order_id = '{second}'")

    for _ in range(2):
        cancelled = await orders.cancel(ANNA, first)
        assert cancelled is not None
        assert cancelled.status == "cancelled"
    kept = await orders.cancel(ANNA, second)
    assert kept is not None
    assert kept.status == "completed"
    assert await orders.cancel(ANNA, "ORD-333333") is None
    assert await stats(database) == counted(2, 0, completed=1, canceled=1)


async def test_statistics_follow_whoever_changes_an_order(
    orders: PostgresOrders, database: str, pool: Pool
) -> None:
    ids = [await orders.book(new_order(str(number))) for number in range(3)]
    async with pool.tenant(ANNA) as connection:
        await connection.execute("UPDATE orders SET status = 'on_way'")
        await connection.execute(
            "UPDATE orders SET status = 'completed' WHERE order_id = $1", ids[0]
        )
    assert await stats(database) == counted(3, 2, completed=1)

    await execute(database, f"UPDATE orders SET vendor_id = '{BERT}' WHERE order_id = '{ids[0]}'")
    assert (await stats(database), await stats(database, BERT)) == (
        counted(2, 2),
        counted(1, 0, completed=1),
    )

    await execute(database, f"DELETE FROM orders WHERE order_id = '{ids[1]}'")
    assert await stats(database) == counted(1, 1)


async def test_statistics_keep_what_else_is_in_them(orders: PostgresOrders, database: str) -> None:
    await execute(database, 'UPDATE user_profiles SET orders_stats = \'{"rating": 5, "total": 7}\'')
    await orders.book(new_order())

    assert await stats(database) == {**counted(8, 1), "rating": 5}


async def test_many_bookings_at_once_are_all_counted(orders: PostgresOrders, database: str) -> None:
    await asyncio.gather(*(orders.book(new_order(str(number))) for number in range(25)))

    assert await stats(database) == counted(25, 25)
    ids = await fetch(database, "SELECT DISTINCT order_id FROM orders")
    assert len(ids) == 25


async def test_a_vendor_with_orders_can_be_removed(orders: PostgresOrders, database: str) -> None:
    await orders.book(new_order())
    await execute(database, f"DELETE FROM user_profiles WHERE id = '{ANNA}'")

    [row] = await fetch(database, "SELECT vendor_id FROM orders")
    assert row["vendor_id"] is None


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"service_type": "surgery"}, "orders_service_type_check"),
    ({"priority": "yesterday"}, "orders_priority_check"),
    ({"vendor_id": "eeeeeeee-0000-4000-8000-000000000009"}, "orders_vendor_id_fkey"),
    ({"vendor_id": "nobody"}, "SQLSTATE 22"),
    ({"description": "a\0b"}, "SQLSTATE 22"),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSED)
async def test_an_order_the_schema_refuses_is_named_by_its_constraint(
    orders: PostgresOrders, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RowRejected) as caught:
        await orders.book(new_order(**changes))
    assert reason in caught.value.reason
    assert caught.value.kind == "NewOrder"
    assert "Lopez" not in str(caught.value)


async def test_a_customers_orders_come_newest_first(orders: PostgresOrders) -> None:
    ids = [await orders.book(new_order(str(number))) for number in range(3)]

    found = await orders.of_customer(ANNA, "+12025550133", limit=2)
    assert [order.order_id for order in found] == [ids[2], ids[1]]
