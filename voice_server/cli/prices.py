"""`voice-server prices`: what things cost, and from when on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, Final

import click

from db import Pool, PriceRow, in_force, price_history, set_price, unpriced_items
from voice_server.cli.database import in_database

_MICRO: Final = 1_000_000
_SMALLEST_DIGIT: Final = -15  # of a price in dollars


class _Dollars(click.ParamType[Decimal]):
    """An exact amount: binary fractions would lose micro-dollars."""

    name = "usd"

    def convert(self, value: Any, param: Any, ctx: Any) -> Decimal:
        try:
            usd = Decimal(str(value))
        except InvalidOperation:
            usd = Decimal("NaN")
        if not usd.is_finite() or usd < 0:
            self.fail("not an amount in dollars, like 0.0083", param, ctx)
        exponent = usd.normalize().as_tuple().exponent
        if isinstance(exponent, int) and exponent < _SMALLEST_DIGIT:
            self.fail("more than 15 digits after the point", param, ctx)
        return usd


class _Instant(click.ParamType[datetime]):
    """ISO 8601; what has no time zone is UTC."""

    name = "instant"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        try:
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("not an instant like 2027-01-01 or 2027-01-01T09:30:00+01:00", param, ctx)
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


@click.group()
def command() -> None:
    """Show and change what things cost. Calls that have begun keep their prices."""


@command.command(name="list")
@click.argument("prefix", default="")
@click.option("--at", type=_Instant(), help="The prices in force at this instant; default now.")
@click.option("--all", "everything", is_flag=True, help="Past prices too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_command(prefix: str, at: datetime | None, everything: bool, as_json: bool) -> None:
    """Tell the price of each item whose name begins with PREFIX, and the changes to come."""
    history = [row for row in in_database(price_history) if row.item.startswith(prefix)]
    now = at or datetime.now(UTC)
    current = in_force(history, now)
    shown = [row for row in history if everything or row in current or row.effective_from > now]
    if as_json:
        click.echo(json.dumps({"at": now.isoformat(), "prices": [_as_json(row) for row in shown]}))
        return
    for row in shown:
        since = "" if row in current else f"from {row.effective_from.isoformat(' ', 'minutes')}  "
        usd = f"{Decimal(row.micro_usd) / _MICRO:f}"
        click.echo(f"{row.item:<52} {usd:>8} / {_units(row):<14} {since}{row.source}".rstrip())
    if not shown:
        click.echo("no such item")


@command.command(name="unpriced")
@click.option("--days", type=click.IntRange(1, 366), default=30, help="How far to look back.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def unpriced_command(days: int, as_json: bool) -> None:
    """Tell what calls have used that has no price, so that it was booked as free."""
    since = datetime.now(UTC) - timedelta(days=days)

    async def work(pool: Pool) -> tuple[str, ...]:
        return await unpriced_items(pool, since)

    items = in_database(work)
    if as_json:
        click.echo(json.dumps({"since": since.isoformat(), "items": items}))
        return
    for item in items:
        click.echo(f"{item}: set it with `voice-server prices set {item} USD --new`")
    if not items:
        click.echo("everything that was used has a price")


@command.command(name="set")
@click.argument("item")
@click.argument("usd", type=_Dollars())
@click.option("--per", type=int, help="Units the price is for; default as in the last price.")
@click.option("--from", "since", type=_Instant(), help="When it begins to hold; default now.")
@click.option("--source", default="", help="Where the price was read.")
@click.option("--new", is_flag=True, help="The item has no price yet.")
def set_command(
    item: str, usd: Decimal, per: int | None, since: datetime | None, source: str, new: bool
) -> None:
    """Add a price of ITEM in dollars, or correct the one that begins at the same instant."""

    async def work(pool: Pool) -> PriceRow:
        history = await price_history(pool)
        former = [row for row in history if row.item == item]
        if not former and not new:
            near = get_close_matches(item, sorted({row.item for row in history}), n=3)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.ClickException(f"{item} has no price yet: say --new{meant}")
        units = per if per is not None else former[-1].per if former else 1
        price = _exact(item, usd, units, since or datetime.now(UTC), source)
        await set_price(pool, price)
        return price

    price = in_database(work)
    begins = price.effective_from.isoformat(" ", "seconds")
    click.echo(f"{item}: {usd} USD per {per or _units(price)} from {begins}")


def _exact(item: str, usd: Decimal, per: int, since: datetime, source: str) -> PriceRow:
    """A price in whole micro-dollars: what is finer is told for more units."""
    micro, units = usd * _MICRO, per
    while micro != micro.to_integral_value():
        micro, units = micro * 10, units * 10
    return PriceRow(item, int(micro), units, since, source)


def _units(row: PriceRow) -> str:
    unit = row.item.rpartition(".")[2]
    return unit if row.per == 1 else f"{row.per} {unit}"


def _as_json(row: PriceRow) -> dict[str, Any]:
    return {
        "item": row.item,
        "micro_usd": row.micro_usd,
        "per": row.per,
        "effective_from": row.effective_from.isoformat(),
        "source": row.source,
    }
