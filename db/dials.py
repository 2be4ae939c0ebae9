"""Keeps the calls we mean to place, so that none is placed twice and none is forgotten.

An intent moves `intended` -> `requested` -> `placed` -> `finished`; between `requested` and
`placed` it may be `indeterminate`: the request went out and nobody knows what became of it.
Whoever takes the step to `requested` may send one request; a second one never may.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from db import actual_costs, usage
from db.actual_costs import VOICE_OUTBOUND
from db.errors import AlreadyDialling, RowRejected
from db.pool import Connection, Pool

_ONE_OPEN = "dial_intents_one_open"


class NewDial(msgspec.Struct, frozen=True):
    """A call to be placed; `call_id` is our own id, and the guard against placing it twice."""

    call_id: str
    user_id: str
    agent_id: str
    to_number: str  # E.164, never logged
    from_number: str
    campaign_id: str = ""


class DialRow(msgspec.Struct, frozen=True):
    """How the intent to place a call stands."""

    call_id: str
    user_id: str
    agent_id: str
    to_number: str
    from_number: str
    state: str  # intended, requested, placed, indeterminate, finished
    status: str  # of `call_sessions`
    raw_status: str  # the carrier's word, or ours where the carrier never heard of the call
    carrier_call_id: str  # "" while unknown
    answered_by: str
    price_micro_usd: int | None
    created_at: datetime
    requested_at: datetime | None
    finished_at: datetime | None
    requested_s_ago: float  # by the database's clock; 0 before

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state == "finished"


_COLUMNS = """
    id, user_id, agent_id, to_number, from_number, state, status, raw_status, carrier_call_id,
    answered_by, price_micro_usd, created_at, requested_at, finished_at,
    coalesce(extract(epoch FROM now() - requested_at), 0)::float8 AS requested_s_ago
"""


class PostgresDials:
    """The intents in Postgres. Every method raises `StoreUnavailable` and may be repeated."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def intend(self, dial: NewDial) -> DialRow:
        """Commit an intent and its call session; an intent that exists is returned as it stands.

        Raises `AlreadyDialling` when another call between the two numbers is not over, and
        `RowRejected` for a foreign agent, a number that is none or an id in use elsewhere.
        """
        try:
            async with self._pool.server() as connection:
                await connection.execute(_BEGIN, *_arguments(dial))
                await connection.execute(_INTEND, *_arguments(dial)[:5])
                row = await _fetch(connection, dial.call_id)
        except asyncpg.UniqueViolationError as error:
            if getattr(error, "constraint_name", "") == _ONE_OPEN:
                raise AlreadyDialling("a call between these two numbers is not over yet") from None
            raise
        except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
            reason = f"violates {getattr(error, 'constraint_name', None) or error.sqlstate}"
            raise RowRejected("NewDial", dial.call_id, reason=reason) from None
        if row is None or (row.user_id, row.to_number) != (dial.user_id, dial.to_number):
            raise RowRejected("NewDial", dial.call_id, reason="the id is used by another call")
        return row

    async def get(self, call_id: str) -> DialRow | None:
        """One intent, None for a call that we did not place."""
        async with self._pool.server() as connection:
            return await _fetch(connection, call_id)

    async def request(self, call_id: str) -> bool:
        """Take the right to send the one request; False when it was taken before."""
        async with self._pool.server() as connection:
            taken = await connection.fetchval(
                "UPDATE dial_intents SET state = 'requested', requested_at = now(), "
                "checked_at = now() WHERE id = $1 AND state = 'intended' RETURNING true",
                call_id,
            )
        return bool(taken)

    async def doubt(self, call_id: str) -> None:
        """The request went out and its answer did not come."""
        async with self._pool.server() as connection:
            await connection.execute(
                "UPDATE dial_intents SET state = 'indeterminate' "
                "WHERE id = $1 AND state = 'requested'",
                call_id,
            )

    async def place(self, call_id: str, carrier_call_id: str) -> DialRow | None:
        """Bind the carrier's id to the intent. None when it is bound to another, or unknown.

        Told by the carrier's reply, by its webhooks or by a lookup, whichever is first.
        """
        async with self._pool.server() as connection:
            await connection.execute(
                "UPDATE call_sessions SET twilio_call_id = coalesce(twilio_call_id, $2) "
                "WHERE id = $1 AND EXISTS (SELECT FROM dial_intents WHERE id = $1)",
                call_id,
                carrier_call_id,
            )
            await connection.execute(
                """
                UPDATE dial_intents SET
                    carrier_call_id = $2, placed_at = coalesce(placed_at, now()),
                    state = CASE WHEN state = 'finished' THEN state ELSE 'placed' END
                WHERE id = $1 AND carrier_call_id IS NULL
                    AND NOT EXISTS (SELECT FROM dial_intents WHERE carrier_call_id = $2)
                """,
                call_id,
                carrier_call_id,
            )
            row = await _fetch(connection, call_id)
        return row if row is not None and row.carrier_call_id == carrier_call_id else None

    async def finish(
        self, call_id: str, status: str, raw_status: str, *, duration_ms: int = 0
    ) -> None:
        """Note how the call ended and close its session; the first end that is told stands."""
        async with self._pool.server() as connection:
            await connection.execute(_LOCK_SESSION, call_id)
            await connection.execute(
                """
                UPDATE dial_intents SET
                    state = 'finished', status = $2, raw_status = $3, finished_at = now()
                WHERE id = $1 AND state <> 'finished'
                """,
                call_id,
                status,
                raw_status,
            )
            await _settle(connection, call_id, duration_ms)

    async def withdraw(self, call_id: str) -> bool:
        """Give up an intent that nobody has requested; False when it is too late for that."""
        async with self._pool.server() as connection:
            await connection.execute(_LOCK_SESSION, call_id)
            gone = await connection.fetchval(
                """
                UPDATE dial_intents SET
                    state = 'finished', status = 'cancelled', raw_status = 'never-requested',
                    finished_at = now()
                WHERE id = $1 AND state = 'intended' RETURNING true
                """,
                call_id,
            )
            if gone:
                await _settle(connection, call_id, 0)
        return bool(gone)

    async def claim_unsettled(
        self, *, unchecked_s: float, placed_s: float, limit: int
    ) -> tuple[DialRow, ...]:
        """Intents without their last word that nobody has checked for so long.

        Of a call that was placed its callbacks tell, so it is left alone for `placed_s`. The
        caller has the rows to itself for as long: others do not get them meanwhile.
        """
        where = (
            "settled_at IS NULL AND (state NOT IN ('placed', 'finished') "
            "OR checked_at <= now() - $3 * interval '1 s')"
        )
        return await self._claim(where, unchecked_s, limit, placed_s)

    async def claim_unpriced(self, *, unchecked_s: float, limit: int) -> tuple[DialRow, ...]:
        """Ended calls of the last two days whose price the carrier has not told."""
        where = (
            "settled_at IS NOT NULL AND price_micro_usd IS NULL AND carrier_call_id IS NOT NULL "
            "AND finished_at > now() - interval '2 days'"
        )
        return await self._claim(where, unchecked_s, limit)

    async def price(self, call_id: str, micro_usd: int) -> None:
        """Keep what the carrier says the call cost, in the place of the estimate."""
        async with self._pool.server() as connection:
            # The lock on the session comes first, as in every writer of a call.
            await actual_costs.record(connection, call_id, VOICE_OUTBOUND, micro_usd)
            await connection.execute(
                "UPDATE dial_intents SET price_micro_usd = $2 WHERE id = $1", call_id, micro_usd
            )

    async def _claim(
        self, where: str, unchecked_s: float, limit: int, *more: float
    ) -> tuple[DialRow, ...]:
        async with self._pool.server() as connection:
            rows = await connection.fetch(
                f"""
                UPDATE dial_intents SET checked_at = now() WHERE id IN (
                    SELECT id FROM dial_intents
                    WHERE {where} AND checked_at <= now() - $1 * interval '1 s'
                    ORDER BY checked_at LIMIT $2 FOR UPDATE SKIP LOCKED
                ) RETURNING {_COLUMNS}
                """,
                unchecked_s,
                limit,
                *more,
            )
        return tuple(_dial(row) for row in rows)


