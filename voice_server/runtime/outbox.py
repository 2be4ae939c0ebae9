"""Carries rows to the database, in order, in batches; a database that is down loses nothing."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from itertools import islice

from db.errors import RowRejected, StoreUnavailable
from db.rows import CallRow
from voice_server.ports import CallStore
from voice_server.runtime.spill import Spill

log = logging.getLogger(__name__)

_BATCH = 200
_GATHER_S = 0.1  # rows are collected for so long, so that a batch is worth a transaction
_RETRY_FIRST_S = 0.5
_RETRY_MOST_S = 30.0
_WAITING_MOST = 2_000  # rows kept in memory before they go to the spill file


class Outbox:
    """One writer per process. `put` never blocks; `run` is the writer, until `close`.

    While the database is down rows go to the spill file, in order, and are written from
    there when it is back: also those of an earlier process that was killed. A row that the
    database refuses for its content is set aside in the spill's `rejected` file.
    """

    def __init__(self, store: CallStore, spill: Spill) -> None:
        self._store = store
        self._spill = spill
        self._rows: deque[CallRow] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        if spill.rows == 0:
            self._idle.set()
        self._closing = False
        self._ended = False
        self._writing = False  # rows in flight must stay in front; a write is bounded in time
        self.healthy = True
        self.written = 0
        self.rejected = 0

    @property
    def waiting(self) -> int:
        """Rows not yet in the database."""
        return len(self._rows) + self._spill.rows

    def put(self, row: CallRow) -> None:
        """Take one row; after the end of `run` it goes straight to the spill file."""
        self._rows.append(row)
        if self._ended or (len(self._rows) > _WAITING_MOST and not self._writing):
            self._to_spill()
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Write until `close`; on cancellation what waits goes to the spill file."""
        retry = _RETRY_FIRST_S
        try:
            while not (self._closing and self.waiting == 0):
                if await self._write_some():
                    retry = _RETRY_FIRST_S
                    continue
                if self._closing:
                    break
                await self._pause(retry)
                retry = min(_RETRY_MOST_S, retry * 2)
        finally:
            self._ended = True
            self._to_spill()
            self._idle.set()

    async def flush(self) -> None:
        """Wait until everything put so far is in the database; bound it with a timeout.

        Returns as well when `run` has ended and what waited lies in the spill file.
        """
        self._wake.set()
        await self._idle.wait()

    def close(self) -> None:
        """Ask `run` to finish: one last try, then the rest goes to the spill file."""
        self._closing = True
        self._wake.set()

    async def _write_some(self) -> bool:
        """Write the next batch; False when the database is down."""
        if self._spill.rows:
            return await self._drain_spill()
        if not self._rows:
            self._idle.set()
            if not self._closing:
                self._wake.clear()
                await self._wake.wait()
                await asyncio.sleep(0 if self._closing else _GATHER_S)
            return True
        batch = list(islice(self._rows, _BATCH))
        self._writing = True
        try:
            written = await self._write(batch)
        finally:
            self._writing = False
        if not written:
            self._to_spill()
            return False
        for _ in batch:
            self._rows.popleft()
        return True

    async def _drain_spill(self) -> bool:
        for batch in self._spill.batches(_BATCH):
            if not await self._write(batch):
                return False
            self._spill.taken(batch)
        return True

    async def _write(self, batch: Sequence[CallRow]) -> bool:
        rows, refused = list(batch), list[CallRow]()
        while rows:
            try:
                await self._store.write(rows)
            except RowRejected as error:
                indexes = set(error.indexes)
                refused += [rows[index] for index in sorted(indexes)]
                rows = [row for index, row in enumerate(rows) if index not in indexes]
                why = {"kind": error.kind, "reason": error.reason, "rows": len(indexes)}
                log.error("the database refused rows", extra=why)
            except Exception as error:  # noqa: BLE001 - whatever the bug, no row may be lost
                self._is_down(error)
                return False
            else:
                break
        for row in refused:  # only here: a batch that is tried again is refused again
            self._spill.reject(row)
        self.rejected += len(refused)
        if not self.healthy:
            log.warning("the database is back", extra={"waiting": self.waiting})
        self.healthy = True
        self.written += len(rows)
        return True

    def _is_down(self, error: Exception) -> None:
        if not isinstance(error, StoreUnavailable):
            log.error("a bug in the store; rows are kept", extra={"kind": type(error).__name__})
        elif self.healthy:
            log.warning("the database is down; rows are kept on disk")
        self.healthy = False

    def _to_spill(self) -> None:
        if not self._rows:
            return
        try:
            self._spill.append(self._rows)
        except OSError as error:  # neither database nor disk: memory is all that is left
            log.error("rows cannot be kept on disk", extra={"problem": error.strerror})
        else:
            self._rows.clear()

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not through a `close`."""
        until = asyncio.get_running_loop().time() + seconds
        while not self._closing and (left := until - asyncio.get_running_loop().time()) > 0:
            self._wake.clear()
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                return
            self._to_spill()
