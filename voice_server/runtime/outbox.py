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
        self._idle.set()
        self._closing = False
        self._writing = False  # rows in flight must stay in front; a write is bounded in time
        self.healthy = True
        self.written = 0
        self.rejected = 0

    @property
    def waiting(self) -> int:
        """Rows not yet in the database."""
        return len(self._rows) + self._spill.rows

    def put(self, row: CallRow) -> None:
        """Take one row."""
        self._rows.append(row)
        if len(self._rows) > _WAITING_MOST and not self._writing:
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
            self._to_spill()
            self._idle.set()

    async def flush(self) -> None:
        """Wait until everything put so far is in the database; bound it with a timeout."""
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
        rows = list(batch)
        while rows:
            try:
                await self._store.write(rows)
            except StoreUnavailable:
                if self.healthy:
                    log.warning("the database is down; rows are kept on disk")
                self.healthy = False
                return False
            except RowRejected as error:
                refused = set(error.indexes)
                for index in refused:
                    self._spill.reject(rows[index])
                rows = [row for index, row in enumerate(rows) if index not in refused]
                self.rejected += len(refused)
                why = {"kind": error.kind, "reason": error.reason, "rows": len(refused)}
                log.error("the database refused rows", extra=why)
                continue
            break
        if not self.healthy:
            log.warning("the database is back", extra={"waiting": self.waiting})
        self.healthy = True
        self.written += len(rows)
        return True

    def _to_spill(self) -> None:
        if self._rows:
            self._spill.append(self._rows)
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
