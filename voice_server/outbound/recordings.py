"""Fetches the carrier's recordings: both tracks, to the data directory, with a row of metadata."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from db.recordings import RecordingRow
from voice_server.errors import ServiceError
from voice_server.twilio.desk import Recorded

FOLDER: Final = "recordings"
_TRIES: Final = 5
_RETRY_FIRST_S: Final = 2.0  # the file is sometimes there a moment after the callback
_SAFE: Final = re.compile(r"[^A-Za-z0-9_-]")

log = logging.getLogger(__name__)


class RecordingStore(Protocol):
    """Where metadata is kept; `db.PostgresRecordings`."""

    async def keep(self, row: RecordingRow) -> bool: ...
    async def missing(self, limit: int) -> tuple[RecordingRow, ...]: ...
    async def of_call(self, call_id: str) -> tuple[RecordingRow, ...]: ...


class Download(Protocol):
    """An answer that is read in pieces."""

    def aiter_bytes(self) -> AsyncIterator[bytes]: ...


class Archive(Protocol):
    """Who holds the audio; `TwilioRest`."""

    def download_recording(self, recording_sid: str) -> AbstractAsyncContextManager[Download]: ...


class Recorder:
    """Brings recordings home. The row is there first, so that a dead process leaves a trace."""

    def __init__(self, store: RecordingStore, archive: Archive, data_dir: Path) -> None:
        self._store = store
        self._archive = archive
        self._data_dir = data_dir

    async def fetch(self, call_id: str, recorded: Recorded) -> RecordingRow:
        """Download one recording; the row says whether that worked. Raises `StoreError`."""
        row = _row(call_id, recorded)
        await self._store.keep(row)
        return row if row.status == "absent" else await self._bring(row)

    async def adopt(self, call_id: str, recorded: Recorded) -> None:
        """Note a recording nobody told of, for `resume` to fetch. Raises `StoreError`."""
        known = {row.recording_id for row in await self._store.of_call(call_id)}
        if recorded.recording_id not in known:
            await self._store.keep(_row(call_id, recorded))

    async def resume(self) -> int:
        """Fetch what an earlier process did not; returns how many came. Raises `StoreError`."""
        rows = await self._store.missing(100)
        fetched = [await self._bring(row) for row in rows]
        return sum(row.status == "completed" for row in fetched)

    async def _bring(self, row: RecordingRow) -> RecordingRow:
        pause_s = _RETRY_FIRST_S
        for attempt in range(1, _TRIES + 1):
            try:
                complete = await self._save(row)
            except (ServiceError, OSError) as error:
                log.warning(
                    "a recording could not be fetched",
                    extra={"call": row.call_id, "attempt": attempt, "error": type(error).__name__},
                )
                if attempt < _TRIES:
                    await asyncio.sleep(pause_s)
                    pause_s *= 2
            else:
                await self._store.keep(complete)
                return complete
        return row

    async def _save(self, row: RecordingRow) -> RecordingRow:
        """Write to a file beside, and rename: a recording is there as a whole or not at all."""
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        name = f"{_SAFE.sub('_', row.call_id)}-{_SAFE.sub('_', row.recording_id)}.wav"
        path = Path(FOLDER) / day / name
        target = self._data_dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".part")
        digest, size = hashlib.sha256(), 0
        async with self._archive.download_recording(row.recording_id) as answer:
            with partial.open("wb") as file:
                async for piece in answer.aiter_bytes():
                    digest.update(piece)
                    size += len(piece)
                    await asyncio.to_thread(file.write, piece)
        os.replace(partial, target)
        return RecordingRow(
            recording_id=row.recording_id,
            call_id=row.call_id,
            status="completed",
            channels=row.channels,
            duration_ms=row.duration_ms,
            path=str(path),
            bytes=size,
            sha256=digest.hexdigest(),
        )


def _row(call_id: str, recorded: Recorded) -> RecordingRow:
    """A recording that is not here yet."""
    return RecordingRow(
        recording_id=recorded.recording_id,
        call_id=call_id,
        status="absent" if recorded.status == "absent" else "failed",
        channels=recorded.channels,
        duration_ms=recorded.duration_s * 1000,
    )
