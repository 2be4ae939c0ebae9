"""Both sides of the account: our rows, and the providers' meters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction

import asyncpg
import msgspec

SPEECH = "elevenlabs"
CARRIER = "twilio"
BILLED = (SPEECH, CARRIER, "openai", "anthropic", "google", "grok", "serpapi")  # by somebody else
DOUBTS = ".estimated_replies"  # replies whose usage nobody told; has no price, is on no bill


class Ledger(msgspec.Struct):
    """What Postgres says of all calls. Items are those of the providers."""

    quantities: dict[str, Counter[str]]  # by caller's number, by item
    booked: dict[str, dict[str, int]]  # the same in micro-dollars
    rates: dict[str, tuple[int, int]]  # micro-dollars for so many units, by item
    sessions: int
    session_micro_usd: int  # the sum of what the sessions tell
    usage_micro_usd: int  # the sum of what the days tell
    all_micro_usd: int  # every row of every call, the carrier's too
    doubts: int

    @property
    def totals(self) -> Counter[str]:
        """Quantities by item, over all calls."""
        return sum(self.quantities.values(), Counter())

    def rate(self, item: str) -> Fraction:
        """Micro-dollars for one unit, exactly."""
        micro_usd, per = self.rates.get(item, (0, 1))
        return Fraction(micro_usd, per)

    def worth(self, quantities: Mapping[str, int]) -> dict[str, int]:
        """What so much costs within one call: each item rounded up to a micro-dollar."""
        return {
            item: -(-count * self.rate(item).numerator // self.rate(item).denominator)
            for item, count in quantities.items()
        }


async def read(database_url: str) -> Ledger:
    """Read the books as the owner of the database."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            """
            SELECT coalesce(session.from_number, '') AS caller, cost.item,
                sum(cost.quantity)::bigint AS quantity, sum(cost.micro_usd)::bigint AS micro_usd
            FROM call_costs AS cost JOIN call_sessions AS session ON session.id = cost.call_id
            GROUP BY session.id, session.from_number, cost.item
            """
        )
        prices = await connection.fetch(
            """
            SELECT DISTINCT ON (item) item, micro_usd, per FROM prices
            WHERE effective_from <= now() ORDER BY item, effective_from DESC
            """
        )
        sums = await connection.fetchrow(
            """
            SELECT
                (SELECT count(*) FROM call_sessions) AS sessions,
                (SELECT coalesce(sum((metadata ->> 'cost_micro_usd')::bigint), 0)
                    FROM call_sessions) AS told,
                (SELECT coalesce(sum(total_cost_micro_usd), 0) FROM usage_metrics) AS counted,
                (SELECT coalesce(sum(micro_usd), 0) FROM call_costs) AS booked
            """
        )
    finally:
        await connection.close()
    return _ledger(rows, prices, sums)


def _ledger(
    rows: Iterable[asyncpg.Record], prices: Iterable[asyncpg.Record], sums: asyncpg.Record
) -> Ledger:
    ledger = Ledger(
        quantities={},
        booked={},
        rates={row["item"]: (row["micro_usd"], row["per"]) for row in prices},
        sessions=sums["sessions"],
        session_micro_usd=int(sums["told"]),
        usage_micro_usd=int(sums["counted"]),
        all_micro_usd=int(sums["booked"]),
        doubts=0,
    )
    for row in rows:
        if row["item"].endswith(DOUBTS):
            ledger.doubts += row["quantity"]
        elif row["item"].split(".")[0] in BILLED:
            ledger.quantities.setdefault(row["caller"], Counter())[row["item"]] = row["quantity"]
            ledger.booked.setdefault(row["caller"], {})[row["item"]] = row["micro_usd"]
    return ledger
