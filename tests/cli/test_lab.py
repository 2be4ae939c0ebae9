"""The lab: all providers at once, for a server or for clients that are not ours."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from voice_server import settings as configuration
from voice_server.cli.lab import command
from voice_server.provider_settings import Provider
from voice_server.testing.lab.everything import open_lab
from voice_server.vault.checks import Finding, KeyChecks


async def test_its_environment_makes_settings_whose_keys_every_provider_accepts(monkeypatch):
    async with open_lab() as lab:
        for name, value in lab.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("VOICE_SERVER_INSECURE_WEBHOOKS", "1")
        settings = configuration.load()
        checks = KeyChecks(settings)
        for provider in Provider:
            key = settings.key_of(provider)
            assert key is not None, provider
            assert await checks.check(provider, key) is Finding.ACCEPTED, provider
        assert settings.firebase_database_url.startswith(lab.urls["firebase"])


async def test_the_environment_is_what_the_vendors_own_sdks_read(monkeypatch):
    import anthropic
    import openai

    async with open_lab() as lab:
        for name, value in lab.environment.items():
            monkeypatch.setenv(name, value)
        async with openai.AsyncOpenAI() as client:
            assert [model async for model in client.models.list()]
        async with anthropic.AsyncAnthropic() as other:
            assert [model async for model in other.models.list()]


def free_ports(count: int) -> int:
    """So many free ports in a row, elsewhere than other processes of the tests look.

    Below 32768 no connection takes one between this look and its use.
    """
    for base in range(20_000 + os.getpid() % 1_000 * 10, 32_000, count):
        try:
            for port in range(base, base + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    pytest.skip("no free ports in a row")


@pytest.mark.parametrize("as_json", [True, False])
def test_the_command_prints_where_everything_is_and_ends_on_a_signal(as_json):
    base = free_ports(8)
    words = [sys.executable, "-m", "voice_server", "lab", "--port-base", str(base)]
    words += ["--json"] * as_json
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=quiet, text=True) as lab:
        assert lab.stdout is not None
        line = lab.stdout.readline()
        if as_json:
            told = msgspec.json.decode(line)
            ports = sorted(int(url.split(":")[2].split("/")[0]) for url in told["urls"].values())
            assert ports == list(range(base, base + 8))
        else:
            assert line.startswith("export ELEVENLABS_API_KEY=")
        answer = httpx.get(f"http://127.0.0.1:{base}/v1/models", headers={"xi-api-key": "wrong"})
        lab.send_signal(signal.SIGINT)
        assert lab.wait(timeout=15) == 0
    assert answer.status_code == 401


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        if port > 65_000:
            pytest.skip("the port is beyond what the option takes")
        result = CliRunner().invoke(command, ["--port-base", str(port)])
    assert result.exit_code == 1
    assert "--port-base" in result.output


def test_a_callee_that_is_no_recording_is_refused(tmp_path):
    note = tmp_path / "note.wav"
    note.write_text("no audio")
    told = CliRunner().invoke(command, ["--tones", "--callee", str(note)])
    assert told.exit_code == 1
    assert "Error: --callee: " in told.output
