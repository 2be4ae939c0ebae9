"""The last states of ended calls, on disk until they are delivered: also by the next process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from io import FileIO
from itertools import chain, islice
from pathlib import Path

import msgspec

from voice_server.call.live import LiveState
from voice_server.ownership import own
from voice_server.ports import CallId


class Final(msgspec.Struct, frozen=True):
    """The last state of a call; without a state it says that it was delivered."""

    call_id: CallId
    tenant_id: str
    state: LiveState | None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Final)


class Finals:
    """One file per process, locked by its owner; what dead processes left is adopted.

    For two threads: `keep` belongs to the event loop and costs one short write, everything else
    belongs to the writer. What `keep` has returned from survives the death of the process, and
    after `sync` that of the machine. A line that a crash has cut is skipped.
    """

    def __init__(self, folder: Path) -> None:
        """Raises OSError where the folder cannot be used."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._lock = threading.Lock()
        self._waiting: dict[CallId, None] = {}  # in order; the states stay on disk
        self._unsynced = False
        self._closed = False
        self._orphans: list[tuple[Path, FileIO]] = []
        for path in sorted(folder.glob("finals-*.jsonl")):
            if (file := own(path)) is not None:
                self._orphans.append((path, file))
        orphans = (path for path, _ in self._orphans)
        self._waiting.update(dict.fromkeys(_undelivered(*orphans)))
        self._path, self._own = _fresh(folder)
        self._descriptor = self._own.fileno()

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, final: Final) -> None:
        """Put a final state on disk; raises OSError where the disk will not have it."""
        line = _encoder.encode(final) + b"\n"
        with self._lock:
            if self._closed:
                raise OSError("the file of final states is closed")
            _append(self._own, line)
            self._waiting[final.call_id] = None
            self._unsynced = True

    def waiting(self, most: int) -> list[Final]:
        """The oldest that are not delivered, read from disk."""
        with self._lock:
            wanted = set(self._waiting)
            paths = [path for path, _ in self._orphans] + [self._path]
        found = _undelivered(*paths).values()
        return list(islice((final for final in found if final.call_id in wanted), most))

    def sync(self) -> None:
        """Make what was kept survive a power failure; may take as long as the disk takes."""
        if self._unsynced and not self._closed:
            self._unsynced = False
            os.fsync(self._descriptor)  # outside the lock, for which the event loop may wait

    def delivered(self, call_id: CallId) -> None:
        """A final state need not be kept; the files are emptied when none need be.

        After `close` it stays on disk and is delivered again, which changes nothing.
        """
        with self._lock:
            if self._closed or call_id not in self._waiting:
                return
            del self._waiting[call_id]
            if self._waiting:
                _append(self._own, _encoder.encode(Final(call_id, "", None)) + b"\n")
                return
            self._own.truncate(0)
            orphans, self._orphans = self._orphans, []
        for path, file in orphans:
            _remove(path, file)

    def close(self) -> None:
        """Unlock the files; those that hold nothing undelivered are removed."""
        with self._lock:
            self._closed = True
            files = [*self._orphans, (self._path, self._own)]
            self._orphans = []
            for path, file in files:
                if self._waiting:
                    file.close()
                else:
                    _remove(path, file)


def _fresh(folder: Path) -> tuple[Path, FileIO]:
    while True:
        path = folder / f"finals-{time.time_ns()}-{os.getpid()}.jsonl"
        path.touch(mode=0o600)
        if (file := own(path)) is not None:  # else another process took it for an orphan
            return path, file


def _remove(path: Path, file: FileIO) -> None:
    path.unlink(missing_ok=True)  # while it is locked, so that nobody adopts it
    file.close()


def _append(file: FileIO, line: bytes) -> None:
    end = file.seek(0, os.SEEK_END)
    try:
        written = file.write(line)
        if written != len(line):
            raise OSError("the disk took a part of a line")
    except OSError:
        file.truncate(end)  # a part of a line would swallow the next one
        raise


def _undelivered(*paths: Path) -> dict[CallId, Final]:
    waiting: dict[CallId, Final] = {}
    for final in chain.from_iterable(map(_lines, paths)):
        if final.state is None:
            waiting.pop(final.call_id, None)
        else:
            waiting[final.call_id] = final
    return waiting


def _lines(path: Path) -> Iterator[Final]:
    with path.open("rb") as file:
        for line in file:
            try:
                yield _decoder.decode(line)
            except msgspec.MsgspecError:
                continue
