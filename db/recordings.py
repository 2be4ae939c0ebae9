"""Keeps what is known of the carrier's recordings; the audio itself lies in the data folder."""

from __future__ import annotations

import msgspec

from db.pool import Pool


class RecordingRow(msgspec.Struct, frozen=True):
    """One recording of a call; `path` is relative to the data directory, "" without audio."""

    recording_id: str  # the carrier's
    call_id: str
    status: str  # completed, absent (nothing was recorded) or failed (could not be fetched)
    channels: int = 0
    duration_ms: int = 0
    path: str = ""
    bytes: int = 0
    sha256: str = ""


class PostgresRecordings:
    """The recordings of calls. Every method raises `StoreUnavailable`."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep(self, row: RecordingRow) -> bool:
        """Keep a recording, replacing what was known of it; False when the call is not stored."""
        async with self._pool.server() as connection:
            kept = await connection.fetchval(
                """
                INSERT INTO call_recordings
                    (id, call_id, user_id, status, channels, duration_ms, path, bytes, sha256)
                SELECT $1, id, user_id, $3, $4, $5, $6, $7, $8 FROM call_sessions WHERE id = $2
                ON CONFLICT (id) DO UPDATE SET
                    status = excluded.status, channels = excluded.channels,
                    duration_ms = excluded.duration_ms, path = excluded.path,
                    bytes = excluded.bytes, sha256 = excluded.sha256
                WHERE call_recordings.call_id = excluded.call_id
                RETURNING true
                """,
                *msgspec.structs.astuple(row),
            )
        return bool(kept)

    async def missing(self, limit: int) -> tuple[RecordingRow, ...]:
        """Recordings of the last two days whose audio could not be fetched, oldest first."""
        async with self._pool.server() as connection:
            rows = await connection.fetch(
                """
                SELECT id, call_id, status, channels, duration_ms, path, bytes, sha256
                FROM call_recordings
                WHERE status = 'failed' AND created_at > now() - interval '2 days'
                ORDER BY created_at, id LIMIT $1
                """,
                limit,
            )
        return tuple(RecordingRow(*row) for row in rows)

    async def of_call(self, call_id: str) -> tuple[RecordingRow, ...]:
        """The recordings of one call, oldest first."""
        async with self._pool.server() as connection:
            rows = await connection.fetch(
                """
                SELECT id, call_id, status, channels, duration_ms, path, bytes, sha256
                FROM call_recordings WHERE call_id = $1 ORDER BY created_at, id
                """,
                call_id,
            )
        return tuple(RecordingRow(*row) for row in rows)
