"""The shape of the house: who may import whom, and how long a module may get."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for package in ("voice_server", "detectors", "models", "db")
    for path in (ROOT / package).rglob("*.py")
)


def test_the_arrows_between_packages_point_one_way():
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_a_docstring_and_at_most_400_lines(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text)), "say in a sentence why the module exists"


def test_only_the_settings_read_the_environment():
    readers = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if "os.environ" in path.read_text(encoding="utf-8")
    }
    assert readers <= {
        "voice_server/settings.py",
        "voice_server/cli/db.py",  # hands its own environment on to psql
        "db/embedded.py",  # PATH and locale of the database server
        "db/binaries.py",
        "models/inference.py",  # onnxruntime's telemetry is switched off by a variable only
        "models/weights.py",  # must not know the server's settings
        "models/wheels.py",
    }


def test_the_library_modules_print_nothing():
    for path in SOURCES:
        if "cli" in path.parts:
            continue
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ]
        assert not calls, path
