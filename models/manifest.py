"""What the third-party weights are and where they come from."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

import msgspec


class WeightFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file inside a wheel; `bytes` and `sha256` are of the file itself."""

    name: str
    member: str
    sha256: str
    bytes: int
    licence: str
    origin: str

    @property
    def cached_as(self) -> str:
        """Its name in the cache: another content never meets the same name."""
        return f"{self.sha256[:12]}-{PurePosixPath(self.member).name}"


class Wheel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pinned wheel; `platform` is a wheel tag, "any" for a pure one."""

    package: str
    version: str
    platform: str
    bytes: int
    file: tuple[WeightFile, ...]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All wheels we take files from."""

    wheel: tuple[Wheel, ...]

    def names(self) -> tuple[str, ...]:
        """Every file's name, in the manifest's order."""
        return tuple(file.name for wheel in self.wheel for file in wheel.file)

    def file(self, name: str) -> WeightFile:
        """The file of that name; raises KeyError."""
        for wheel in self.wheel:
            for file in wheel.file:
                if file.name == name:
                    return file
        raise KeyError(name)


def parse(text: str) -> Manifest:
    """Read a manifest; raises ValueError when it is not one."""
    return msgspec.convert(tomllib.loads(text), Manifest)


@cache
def shipped() -> Manifest:
    """The manifest that comes with this package."""
    return parse((files("models") / "manifest.toml").read_text(encoding="utf-8"))
