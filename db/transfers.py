"""Keeps callers who are being put through, so that any process can go on with one.

An attempt is `ringing` until a human has `taken` the call, nobody has (`missed`) or the caller is
`gone`; the first of these stands. Whatever is `due` is seen to by whoever comes first.
"""

from __future__ import annotations

import msgspec

from db import dial_rows, usage
from db.pool import Pool


class TransferRow(msgspec.Struct, frozen=True):
    """The newest attempt to put the caller of a call through."""

    call_id: str
    attempt: int  # from 1
    carrier_call_id: str  # the caller's leg
    direction: str  # "inbound" or "outbound"
    held_since_ms: int | None = None  # when the caller was put on hold; None: it is blind
    whisper: str = ""
    human_id: str = ""  # the human's leg, "" while unknown
    state: str = "ringing"
    booked_ms: int | None = None  # of the caller's line; None: whoever has the call books it
    ended_s: int | None = None  # how long that lasted, once it is over

    @property
    def warm(self) -> bool:
        """Whether a human is asked first, while the caller is on hold."""
        return self.held_since_ms is not None


_COLUMNS = """
    call_id, attempt, carrier_call_id, direction, held_since_ms, whisper, human_id, state,
    booked_ms, ended_s
"""


class PostgresTransfers:
    """The attempts in Postgres. Every method raises `StoreUnavailable` and may be repeated."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(self, row: TransferRow, *, due_s: float) -> None:
        """Note an attempt, in the place of an earlier one; of a call that is stored."""
        async with self._pool.server() as connection:
            await connection.execute(
                """
                INSERT INTO call_transfers AS transfer (
                    call_id, attempt, carrier_call_id, direction, held_since_ms, whisper, due_at
                )
                SELECT id, $2, $3, $4, $5, $6, now() + $7 * interval '1 s'
                FROM call_sessions WHERE id = $1
                ON CONFLICT (call_id) DO UPDATE SET
                    attempt = excluded.attempt, held_since_ms = excluded.held_since_ms,
                    whisper = excluded.whisper, human_id = '', state = 'ringing',
                    due_at = excluded.due_at
                WHERE excluded.attempt > transfer.attempt
                """,
                row.call_id,
                row.attempt,
                row.carrier_call_id,
                row.direction,
                row.held_since_ms,
                row.whisper,
                due_s,
            )

    async def rung(self, call_id: str, attempt: int, human_id: str) -> None:
        """The human's leg is known."""
        async with self._pool.server() as connection:
            await connection.execute(
                "UPDATE call_transfers SET human_id = $3 WHERE call_id = $1 AND attempt = $2",
                call_id,
                attempt,
                human_id,
            )

    async def get(self, call_id: str) -> TransferRow | None:
        """The newest attempt of a call."""
        async with self._pool.server() as connection:
            row = await connection.fetchrow(
                f"SELECT {_COLUMNS} FROM call_transfers WHERE call_id = $1", call_id
            )
        return None if row is None else TransferRow(**row)

    async def move(self, call_id: str, attempt: int, state: str, *, due_s: float) -> str | None:
        """Let a ringing attempt become `state`, to be seen to in `due_s`; not a settled one.

        Returns the state that stands, None when the call has no such attempt.
        """
        async with self._pool.server() as connection:
            await connection.execute(
                """
                UPDATE call_transfers SET state = $3, due_at = now() + $4 * interval '1 s'
                WHERE call_id = $1 AND attempt = $2 AND state IN ('ringing', $3)
                    AND due_at IS NOT NULL
                """,
                call_id,
                attempt,
                state,
                due_s,
            )
            standing: str | None = await connection.fetchval(
                "SELECT state FROM call_transfers WHERE call_id = $1 AND attempt = $2",
                call_id,
                attempt,
            )
        return standing

    async def over(self, carrier_call_id: str, ended_s: int, *, due_s: float) -> TransferRow | None:
        """The caller's leg is over; an attempt that still rings has lost them."""
        async with self._pool.server() as connection:
            row = await connection.fetchrow(
                f"""
                UPDATE call_transfers SET
                    ended_s = $2,
                    state = CASE WHEN state = 'ringing' THEN 'gone' ELSE state END,
                    due_at = CASE WHEN due_at IS NOT NULL
                        THEN least(due_at, now() + $3 * interval '1 s') END
                WHERE carrier_call_id = $1 RETURNING {_COLUMNS}
                """,
                carrier_call_id,
                ended_s,
                due_s,
            )
        return None if row is None else TransferRow(**row)

    async def settle(self, call_id: str, attempt: int) -> None:
        """Nothing is left to see to."""
        async with self._pool.server() as connection:
            await connection.execute(
                "UPDATE call_transfers SET due_at = NULL, whisper = '' "
                "WHERE call_id = $1 AND attempt = $2",
                call_id,
                attempt,
            )

    async def book(self, call_id: str, booked_ms: int) -> None:
        """So much of the caller's line is booked; the rest is for whoever hears of its end."""
        async with self._pool.server() as connection:
            await connection.execute(
                "UPDATE call_transfers SET booked_ms = $2 WHERE call_id = $1", call_id, booked_ms
            )

    async def claim_due(self, *, claim_s: float, limit: int) -> tuple[TransferRow, ...]:
        """Attempts that must be seen to; others do not get them for `claim_s`."""
        async with self._pool.server() as connection:
            rows = await connection.fetch(
                f"""
                UPDATE call_transfers SET due_at = now() + $1 * interval '1 s' WHERE call_id IN (
                    SELECT call_id FROM call_transfers WHERE due_at <= now()
                    ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
                ) RETURNING {_COLUMNS}
                """,
                claim_s,
                limit,
            )
        return tuple(TransferRow(**row) for row in rows)

    async def close(self, call_id: str, *, status: str, outcome: str, reason: str) -> bool:
        """Give a call its last row in the place of the process that had it; False if it has one.

        Then only the word of a transfer is put right.
        """
        async with self._pool.server() as connection:
            orphan = await connection.fetchval(_IS_OPEN, call_id)
            ended = await connection.fetchval(_CLOSE, call_id, status, outcome, reason)
            if ended:
                await usage.open_account(connection, call_id)
                await dial_rows.settle(connection, call_id)
                await usage.settle(connection, [call_id])
            if orphan:
                await connection.execute(
                    "UPDATE call_transfers SET booked_ms = coalesce(booked_ms, 0) "
                    "WHERE call_id = $1",
                    call_id,
                )
        return bool(orphan)


