"""Metadata of recordings: one row each, of calls that exist."""

from __future__ import annotations

from db import Pool, PostgresCallStore, PostgresRecordings, RecordingRow
from tests.db.tenants import add_tenants, begun


async def test_a_recording_is_missing_until_its_audio_is_here(pool: Pool):
    await add_tenants(pool)
    await PostgresCallStore(pool).write([begun("call-1"), begun("call-2")])
    recordings = PostgresRecordings(pool)
    waiting = RecordingRow("RE1", "call-1", "failed", 2, 4_000)
    assert await recordings.keep(waiting)
    assert await recordings.missing(10) == (waiting,)

    there = RecordingRow("RE1", "call-1", "completed", 2, 4_000, "recordings/x.wav", 64_058, "ab")
    assert await recordings.keep(there)
    assert await recordings.missing(10) == ()
    assert await recordings.of_call("call-1") == (there,)
    assert not await recordings.keep(RecordingRow("RE1", "call-2", "absent"))
    assert not await recordings.keep(RecordingRow("RE2", "unknown", "absent"))
