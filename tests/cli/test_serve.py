"""`voice-server serve`: says what it needs, serves, and goes when it is told."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from voice_server.cli import main


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("TWILIO_AUTH_TOKEN", "DATABASE_URL", "VOICE_SERVER_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_bad_settings_are_all_listed_and_nothing_starts(environ, tmp_path):
    environ.setenv("VOICE_SERVER_PORT", "abc")
    environ.setenv("VOICE_SERVER_MAX_CALLS", "0")
    result = CliRunner().invoke(main, ["serve"])
    assert result.exit_code == 1
    assert "These settings need attention:" in result.output
    for name in (
        "VOICE_SERVER_PORT",
        "VOICE_SERVER_MAX_CALLS",
        "TWILIO_AUTH_TOKEN",
        "VOICE_SERVER_PUBLIC_URL",
    ):
        assert f"  {name}: " in result.output
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_missing_weights_are_an_error_that_says_what_to_do(environ, tmp_path):
    environ.setenv("VOICE_SERVER_INSECURE_WEBHOOKS", "1")
    environ.setenv("VOICE_SERVER_MODELS_DIR", str(tmp_path / "empty"))
    result = CliRunner().invoke(main, ["serve", "--port", "0"])
    assert result.exit_code == 1
    assert "voice-server models pull" in result.output


@pytest.fixture
def server(environ, postgres) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its URL."""
    environ.setenv("DATABASE_URL", postgres)
    environ.setenv("VOICE_SERVER_INSECURE_WEBHOOKS", "1")
    command = [sys.executable, "-m", "voice_server", "serve", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"listens at (http://\S+)", line):
                yield process, found[1]
                break
        else:
            pytest.fail("the server said nothing")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.weights
@pytest.mark.postgres
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_serves_warns_and_goes_when_told(server, number):
    process, url = server
    assert httpx.get(f"{url}/readyz").json()["unsigned_webhooks"] is True
    process.send_signal(number)
    said = process.stderr.read()
    assert process.wait(30) == 0
    assert "webhook signatures are not checked" in said
    assert "closing: no new calls" in said
    assert "Traceback" not in said