# A call that has its last row is counted in `call_usage`.
_IS_OPEN = """
    SELECT NOT EXISTS (SELECT FROM call_usage WHERE call_id = $1)
    FROM call_sessions WHERE id = $1 FOR NO KEY UPDATE
"""

# An order that stands outranks everything but a transfer, as in the call itself.
_CLOSE = """
    WITH standing AS (
        SELECT $3 <> 'handed_over' AND EXISTS (
            SELECT FROM orders WHERE call_session_id = $1 AND status <> 'cancelled'
        ) AS booked
    )
    UPDATE call_sessions AS session SET
        status = CASE WHEN booked THEN 'completed' ELSE $2 END,
        completed_at = coalesce(completed_at, now()),
        duration_ms = CASE WHEN duration_ms > 0 THEN duration_ms
            ELSE coalesce(
                least(extract(epoch FROM now() - answered_at) * 1000, 2147483647)::integer, 0
            ) END,
        metadata = coalesce(metadata, '{}') || jsonb_build_object(
            'outcome', CASE WHEN booked THEN 'booked' ELSE $3 END, 'reason', $4::text
        )
    FROM standing
    WHERE id = $1 AND (
        NOT EXISTS (SELECT FROM call_usage WHERE call_id = $1)
        OR ($3 <> 'handed_over' AND metadata ->> 'outcome' = 'handed_over')
    ) RETURNING true
"""
