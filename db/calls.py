"""Keeps calls: what the outbox hands over, written so that writing it again changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid5

import asyncpg

from db import dial_rows, usage
from db.errors import RowRejected
from db.pool import Connection, Pool
from db.rows import (
    AnswerDetected,
    CallRow,
    CostBooked,
    LineSaid,
    NewOrder,
    ScamDetected,
    SessionBegun,
    SessionEnded,
    StatusChanged,
    TurnMeasured,
)
from db.texts import as_json, clean, clean_json

# A detection has no natural key; its UUID is made of the call and the row's number.
_DETECTIONS = UUID("6d0cf1a8-5f0e-4d1c-9f0b-7f0a3c4b8e21")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTENT_CLASSES = ("22", "23")  # data exceptions, integrity constraint violations

_Row = TypeVar("_Row", bound=CallRow)


def instant(ms: int) -> datetime:
    """An instant from ms since the Unix epoch, exactly."""
    return _EPOCH + timedelta(milliseconds=ms)


class PostgresCallStore:
    """Writes the rows of calls in batches."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(self, rows: Sequence[CallRow]) -> None:
        """Write all rows or none; writing rows again changes nothing.

        A call's `SessionBegun` must be in this batch or an earlier one; beyond that the rows
        of a call may come in any order and any number of batches, even after its end.
        Raises `StoreUnavailable` when trying again can help. Raises `RowRejected` when there
        are rows that the database will never take: nothing was written; set the rows of
        `RowRejected.indexes` aside and write the others.
        """
        if not rows:
            return
        try:
            async with self._pool.server() as connection:
                await _write_kinds(connection, rows)
        except asyncpg.PostgresError as error:
            if not is_about_content(error):
                raise
        except RowRejected:
            pass
        else:
            return
        await self._write_singly(rows)

    async def _write_singly(self, rows: Sequence[CallRow]) -> None:
        """Write row by row to learn which ones are refused; raises `RowRejected` if any is.

        When none is (another writer was in the way), the batch is written by this.
        """
        refused: dict[int, str] = {}
        async with self._pool.server() as connection:
            for index in sorted(range(len(rows)), key=lambda at: _rank(rows[at])):
                reason = await _try_one(connection, rows[index])
                if reason is not None:
                    refused[index] = reason
            if refused:
                first = min(refused, key=lambda at: (_rank(rows[at]), at))
                raise RowRejected(
                    type(rows[first]).__name__,
                    rows[first].call_id,
                    reason=refused[first],
                    indexes=(first, *sorted(refused.keys() - {first})),
                )


async def _try_one(connection: Connection, row: CallRow) -> str | None:
    """Write one row inside a savepoint; returns why it is refused, None when it is in."""
    try:
        async with connection.transaction():
            await _write_kinds(connection, [row])
    except asyncpg.PostgresError as error:
        if not is_about_content(error):
            raise
        return reason_of(error)
    except RowRejected as error:
        return error.reason
    return None


def is_about_content(error: asyncpg.PostgresError) -> bool:
    """Was a row refused for what it says?"""
    return (error.sqlstate or "")[:2] in _CONTENT_CLASSES


def reason_of(error: asyncpg.PostgresError) -> str:
    """A stable word for a refusal, without the message, which may quote the row."""
    constraint = getattr(error, "constraint_name", None)
    return f"violates {constraint}" if constraint else f"SQLSTATE {error.sqlstate}"


def rejected(row: CallRow | NewOrder, reason: str) -> RowRejected:
    """The error that names a row by kind and call."""
    return RowRejected(type(row).__name__, row.call_id, reason=reason)


# The kinds in the order in which they depend on each other.
_ORDER: tuple[type, ...] = (
    SessionBegun,
    StatusChanged,
    LineSaid,
    TurnMeasured,
    CostBooked,
    ScamDetected,
    AnswerDetected,
    SessionEnded,
)


def _rank(row: CallRow) -> int:
    return _ORDER.index(type(row))


def _of(kind: type[_Row], rows: Sequence[CallRow]) -> list[_Row]:
    return sorted((row for row in rows if isinstance(row, kind)), key=lambda row: row.call_id)


