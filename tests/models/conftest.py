"""A package index in a folder: one wheel with two files, and the manifest that fits it."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from models.manifest import Manifest, parse

EAR = b"ear" * 1000
MOUTH = b"mouth" * 500


class Shelf:
    """A folder of wheels that pip and uv take as an index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def put(self, package: str = "toy-ears", version: str = "1.2.3", **members: bytes) -> Path:
        """Write a wheel that holds `members` below its package folder."""
        module = package.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        path = self.folder / f"{module}-{version}-py3-none-any.whl"
        texts = {
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: toy\nRoot-Is-Purelib: true\n"
            "Tag: py3-none-any\n",
        }
        with zipfile.ZipFile(path, "w") as wheel:
            for name, text in texts.items():
                wheel.writestr(name, text)
            for name, data in members.items():
                wheel.writestr(f"{module}/{name}.bin", data)
            record = "".join(f"{name},,\n" for name in wheel.namelist())
            wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
        return path


def manifest(**sums: str) -> Manifest:
    """The manifest of the toy wheel; `sums` replace the right checksums."""
    files = "".join(
        f"""
        [[wheel.file]]
        name = "{name}"
        member = "toy_ears/{name}.bin"
        sha256 = "{sums.get(name, hashlib.sha256(data).hexdigest())}"
        bytes = {len(data)}
        licence = "MIT"
        origin = "a test"
        """
        for name, data in (("ear", EAR), ("mouth", MOUTH))
    )
    return parse(
        f"""
        [[wheel]]
        package = "toy-ears"
        version = "1.2.3"
        platform = "any"
        bytes = 2000
        {files}
        """
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")