_LOCK_SESSION = "SELECT FROM call_sessions WHERE id = $1 FOR NO KEY UPDATE"

_BEGIN = """
    INSERT INTO call_sessions (
        id, user_id, agent_id, from_number, to_number, campaign_id, status, metadata
    ) VALUES (
        $1, $2, $3, $5, $4, nullif($6, ''), 'initiated',
        jsonb_build_object('direction', 'outbound')
    ) ON CONFLICT (id) DO NOTHING
"""

_INTEND = """
    INSERT INTO dial_intents (id, user_id, agent_id, to_number, from_number)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING
"""


def _arguments(dial: NewDial) -> tuple[str, ...]:
    return (
        dial.call_id,
        dial.user_id,
        dial.agent_id,
        dial.to_number,
        dial.from_number,
        dial.campaign_id,
    )


async def _fetch(connection: Connection, call_id: str) -> DialRow | None:
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM dial_intents WHERE id = $1", call_id)
    return None if row is None else _dial(row)


async def _settle(connection: Connection, call_id: str, duration_ms: int) -> None:
    """Give a finished intent's session its last row, unless the call itself wrote one."""
    counted = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM call_usage WHERE call_id = $1)", call_id
    )
    if not counted:
        await connection.execute(
            """
            UPDATE call_sessions AS session SET
                status = dial.status,
                completed_at = coalesce(session.completed_at, dial.finished_at),
                duration_ms = greatest(coalesce(session.duration_ms, 0), $2),
                metadata = coalesce(session.metadata, '{}') || jsonb_build_object(
                    'raw_status', dial.raw_status,
                    'outcome', CASE dial.status WHEN 'cancelled' THEN 'abandoned' ELSE 'failed' END,
                    'reason', CASE dial.carrier_call_id
                        WHEN dial.carrier_call_id THEN 'carrier_ended' ELSE 'part_failed' END
                )
            FROM dial_intents AS dial
            WHERE session.id = $1 AND dial.id = $1 AND dial.state = 'finished'
            """,
            call_id,
            duration_ms,
        )
        await usage.open_account(connection, call_id)
        await usage.settle(connection, [call_id])
    await connection.execute(
        "UPDATE dial_intents SET settled_at = coalesce(settled_at, now()) "
        "WHERE id = $1 AND state = 'finished'",
        call_id,
    )


def _dial(row: Any) -> DialRow:
    return DialRow(
        call_id=row["id"],
        user_id=str(row["user_id"]),
        agent_id=row["agent_id"] or "",
        to_number=row["to_number"],
        from_number=row["from_number"],
        state=row["state"],
        status=row["status"],
        raw_status=row["raw_status"],
        carrier_call_id=row["carrier_call_id"] or "",
        answered_by=row["answered_by"],
        price_micro_usd=row["price_micro_usd"],
        created_at=row["created_at"],
        requested_at=row["requested_at"],
        finished_at=row["finished_at"],
        requested_s_ago=row["requested_s_ago"],
    )