async def _write_kinds(connection: Connection, rows: Sequence[CallRow]) -> None:
    for begun in _of(SessionBegun, rows):
        await _begin(connection, begun)
    await _lock(connection, sorted({row.call_id for row in rows}))
    await _change_statuses(connection, _of(StatusChanged, rows))
    await _append_lines(connection, _of(LineSaid, rows))
    await _append_turns(connection, _of(TurnMeasured, rows))
    await _book_costs(connection, _of(CostBooked, rows))
    await _record_detections(connection, _of(ScamDetected, rows))
    if answers := _of(AnswerDetected, rows):
        await dial_rows.record_answers(
            connection,
            [(a.call_id, clean(a.answered_by), a.took_ms, instant(a.at)) for a in answers],
        )
    for ended in _of(SessionEnded, rows):
        await _end(connection, ended)
    late = {row.call_id for row in rows if not isinstance(row, (SessionBegun, TurnMeasured))}
    await usage.settle(connection, sorted(late))


async def _lock(connection: Connection, call_ids: list[str]) -> None:
    """Let one writer at a time work on a call, so that its end folds every line.

    Sorted, so that two writers of several calls do not wait for each other.
    """
    await connection.execute(
        "SELECT FROM call_sessions WHERE id = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE",
        call_ids,
    )


async def _begin(connection: Connection, row: SessionBegun) -> None:
    written = await connection.fetchval(
        """
        INSERT INTO call_sessions AS session (
            id, user_id, agent_id, campaign_id, twilio_call_id, from_number, to_number, status,
            created_at, answered_at, metadata
        ) VALUES (
            $1, $2, $3, nullif($4, ''), nullif($5, ''), $6, $7, $8,
            $9, CASE WHEN $8::text = 'answered' THEN $9::timestamptz END,
            jsonb_build_object('direction', $10::text)
        )
        ON CONFLICT (id) DO UPDATE SET
            twilio_call_id = coalesce(session.twilio_call_id, excluded.twilio_call_id),
            answered_at = coalesce(session.answered_at, excluded.answered_at),
            metadata = excluded.metadata || coalesce(session.metadata, '{}'),
            status = CASE
                WHEN private.status_rank(excluded.status) > private.status_rank(session.status)
                THEN excluded.status ELSE session.status END
        WHERE session.user_id = excluded.user_id
        RETURNING 1
        """,
        row.call_id,
        row.user_id,
        row.agent_id,
        row.campaign_id,
        row.carrier_call_id,
        row.from_number,
        row.to_number,
        row.status,
        instant(row.at),
        row.direction,
    )
    if written is None:
        raise rejected(row, "call of another tenant")


async def _change_statuses(connection: Connection, rows: list[StatusChanged]) -> None:
    if not rows:
        return
    await connection.executemany(
        """
        INSERT INTO call_events (call_id, sequence, kind, at, data)
        VALUES ($1, $2, 'status.' || $3, $4, jsonb_build_object('status', $5::text))
        ON CONFLICT DO NOTHING
        """,
        [(row.call_id, row.at, clean(row.raw_status), instant(row.at), row.status) for row in rows],
    )
    # A status never moves back, so the order of arrival does not matter.
    await connection.executemany(
        """
        UPDATE call_sessions SET
            status = $2,
            answered_at = CASE
                WHEN $2::text = 'answered' THEN coalesce(answered_at, $4::timestamptz)
                ELSE answered_at END,
            completed_at = CASE
                WHEN private.status_rank($2::text) >= 3
                THEN coalesce(completed_at, $4::timestamptz) ELSE completed_at END,
            metadata = coalesce(metadata, '{}') || jsonb_build_object('raw_status', $3::text)
        WHERE id = $1 AND private.status_rank($2::text) > private.status_rank(status)
        """,
        [(row.call_id, row.status, clean(row.raw_status), instant(row.at)) for row in rows],
    )
    await dial_rows.follow(
        connection,
        [(row.call_id, row.status, clean(row.raw_status), instant(row.at)) for row in rows],
    )


_APPEND = """
    INSERT INTO call_events (call_id, sequence, kind, at, data)
    VALUES (
        $1, $2, $3,
        coalesce((SELECT created_at FROM call_sessions WHERE id = $1), now())
            + $4 * interval '1 millisecond',
        $5
    )
    ON CONFLICT DO NOTHING
"""


