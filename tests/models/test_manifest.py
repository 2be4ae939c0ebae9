from __future__ import annotations

import re
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from models.manifest import parse, shipped
from tests.models.conftest import manifest


def test_every_shipped_file_has_a_unique_name_and_a_whole_checksum():
    names = shipped().names()

    assert len(names) == len(set(names)) == 8
    for name in names:
        file = shipped().file(name)
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.bytes > 0
        assert file.licence in {"MIT", "Apache-2.0", "CC0-1.0"}
        assert file.origin


def test_every_shipped_wheel_is_pinned():
    for wheel in shipped().wheel:
        assert re.fullmatch(r"\d+(\.\d+)+", wheel.version)
        assert wheel.bytes > 0


def test_no_package_of_the_manifest_needs_to_be_installed():
    installed = {name.lower() for names in packages_distributions().values() for name in names}

    assert not installed & {wheel.package for wheel in shipped().wheel}


def test_another_checksum_gives_another_name_in_the_cache():
    one = manifest().file("ear")
    other = manifest(ear="0" * 64).file("ear")

    assert one.cached_as != other.cached_as
    assert other.cached_as == "000000000000-ear.bin"


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="nose"):
        shipped().file("nose")


@pytest.mark.parametrize(
    "text",
    [
        "wheel = 3",
        "[[wheel]]\npackage = 'x'",
        "[[wheel]]\npackage='x'\nversion='1'\nplatform='any'\nbytes=1\nfile=[]\nextra=1",
        "not toml",
    ],
)
def test_a_malformed_manifest_is_refused(text: str):
    with pytest.raises(ValueError, match=r".+"):
        parse(text)


def test_the_manifest_lies_beside_the_code_that_reads_it():
    assert (Path(__file__).parents[2] / "models" / "manifest.toml").is_file()
