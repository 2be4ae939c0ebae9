from __future__ import annotations

from datetime import UTC, datetime, timedelta

from db import Pool, PriceRow, prices_at, set_price

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
