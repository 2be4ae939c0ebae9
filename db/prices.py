"""What things cost at a moment, in micro-dollars."""

from __future__ import annotations

from datetime import datetime

import msgspec

from db.pool import Pool


class PriceRow(msgspec.Struct, frozen=True):
    """`micro_usd` for each started `per` units of `item`."""

    item: str
    micro_usd: int
    per: int
    effective_from: datetime


async def prices_at(pool: Pool, at: datetime) -> tuple[PriceRow, ...]:
    """The price of every item in force at an instant (with time zone), by item.

    Items whose first price lies in the future are left out.
    """
    async with pool.server() as connection:
        rows = await connection.fetch(
            """
            SELECT DISTINCT ON (item) item, micro_usd, per, effective_from FROM prices
            WHERE effective_from <= $1 ORDER BY item, effective_from DESC
            """,
            at,
        )
    return tuple(PriceRow(**row) for row in rows)


async def set_price(pool: Pool, price: PriceRow, *, source: str = "") -> None:
    """Add a price, or correct the one that starts at the same instant."""
    async with pool.server() as connection:
        await connection.execute(
            """
            INSERT INTO prices (item, micro_usd, per, effective_from, source)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (item, effective_from) DO UPDATE SET
                micro_usd = excluded.micro_usd, per = excluded.per, source = excluded.source
            """,
            price.item,
            price.micro_usd,
            price.per,
            price.effective_from,
            source,
        )
