"""Rows on disk while the database is away: one JSON value a line, oldest first."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from io import FileIO
from pathlib import Path

import msgspec

from db.rows import CallRow
from voice_server.ownership import own

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CallRow)


class Spill:
    """The spill file of one process, and the orphans of earlier ones.

    Files are locked by their owner, so a second process adopts only what a dead one left. A
    line cut by a crash is skipped: its row was never acknowledged to anybody.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._files: list[tuple[Path, FileIO]] = []
        self._own: FileIO | None = None  # orphans are never written to: their end may be cut
        self._rejected = folder / "rejected.jsonl"
        self._offset = 0  # bytes of the first file that are taken
        self._batch_end = 0
        self.rows = 0
        for path in sorted(folder.glob("rows-*.jsonl")):
            if (file := own(path)) is not None:
                self._files.append((path, file))
                self.rows += sum(1 for _ in _rows_in(path))

    def append(self, rows: Iterable[CallRow]) -> None:
        """Put rows at the end, safe on disk when this returns."""
        lines = [_encoder.encode(row) + b"\n" for row in rows]
        if self._own is None:
            self._own = self._open()
        end = self._own.seek(0, os.SEEK_END)
        try:
            _write_all(self._own, b"".join(lines))
            os.fsync(self._own.fileno())
        except OSError:
            self._own.truncate(end)  # a part of a line would swallow the next one
            raise
        self.rows += len(lines)

    def batches(self, size: int) -> Iterator[list[CallRow]]:
        """All rows, oldest first; call `taken` after each batch that is safe elsewhere."""
        while self._files:
            path, file = self._files[0]
            batch: list[CallRow] = []
            for row, end in _rows_in(path, self._offset):
                batch.append(row)
                self._batch_end = end
                if len(batch) == size:
                    break
            if batch:
                yield batch
                continue
            self._files.pop(0)
            self._offset = 0
            self._remove(path, file)

    def taken(self, batch: Sequence[CallRow]) -> None:
        """The newest batch need not be kept; a file goes when all of its rows are taken."""
        self._offset = self._batch_end
        self.rows -= len(batch)

    def reject(self, row: CallRow) -> None:
        """Set a row aside that the database will never take; an operator may look at it."""
        with self._rejected.open("ab") as file:
            self._rejected.chmod(0o600)
            file.write(_encoder.encode(row) + b"\n")

    def close(self) -> None:
        """Unlock; empty files are removed."""
        for path, file in self._files:
            if self.rows == 0:
                self._remove(path, file)
            file.close()
        self._files.clear()
        self._own = None

    def _open(self) -> FileIO:
        while True:
            path = self._folder / f"rows-{time.time_ns()}-{os.getpid()}.jsonl"
            path.touch(mode=0o600)
            file = own(path)
            if file is not None:  # else another process took it for an orphan
                self._files.append((path, file))
                return file

    def _remove(self, path: Path, file: FileIO) -> None:
        path.unlink(missing_ok=True)  # while it is locked, so that nobody adopts it
        file.close()
        if file is self._own:
            self._own = None


def _write_all(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) or 0 :]


def _rows_in(path: Path, offset: int = 0) -> Iterator[tuple[CallRow, int]]:
    """The rows from a byte offset on, each with the offset behind it."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            offset += len(line)
            try:
                yield _decoder.decode(line), offset
            except msgspec.MsgspecError:
                continue
