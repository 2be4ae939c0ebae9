"""Keeps what a provider says a call cost, when it says so after the call."""

from __future__ import annotations

from db import usage
from db.pool import Connection, Pool

VOICE_INBOUND = "twilio.voice_inbound.minutes"
VOICE_OUTBOUND = "twilio.voice_outbound.minutes"


async def tell_cost(pool: Pool, call_id: str, item: str, micro_usd: int) -> bool:
    """Replace the estimate of an item of a call; False for a call that is not stored.

    `micro_usd` (>= 0) is for all of the item in this call. May be told again, also corrected;
    the costs of the call and of its day follow. Raises `StoreUnavailable`.
    """
    async with pool.server() as connection:
        return await record(connection, call_id, item, micro_usd)


async def record(connection: Connection, call_id: str, item: str, micro_usd: int) -> bool:
    """`tell_cost` inside the caller's transaction."""
    known = await connection.fetchval(
        "SELECT true FROM call_sessions WHERE id = $1 FOR NO KEY UPDATE", call_id
    )
    if not known:
        return False
    await connection.execute(
        """
        INSERT INTO call_actual_costs (call_id, item, micro_usd) VALUES ($1, $2, $3)
        ON CONFLICT (call_id, item) DO UPDATE SET
            micro_usd = excluded.micro_usd, told_at = now()
        """,
        call_id,
        item,
        micro_usd,
    )
    await usage.settle(connection, [call_id])
    return True
