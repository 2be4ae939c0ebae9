"""Help is instant: it loads nothing that a call needs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from voice_server.cli import main

HEAVY = ("onnxruntime", "numpy", "asyncpg", "starlette", "httpx", "rich", "pydantic")
LIGHT = ("call", "replay", "serve")  # the others own their modules


def loaded_by(*words: str) -> list[str]:
    script = (
        "import sys\nfrom voice_server.cli import main\n"
        f"try:\n    main({list(words)!r})\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "Usage:" in done.stdout
    return eval(done.stderr)


@pytest.mark.parametrize("words", [[], *([name] for name in LIGHT)], ids=" ".join)
def test_help_loads_nothing_heavy(words):
    assert loaded_by(*words, "--help") == []


def test_the_first_page_lists_every_command_with_its_purpose():
    output = CliRunner().invoke(main, ["--help"]).output
    for name in main.list_commands(None):
        assert name in output


@pytest.mark.parametrize("name", main.list_commands(None))
def test_every_command_has_a_help_page(name):
    result = CliRunner().invoke(main, [name, "-h"])
    assert result.exit_code == 0
    assert f"Usage: main {name}" in result.output


def test_an_unknown_command_is_named():
    result = CliRunner().invoke(main, ["dance"])
    assert result.exit_code == 2
    assert "dance" in result.output


def test_the_version_is_told():
    result = CliRunner().invoke(main, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("voice-server, version ")


def test_the_module_runs_as_the_command_does():
    done = subprocess.run(
        [sys.executable, "-m", "voice_server", "--version"], capture_output=True, check=True
    )
    assert done.stdout.startswith(b"voice-server, version ")
