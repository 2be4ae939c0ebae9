"""Reads calls back."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from db.pool import Pool

_MAX_PAGE = 500


class CallRecord(msgspec.Struct, frozen=True):
    """A call as stored; the configurations are JSON texts, empty texts stand for NULL."""

    call_id: str
    user_id: str
    agent_id: str
    campaign_id: str
    carrier_call_id: str
    from_number: str
    to_number: str
    status: str
    duration_ms: int
    cost_usd: Decimal
    created_at: datetime
    answered_at: datetime | None
    completed_at: datetime | None
    metadata: str
    conversation_data: str


class DetectionRecord(msgspec.Struct, frozen=True):
    """A stored assessment; lists are JSON texts."""

    risk_score: Decimal
    severity: str
    confidence: Decimal
    patterns: str
    predictions: str
    keywords: tuple[str, ...]
    behaviour: str
    segments: str
    model_version: str
    processing_time_ms: int
    created_at: datetime


_COLUMNS = """
    id, user_id, agent_id, campaign_id, twilio_call_id, from_number, to_number, status,
    duration_ms, cost_usd, created_at, answered_at, completed_at, metadata, conversation_data
"""


class PostgresCallRecords:
    """The stored calls of tenants."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def call(self, call_id: str) -> CallRecord | None:
        """One call, whoever owns it: for the server's own use."""
        async with self._pool.server() as connection:
            row = await connection.fetchrow(
                f"SELECT {_COLUMNS} FROM call_sessions WHERE id = $1", call_id
            )
        return None if row is None else _call(row)

    async def call_of(self, user_id: str, call_id: str) -> CallRecord | None:
        """One call, if it is this tenant's."""
        async with self._pool.server() as connection:
            row = await connection.fetchrow(
                f"SELECT {_COLUMNS} FROM call_sessions WHERE id = $1 AND user_id = $2",
                call_id,
                user_id,
            )
        return None if row is None else _call(row)

    async def calls_of(
        self, user_id: str, *, limit: int = 50, before: datetime | None = None
    ) -> tuple[CallRecord, ...]:
        """A tenant's calls, newest first; `before` the `created_at` of the last one seen."""
        async with self._pool.server() as connection:
            rows = await connection.fetch(
                f"""
                SELECT {_COLUMNS} FROM call_sessions
                WHERE user_id = $1 AND created_at < coalesce($2, 'infinity'::timestamptz)
                ORDER BY created_at DESC, id DESC LIMIT $3
                """,
                user_id,
                before,
                min(limit, _MAX_PAGE),
            )
        return tuple(_call(row) for row in rows)

    async def by_carrier_id(self, carrier_call_id: str) -> CallRecord | None:
        """The newest call the carrier knows by this id."""
        async with self._pool.server() as connection:
            row = await connection.fetchrow(
                f"""
                SELECT {_COLUMNS} FROM call_sessions WHERE twilio_call_id = $1
                ORDER BY created_at DESC LIMIT 1
                """,
                carrier_call_id,
            )
        return None if row is None else _call(row)

    async def detections(self, call_id: str) -> tuple[DetectionRecord, ...]:
        """What the scam shield said about a call, in the order of time."""
        async with self._pool.server() as connection:
            rows = await connection.fetch(
                """
                SELECT risk_score, severity_level, confidence_score, patterns_detected,
                    ml_predictions, suspicious_keywords, behavioral_indicators,
                    transcript_segments, model_version, processing_time_ms, created_at
                FROM scam_detections WHERE call_session_id = $1 ORDER BY created_at, id
                """,
                call_id,
            )
        return tuple(_detection(row) for row in rows)

    async def cost_micro_usd(self, call_id: str) -> dict[str, int]:
        """What a call cost so far, by item, in micro-dollars."""
        async with self._pool.server() as connection:
            rows = await connection.fetch(
                """
                SELECT item, sum(micro_usd)::bigint AS micro_usd FROM call_costs
                WHERE call_id = $1 GROUP BY item ORDER BY item
                """,
                call_id,
            )
        return {row["item"]: row["micro_usd"] for row in rows}


def _call(row: Any) -> CallRecord:
    return CallRecord(
        call_id=row["id"],
        user_id=str(row["user_id"] or ""),
        agent_id=row["agent_id"] or "",
        campaign_id=row["campaign_id"] or "",
        carrier_call_id=row["twilio_call_id"] or "",
        from_number=row["from_number"],
        to_number=row["to_number"],
        status=row["status"],
        duration_ms=row["duration_ms"],
        cost_usd=row["cost_usd"],
        created_at=row["created_at"],
        answered_at=row["answered_at"],
        completed_at=row["completed_at"],
        metadata=row["metadata"],
        conversation_data=row["conversation_data"],
    )


def _detection(row: Any) -> DetectionRecord:
    return DetectionRecord(
        risk_score=row["risk_score"],
        severity=row["severity_level"],
        confidence=row["confidence_score"],
        patterns=row["patterns_detected"],
        predictions=row["ml_predictions"],
        keywords=tuple(row["suspicious_keywords"] or ()),
        behaviour=row["behavioral_indicators"],
        segments=row["transcript_segments"],
        model_version=row["model_version"] or "",
        processing_time_ms=row["processing_time_ms"] or 0,
        created_at=row["created_at"],
    )
