from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from db import (
    Pool,
    PostgresCallStore,
    PriceRejected,
    PriceRow,
    in_force,
    price_history,
    prices_at,
    set_price,
    unpriced_items,
)
from db.prices import check_price
from tests.db.tenants import START, add_tenants, begun, cost
from voice_server.call import Rate
from voice_server.call.meter import Meter
from voice_server.llm.catalogue import shipped

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
ITEM = "twilio.media_stream.minutes"


async def rate(pool: Pool, at: datetime, item: str = ITEM) -> int | None:
    return {price.item: price.micro_usd for price in await prices_at(pool, at)}.get(item)


async def test_the_carriers_list_prices_and_free_local_engines_are_there(pool: Pool) -> None:
    prices = {price.item: (price.micro_usd, price.per) for price in await prices_at(pool, NEW_YEAR)}
    assert {
        "twilio.voice_inbound.minutes": (8_500, 1),
        "twilio.voice_outbound.minutes": (14_000, 1),
        "twilio.media_stream.minutes": (4_400, 1),
        "local.stt.milliseconds": (0, 1),
        "local.tts.characters": (0, 1),
        "local.llm.turns": (0, 1),
    }.items() <= prices.items()


async def test_a_new_price_holds_from_its_instant_on(pool: Pool) -> None:
    await set_price(pool, PriceRow(ITEM, 5_000, 1, NEW_YEAR), source="announced")

    assert await rate(pool, NEW_YEAR - timedelta(microseconds=1)) == 4_400
    assert await rate(pool, NEW_YEAR) == 5_000
    assert await rate(pool, NEW_YEAR + timedelta(days=900)) == 5_000


async def test_a_price_can_be_corrected(pool: Pool) -> None:
    await set_price(pool, PriceRow(ITEM, 5_000, 1, NEW_YEAR))
    await set_price(pool, PriceRow(ITEM, 5_100, 1, NEW_YEAR))

    assert await rate(pool, NEW_YEAR) == 5_100


async def test_an_item_without_a_price_yet_is_left_out(pool: Pool) -> None:
    await set_price(pool, PriceRow("new.thing", 1, 1_000, NEW_YEAR))

    assert await rate(pool, NEW_YEAR - timedelta(days=1), "new.thing") is None
    assert await rate(pool, NEW_YEAR, "new.thing") == 1


SEEDED = [
    ("2026-11-22", "openai.gpt-6-luna.input_tokens", 100_000, 1_000_000),
    ("2026-11-22", "openai.gpt-6-luna.cache_write_tokens", 125_000, 1_000_000),
    ("2026-11-22", "openai.gpt-4o-mini.cached_input_tokens", 75_000, 1_000_000),
    ("2026-11-22", "anthropic.claude-haiku-5-5.cache_write_tokens", 125_000, 1_000_000),
    ("2026-11-22", "anthropic.claude-sonnet-4-5.output_tokens", 15_000_000, 1_000_000),
    ("2026-11-22", "grok.grok-4.20-non-reasoning.output_tokens", 2_500_000, 1_000_000),
    ("2026-11-22", "google.gemini-3.5-flash-lite.cached_input_tokens", 30_000, 1_000_000),
    ("2026-11-22", "elevenlabs.tts.eleven_flash_v2_5.characters", 50_000, 1_000),
    ("2026-11-22", "elevenlabs.stt.scribe_v2_realtime.milliseconds", 390_000, 3_600_000),
    ("2026-11-22", "serpapi.search.requests", 15_000, 1),
    ("2026-11-22", "twilio.amd.calls", 7_500, 1),
    ("2026-11-22", "twilio.recording.minutes", 2_500, 1),
    # Changes that are announced.
    ("2026-12-31", "google.gemini-3.8-flash.output_tokens", 3_750_000, 1_000_000),
    ("2027-01-01", "google.gemini-3.8-flash.output_tokens", 7_500_000, 1_000_000),
    ("2026-11-30", "google.gemini-4-argon.cached_input_tokens", 100_000, 1_000_000),
    ("2026-12-01", "google.gemini-4-argon.cached_input_tokens", 200_000, 1_000_000),
]


@pytest.mark.parametrize(("day", "item", "micro_usd", "per"), SEEDED)
async def test_the_price_lists_are_there_with_what_is_to_change(
    pool: Pool, day: str, item: str, micro_usd: int, per: int
) -> None:
    at = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    (row,) = [row for row in await prices_at(pool, at) if row.item == item]
    assert (row.micro_usd, row.per) == (micro_usd, per)
    assert row.source


