"""What the database must say about the calls of a soak."""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg
import msgspec

_TERMINAL = ("completed", "failed", "cancelled")


class Ledger(msgspec.Struct, frozen=True):
    """Sums over all calls of a database that held none before."""

    sessions: frozenset[str]
    open_calls: int  # without a terminal status, an outcome or the time of their end
    statuses: dict[str, int]
    outcomes: dict[str, int]
    counted_once: int  # calls that the usage has counted as exactly one
    calls_made: int  # as the usage counts them
    booked_micro_usd: int
    counted_micro_usd: int
    orders: int


async def read(database_url: str) -> Ledger:
    """Read the books as the owner of the database."""
    connection = await asyncpg.connect(database_url)
    try:
        sessions = await connection.fetch(
            "SELECT id, status, completed_at, metadata ->> 'outcome' AS outcome FROM call_sessions"
        )
        sums = await connection.fetchrow(
            """
            SELECT
                (SELECT count(*) FROM call_usage WHERE calls_made = 1) AS counted_once,
                (SELECT coalesce(sum(calls_made), 0) FROM usage_metrics) AS calls_made,
                (SELECT coalesce(sum(micro_usd), 0) FROM call_costs) AS booked,
                (SELECT coalesce(sum(total_cost_micro_usd), 0) FROM usage_metrics) AS counted,
                (SELECT count(*) FROM orders) AS orders
            """
        )
    finally:
        await connection.close()
    return Ledger(
        sessions=frozenset(row["id"] for row in sessions),
        open_calls=sum(
            row["status"] not in _TERMINAL or not row["outcome"] or row["completed_at"] is None
            for row in sessions
        ),
        statuses=_tally(row["status"] for row in sessions),
        outcomes=_tally(row["outcome"] or "none" for row in sessions),
        counted_once=sums["counted_once"],
        calls_made=int(sums["calls_made"]),
        booked_micro_usd=int(sums["booked"]),
        counted_micro_usd=int(sums["counted"]),
        orders=sums["orders"],
    )


def _tally(words: Iterable[str]) -> dict[str, int]:
    tally: dict[str, int] = {}
    for word in words:
        tally[word] = tally.get(word, 0) + 1
    return dict(sorted(tally.items()))
