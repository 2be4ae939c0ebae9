"""What the rows of a call say about the intent to place it; runs inside the writer's transaction.

Calls that came in have no intent: for them these statements change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from db.pool import Connection


async def follow(connection: Connection, rows: Sequence[tuple[str, str, str, datetime]]) -> None:
    """Move intents on with the status of their calls: call id, status, raw word, instant."""
    await connection.executemany(
        """
        UPDATE dial_intents SET
            status = $2,
            raw_status = $3,
            state = CASE WHEN private.status_rank($2::text) >= 3 THEN 'finished' ELSE state END,
            finished_at = CASE
                WHEN private.status_rank($2::text) >= 3 THEN $4::timestamptz END,
            settled_at = CASE
                WHEN private.status_rank($2::text) >= 3
                AND EXISTS (SELECT FROM call_usage WHERE call_id = $1) THEN now() END
        WHERE id = $1 AND state <> 'finished'
            AND private.status_rank($2::text) > private.status_rank(status)
        """,
        rows,
    )


async def settle(connection: Connection, call_id: str) -> None:
    """The call has its last row; with the carrier's last word the intent is settled."""
    await connection.execute(
        "UPDATE dial_intents SET settled_at = now() "
        "WHERE id = $1 AND state = 'finished' AND settled_at IS NULL",
        call_id,
    )


async def record_answers(
    connection: Connection, rows: Sequence[tuple[str, str, int, datetime]]
) -> None:
    """Keep who answered: call id, the carrier's word, how long it listened in ms, instant."""
    await connection.executemany(
        """
        INSERT INTO call_events (call_id, sequence, kind, at, data)
        VALUES (
            $1, extract(epoch FROM $4::timestamptz)::bigint, 'answered_by', $4,
            jsonb_build_object('by', $2::text, 'took_ms', $3::int)
        ) ON CONFLICT DO NOTHING
        """,
        rows,
    )
    await connection.executemany(
        "UPDATE dial_intents SET answered_by = $2, answered_by_ms = $3 WHERE id = $1",
        [row[:3] for row in rows],
    )