async def test_every_seeded_price_is_one_an_operator_could_set(pool: Pool) -> None:
    for row in await price_history(pool):
        check_price(row)


async def test_every_live_model_of_the_catalogue_has_a_price_for_all_it_bills(pool: Pool) -> None:
    priced = {row.item for row in await prices_at(pool, NEW_YEAR)}
    for card in shipped().cards:
        if card.retired(date(2026, 11, 22)):
            continue
        kinds = ["input", "output"]
        kinds += ["cached_input"] if card.cache_minimum else []
        kinds += ["cache_write"] if card.bills_writes or card.provider == "anthropic" else []
        wanted = {f"{card.provider}.{card.id}.{kind}_tokens" for kind in kinds}
        assert wanted <= priced, wanted - priced


async def test_the_worked_example_of_a_two_minute_call_costs_what_it_should(pool: Pool) -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    meter = Meter(tuple(Rate(p.item, p.micro_usd, p.per) for p in await prices_at(pool, noon)))
    meter.book("twilio.voice_outbound.minutes", 2)
    meter.book("twilio.media_stream.minutes", 2)
    meter.book("twilio.amd.calls", 1)
    meter.book("elevenlabs.stt.scribe_v2_realtime.milliseconds", 120_000)
    meter.book("elevenlabs.tts.eleven_flash_v2_5.characters", 640)
    for _ in range(10):
        meter.book("openai.gpt-4o-mini.input_tokens", 500)
        meter.book("openai.gpt-4o-mini.cached_input_tokens", 2_000)
        meter.book("openai.gpt-4o-mini.output_tokens", 60)
    assert meter.micro_usd == 28_000 + 8_800 + 7_500 + 13_000 + 32_000 + 750 + 1_500 + 360


async def test_history_in_memory_says_what_the_database_says(pool: Pool) -> None:
    await set_price(pool, PriceRow(ITEM, 5_000, 1, NEW_YEAR))
    history = await price_history(pool)
    for days in (-9_999, -60, -30, -1, 0, 1, 400):
        at = NEW_YEAR + timedelta(days=days)
        assert in_force(history, at) == await prices_at(pool, at)
    assert [row.micro_usd for row in await price_history(pool, ITEM)] == [4_400, 5_000]


WRONG = [
    ({"item": "SMS"}, "item"),
    ({"item": "sms"}, "item"),
    ({"item": "twilio..segments"}, "item"),
    ({"item": "twilio.sms segments"}, "item"),
    ({"item": "x." + "y" * 120}, "item"),
    ({"micro_usd": -1}, "micro_usd"),
    ({"micro_usd": 10**13}, "micro_usd"),
    ({"per": 0}, "per"),
    ({"per": -5}, "per"),
    ({"per": 10**13}, "per"),
    ({"effective_from": datetime(2027, 1, 1)}, "effective_from"),  # noqa: DTZ001
]


@pytest.mark.parametrize(("change", "field"), WRONG)
async def test_a_price_that_makes_no_sense_is_refused_by_its_field(
    pool: Pool, change: dict[str, Any], field: str
) -> None:
    price = msgspec.structs.replace(PriceRow(ITEM, 1, 1, NEW_YEAR), **change)
    before = await price_history(pool)
    with pytest.raises(PriceRejected, match=f"^{field}: "):
        await set_price(pool, price)
    assert await price_history(pool) == before


async def test_what_was_used_without_a_price_is_found(pool: Pool) -> None:
    await add_tenants(pool)
    began = datetime.fromtimestamp(START / 1000, UTC)
    rows = [
        cost(1, 0, item="openai.gpt-99.output_tokens"),
        cost(2, 0, item="openai.gpt-6-luna.estimated_replies"),
        cost(3, 4_400, item=ITEM),
        cost(4, 0, item="local.llm.turns"),
    ]
    await PostgresCallStore(pool).write([begun(), *rows])
    assert await unpriced_items(pool, began) == ("openai.gpt-99.output_tokens",)
    assert await unpriced_items(pool, began + timedelta(days=1)) == ()
    await set_price(pool, PriceRow("openai.gpt-99.output_tokens", 1, 1, began))
    assert await unpriced_items(pool, began) == ()
