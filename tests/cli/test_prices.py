"""`voice-server prices`: exact amounts in, exact amounts out."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest
from click.testing import CliRunner, Result

from db import PostgresCallStore, open_pool
from tests.db.server import database, fetch, template  # noqa: F401
from tests.db.tenants import add_tenants, begun, cost
from voice_server.cli import main

pytestmark = pytest.mark.postgres
ITEM = "twilio.sms.segments"


def prices(dsn: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["prices", *arguments], env={"DATABASE_URL": dsn})


def listed(dsn: str, *arguments: str) -> list[tuple[str, int, int, str]]:
    told = json.loads(prices(dsn, "list", *arguments, "--json").output)
    return [
        (row["item"], row["micro_usd"], row["per"], row["effective_from"][:10])
        for row in told["prices"]
    ]


def test_the_list_has_what_holds_and_what_is_to_come(database: str) -> None:  # noqa: F811
    flash = "google.gemini-3.8-flash.output_tokens"
    rows = [
        (flash, 3_750_000, 1_000_000, "2000-01-01"),
        (flash, 7_500_000, 1_000_000, "2027-01-01"),
    ]
    assert listed(database, flash, "--at", "2026-12-31") == rows
    assert listed(database, flash, "--at", "2027-01-01") == rows[1:]
    assert listed(database, flash, "--at", "2027-01-01", "--all") == rows
    text = prices(database, "list", flash, "--at", "2026-12-31").output
    assert text.splitlines()[0].split()[:4] == [flash, "3.75", "/", "1000000"]
    assert "from 2027-01-01 00:00+00:00" in text
    assert prices(database, "list", "no.such").output == "no such item\n"


def test_a_new_price_holds_from_its_instant_and_keeps_the_unit(database: str) -> None:  # noqa: F811
    done = prices(
        database, "set", ITEM, "0.0079", "--from", "2027-03-01T12:00+02:00", "--source", "invoice"
    )
    assert done.output == f"{ITEM}: 0.0079 USD per segments from 2027-03-01 12:00:00+02:00\n"
    assert listed(database, ITEM, "--all")[-1] == (ITEM, 7_900, 1, "2027-03-01")
    tokens = "openai.gpt-6-luna.input_tokens"
    prices(database, "set", tokens, "0.2", "--from", "2027-03-01")
    assert listed(database, tokens, "--all")[-1] == (tokens, 200_000, 1_000_000, "2027-03-01")
    assert "invoice" in prices(database, "list", ITEM, "--all").output


@pytest.mark.parametrize(
    ("usd", "per", "micro_usd", "units"),
    [
        ("0.0000611", "1", 611, 10),
        ("0.0000000001", "1", 1, 10_000),
        ("0", "1", 0, 1),
        ("1e-3", "1", 1_000, 1),
        ("0.39", "3600000", 390_000, 3_600_000),
        ("12", "1", 12_000_000, 1),
    ],
)
def test_no_digit_of_an_amount_is_lost(
    database: str,  # noqa: F811
    usd: str,
    per: str,
    micro_usd: int,
    units: int,
) -> None:
    done = prices(database, "set", ITEM, usd, "--per", per, "--from", "2030-01-01")
    assert done.exit_code == 0, done.output
    assert listed(database, ITEM)[-1][1:3] == (micro_usd, units)
    assert Decimal(micro_usd) / units / 1_000_000 == Decimal(usd) / int(per)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["twilio.sms.segment", "1"], f"say --new; did you mean {ITEM}"),
        (["NEW thing", "1", "--new"], "item: not a name like"),
        ([ITEM, "cheap"], "not an amount in dollars"),
        ([ITEM, "NaN"], "not an amount in dollars"),
        ([ITEM, "Infinity"], "not an amount in dollars"),
        ([ITEM, "--", "-0.01"], "not an amount in dollars"),
        ([ITEM, "0.0000000000000001"], "more than 15 digits"),
        ([ITEM, "1e20"], "micro_usd: "),
        ([ITEM, "1", "--per", "0"], "per: 0 is not between"),
        ([ITEM, "1", "--from", "tomorrow"], "not an instant like"),
    ],
)
def test_what_cannot_be_a_price_is_explained(
    database: str,  # noqa: F811
    arguments: list[str],
    problem: str,
) -> None:
    before = listed(database, "--all")
    result = prices(database, "set", *arguments)
    assert result.exit_code != 0
    assert problem in result.output
    assert "Traceback" not in result.output
    assert listed(database, "--all") == before


def test_a_new_item_has_to_be_meant(database: str) -> None:  # noqa: F811
    done = prices(database, "set", "acme.oracle.requests", "0.5", "--new")
    assert done.exit_code == 0
    assert listed(database, "acme")[0][:3] == ("acme.oracle.requests", 500_000, 1)


async def test_what_was_used_without_a_price_is_told(database: str) -> None:  # noqa: F811
    pool = await open_pool(database, size=1)
    await add_tenants(pool)
    await PostgresCallStore(pool).write([begun(), cost(1, 0, item="openai.gpt-99.input_tokens")])
    await pool.close()
    (row,) = await fetch(database, "UPDATE call_costs SET at = now() RETURNING item")
    text = (await asyncio.to_thread(prices, database, "unpriced")).output
    assert f"set it with `voice-server prices set {row['item']} USD --new`" in text
    told = await asyncio.to_thread(prices, database, "unpriced", "--json")
    assert json.loads(told.output)["items"] == [row["item"]]
    await asyncio.to_thread(
        prices, database, "set", row["item"], "1", "--new", "--from", "2020-01-01"
    )
    assert "has a price" in (await asyncio.to_thread(prices, database, "unpriced")).output
