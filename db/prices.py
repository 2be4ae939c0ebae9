"""What things cost at a moment, in micro-dollars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from db.errors import PriceRejected
from db.pool import Pool

_ITEM: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_LONGEST_ITEM: Final = 120
_LARGEST: Final = 10**12  # a million dollars; and a terabyte, should anything be sold by bytes


class PriceRow(msgspec.Struct, frozen=True):
    """`micro_usd` for `per` units of `item`; a part costs its share, up to a micro-dollar."""

    item: str
    micro_usd: int
    per: int
    effective_from: datetime
    source: str = ""


async def prices_at(pool: Pool, at: datetime) -> tuple[PriceRow, ...]:
    """The price of every item in force at an instant (with time zone), by item.

    Items whose first price lies in the future are left out.
    """
    async with pool.server() as connection:
        rows = await connection.fetch(
            """
            SELECT DISTINCT ON (item) item, micro_usd, per, effective_from, source FROM prices
            WHERE effective_from <= $1 ORDER BY item, effective_from DESC
            """,
            at,
        )
    return tuple(PriceRow(**row) for row in rows)


async def price_history(pool: Pool, item: str | None = None) -> tuple[PriceRow, ...]:
    """All prices, past and future ones too, or those of one item; by item and instant."""
    async with pool.server() as connection:
        rows = await connection.fetch(
            """
            SELECT item, micro_usd, per, effective_from, source FROM prices
            WHERE item = coalesce($1, item) ORDER BY item, effective_from
            """,
            item,
        )
    return tuple(PriceRow(**row) for row in rows)


def in_force(history: Sequence[PriceRow], at: datetime) -> tuple[PriceRow, ...]:
    """`prices_at` out of a history that is at hand: one read serves a day of changes."""
    chosen: dict[str, PriceRow] = {}
    for row in history:
        best = chosen.get(row.item)
        begun = row.effective_from <= at
        if begun and (best is None or row.effective_from > best.effective_from):
            chosen[row.item] = row
    return tuple(chosen[item] for item in sorted(chosen))


async def unpriced_items(pool: Pool, since: datetime) -> tuple[str, ...]:
    """Items that calls booked since an instant and that had no price by then, by name.

    `estimated_replies` is left out: it counts guesses and is nothing that is sold.
    """
    async with pool.server() as connection:
        rows = await connection.fetch(
            """
            SELECT DISTINCT item FROM call_costs AS booked
            WHERE at >= $1 AND item NOT LIKE '%.estimated_replies' AND NOT EXISTS (
                SELECT FROM prices
                WHERE prices.item = booked.item AND prices.effective_from <= booked.at
            ) ORDER BY item
            """,
            since,
        )
    return tuple(row["item"] for row in rows)


async def set_price(pool: Pool, price: PriceRow, *, source: str = "") -> None:
    """Add a price, or correct the one that starts at the same instant.

    `source` says where it was read, else the row's own. Raises `PriceRejected`.
    """
    check_price(price)
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
            source or price.source,
        )


def check_price(price: PriceRow) -> None:
    """Raise `PriceRejected` for a price that makes no sense."""
    named = _ITEM.fullmatch(price.item) and "." in price.item
    if not named or len(price.item) > _LONGEST_ITEM:
        raise PriceRejected(
            "item: not a name like twilio.sms.segments (small letters, digits, '.', '_', '-')"
        )
    if not 0 <= price.micro_usd <= _LARGEST:
        raise PriceRejected(
            f"micro_usd: {price.micro_usd} is not between 0 and {_LARGEST}; "
            "give millionths of a dollar"
        )
    if not 1 <= price.per <= _LARGEST:
        raise PriceRejected(
            f"per: {price.per} is not between 1 and {_LARGEST}; "
            "give the number of units the price is for"
        )
    if price.effective_from.tzinfo is None:
        raise PriceRejected("effective_from: has no time zone; write it like 2027-01-01T00:00:00Z")