async def _append_lines(connection: Connection, rows: list[LineSaid]) -> None:
    if rows:
        await connection.executemany(
            _APPEND,
            [(row.call_id, row.sequence, "line", row.started_ms, _line(row)) for row in rows],
        )


def _line(row: LineSaid) -> str:
    return as_json(
        {
            "speaker": row.speaker,
            "text": clean(row.text),
            "unheard": clean(row.unheard),
            "started_ms": row.started_ms,
            "ended_ms": row.ended_ms,
        }
    )


async def _append_turns(connection: Connection, rows: list[TurnMeasured]) -> None:
    if rows:
        # A measurement does not say when it was made: it counts from the call's beginning.
        await connection.executemany(
            _APPEND, [(row.call_id, row.sequence, "turn", 0, _turn(row)) for row in rows]
        )


def _turn(row: TurnMeasured) -> str:
    return as_json(
        {
            "turn": row.turn,
            "transcript_ms": row.transcript_ms,
            "first_text_ms": row.first_text_ms,
            "first_audio_ms": row.first_audio_ms,
        }
    )


async def _book_costs(connection: Connection, rows: list[CostBooked]) -> None:
    if rows:
        await connection.executemany(
            """
            INSERT INTO call_costs (call_id, sequence, item, quantity, micro_usd, at)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT DO NOTHING
            """,
            [
                (row.call_id, row.sequence, row.item, row.quantity, row.micro_usd, instant(row.at))
                for row in rows
            ],
        )


async def _record_detections(connection: Connection, rows: list[ScamDetected]) -> None:
    if rows:
        await connection.executemany(
            """
            INSERT INTO scam_detections (
                id, conversation_id, user_id, call_session_id, risk_score, severity_level,
                patterns_detected, ml_predictions, suspicious_keywords, behavioral_indicators,
                transcript_segments, confidence_score, model_version, processing_time_ms,
                created_at
            ) VALUES (
                $1, $2, $3, $2, $4::float8::numeric, $5,
                $6, $7::jsonb || $8::jsonb, $9, $10, $11, $12::float8::numeric, $13, $14, $15
            )
            ON CONFLICT (id) DO NOTHING
            """,
            [_detection(row) for row in rows],
        )


def _detection(row: ScamDetected) -> tuple[Any, ...]:
    # risk_score keeps two digits; the fused view goes into the predictions unrounded.
    fused = {
        "model": "fusion",
        "label": "scam",
        "probability": row.risk,
        "confidence": row.confidence,
        "processing_us": row.processing_us,
        "final": row.final,
        "sequence": row.sequence,
    }
    return (
        uuid5(_DETECTIONS, f"{row.call_id}/{row.sequence}"),
        row.call_id,
        row.user_id,
        row.risk,
        row.severity,
        clean_json(row.patterns_json),
        clean_json(row.predictions_json),
        as_json([fused]),
        [clean(word) for word in row.keywords],
        clean_json(row.behaviour_json),
        clean_json(row.segments_json),
        row.confidence,
        row.model_version,
        round(row.processing_us / 1000),
        instant(row.at),
    )


async def _end(connection: Connection, row: SessionEnded) -> None:
    """The call's own end outranks what the carrier said about it."""
    facts = {
        "outcome": row.outcome,
        "reason": row.reason,
        "severity": row.severity,
        "risk": row.risk,
        "turns": row.turns,
        "journal": row.journal,
        "metered_micro_usd": row.cost_micro_usd,
    }
    created_at = await connection.fetchval(
        """
        UPDATE call_sessions SET
            status = $3,
            duration_ms = $4,
            answered_at = coalesce($5, answered_at),
            completed_at = $6,
            metadata = coalesce(metadata, '{}') || $7::jsonb,
            elevenlabs_conversation_id = coalesce(nullif($8, ''), elevenlabs_conversation_id)
        WHERE id = $1 AND user_id = $2
        RETURNING created_at
        """,
        row.call_id,
        row.user_id,
        row.status,
        row.duration_ms,
        instant(row.answered_at) if row.answered_at else None,
        instant(row.at),
        as_json(facts),
        clean(row.conversation_id),
    )
    if created_at is None:
        raise rejected(row, "unknown call")
    await usage.open_account(connection, row.call_id)
    await dial_rows.settle(connection, row.call_id)
