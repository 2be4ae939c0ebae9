"""Settles ended calls: folds their lines, sums their costs, counts them once in the usage.

`call_usage` remembers what was counted of a call. Settling adds the difference between what
the call amounts to and what was counted, so it may run any number of times, also after rows
that came late.
"""

from __future__ import annotations

from collections.abc import Sequence

from db.pool import Connection


async def open_account(connection: Connection, call_id: str) -> None:
    """Note that a call has ended; its day is fixed by when it began."""
    await connection.execute(
        """
        INSERT INTO call_usage (call_id, user_id, date)
        SELECT id, user_id, private.day_of(user_id, created_at) FROM call_sessions WHERE id = $1
        ON CONFLICT (call_id) DO NOTHING
        """,
        call_id,
    )


async def settle(connection: Connection, call_ids: Sequence[str]) -> None:
    """Fold and count those of the calls that have ended, inside the caller's transaction.

    The caller holds the locks of the calls' sessions.
    """
    ended = await connection.fetch(
        "SELECT call_id FROM call_usage WHERE call_id = ANY($1::text[])", call_ids
    )
    if ended:
        ids = [row["call_id"] for row in ended]
        await connection.execute(_FOLD, ids)
        await connection.execute(_COUNT, ids)


# scam_alerts holds what a person should look at: medium and above.
_FOLD = """
    UPDATE call_sessions AS session SET
        conversation_data = jsonb_build_object(
            'transcripts', (
                SELECT coalesce(jsonb_agg(
                    line.data || jsonb_build_object('sequence', line.sequence)
                    ORDER BY line.sequence
                ), '[]')
                FROM call_events AS line
                WHERE line.call_id = session.id AND line.kind = 'line'
                    AND line.data ->> 'speaker' <> 'agent'
            ),
            'agent_responses', (
                SELECT coalesce(jsonb_agg(
                    line.data || jsonb_build_object('sequence', line.sequence)
                    ORDER BY line.sequence
                ), '[]')
                FROM call_events AS line
                WHERE line.call_id = session.id AND line.kind = 'line'
                    AND line.data ->> 'speaker' = 'agent'
            ),
            'scam_alerts', (
                SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'id', detection.id,
                    'risk', detection.risk_score,
                    'severity', detection.severity_level,
                    'patterns', detection.patterns_detected,
                    'at', detection.created_at
                ) ORDER BY detection.created_at, detection.id), '[]')
                FROM scam_detections AS detection
                WHERE detection.call_session_id = session.id
                    AND detection.severity_level IN ('medium', 'high', 'critical')
            )
        ),
        cost_usd = cost.best::numeric / 1000000,
        metadata = coalesce(session.metadata, '{}')
            || jsonb_build_object('cost_micro_usd', cost.best)
            || CASE WHEN cost.told IS NULL THEN '{}' ELSE jsonb_build_object(
                'booked_micro_usd', cost.booked, 'told_micro_usd', cost.told
            ) END
    FROM (
        SELECT ended.call_id, sums.booked, sums.told, sums.best
        FROM unnest($1::text[]) AS ended(call_id), private.cost_of(ended.call_id) AS sums
    ) AS cost
    WHERE session.id = cost.call_id
"""

# A call counts as a scam when it reached the bands that make the shield act: high, critical.
_COUNT = """
    WITH amount AS (
        SELECT
            counted.call_id, counted.user_id, counted.date,
            1 AS calls_made,
            (session.status = 'completed')::integer AS calls_successful,
            coalesce(session.duration_ms, 0) AS duration_ms,
            (private.cost_of(counted.call_id)).best AS cost_micro_usd,
            private.api_calls_of(counted.call_id) AS api_calls,
            EXISTS (
                SELECT FROM scam_detections AS detection
                WHERE detection.call_session_id = counted.call_id
                    AND detection.severity_level IN ('high', 'critical')
            )::integer AS scam_detections,
            counted.calls_made AS had_calls,
            counted.calls_successful AS had_successful,
            counted.duration_ms AS had_duration_ms,
            counted.cost_micro_usd AS had_cost_micro_usd,
            counted.scam_detections AS had_scams,
            counted.api_calls AS had_api_calls
        FROM call_usage AS counted
        JOIN call_sessions AS session ON session.id = counted.call_id
        WHERE counted.call_id = ANY($1::text[])
    ), noted AS (
        UPDATE call_usage AS counted SET
            calls_made = amount.calls_made,
            calls_successful = amount.calls_successful,
            duration_ms = amount.duration_ms,
            cost_micro_usd = amount.cost_micro_usd,
            scam_detections = amount.scam_detections,
            api_calls = amount.api_calls
        FROM amount WHERE counted.call_id = amount.call_id
    )
    INSERT INTO usage_metrics AS day (
        user_id, date, calls_made, calls_successful, total_duration_ms,
        total_cost_micro_usd, total_cost_usd, scam_detections, api_calls
    )
    SELECT
        user_id, date,
        sum(calls_made - had_calls),
        sum(calls_successful - had_successful),
        sum(duration_ms - had_duration_ms),
        sum(cost_micro_usd - had_cost_micro_usd),
        sum(cost_micro_usd - had_cost_micro_usd)::numeric / 1000000,
        sum(scam_detections - had_scams),
        sum(api_calls - had_api_calls)
    FROM amount
    GROUP BY user_id, date
    ORDER BY user_id, date
    ON CONFLICT (user_id, date) DO UPDATE SET
        calls_made = coalesce(day.calls_made, 0) + excluded.calls_made,
        calls_successful = coalesce(day.calls_successful, 0) + excluded.calls_successful,
        total_duration_ms = coalesce(day.total_duration_ms, 0) + excluded.total_duration_ms,
        total_cost_micro_usd = day.total_cost_micro_usd + excluded.total_cost_micro_usd,
        total_cost_usd =
            (day.total_cost_micro_usd + excluded.total_cost_micro_usd)::numeric / 1000000,
        scam_detections = coalesce(day.scam_detections, 0) + excluded.scam_detections,
        api_calls = coalesce(day.api_calls, 0) + excluded.api_calls
"""
