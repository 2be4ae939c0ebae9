"""`voice-server call`: one command, one call, one object on the last line."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.db.server import fetch
from voice_server.cli import main
from voice_server.runtime.replay import replay
from voice_server.testing.wav import read

CALLERS = Path(__file__).parents[1] / "callers"
ENDING = [  # the documented keys, in order
    "call_id",
    "status",
    "outcome",
    "severity",
    "risk_score",
    "order_id",
    "turns",
    "latency_ms",
    "cost_usd",
    "journal",
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A user who has nothing, but the shared database where the test needs one."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("VOICE_SERVER_DATA_DIR", "TWILIO_AUTH_TOKEN", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    if request.node.get_closest_marker("postgres"):
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("postgres"))
    return tmp_path


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command as a person runs it."""
    command = [sys.executable, "-m", "voice_server", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.weights
@pytest.mark.postgres
def test_a_call_books_an_order_and_says_so_in_json(home, postgres):
    both = home / "both.wav"
    done = run("call", "--fast", "--json", "--save", both, CALLERS / "book_plumbing.wav")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert list(told) == ENDING
    assert (told["status"], told["outcome"], told["severity"]) == ("completed", "booked", "minimal")
    assert 0 < told["latency_ms"] < 3_000
    assert told["turns"] >= 9
    assert 0 < told["cost_usd"] < 1
    query = "SELECT o.status FROM orders o WHERE o.order_id = $1"
    assert len(asyncio.run(fetch(postgres, query, told["order_id"]))) == 1
    journal = Path(told["journal"])
    assert journal.is_relative_to(home / "state" / "voice-server" / "journals")
    assert replay(journal).difference is None
    assert read(both).duration_ms > 30_000
    assert "Traceback" not in done.stderr


@pytest.mark.weights
@pytest.mark.postgres
def test_a_call_is_told_in_lines_as_it_happens(home):
    done = run("call", "--fast", CALLERS / "wrong_number.wav")
    assert done.returncode == 0, done.stderr
    assert "wrong number" in done.stderr
    assert "agent  No problem" in done.stderr
    last = done.stdout.splitlines()
    assert last[0].startswith("answered: 2 turns, latency ")
    assert last[1].startswith("stored as call call-")
    assert last[2].startswith("replay it:  voice-server replay /")


@pytest.mark.weights
@pytest.mark.postgres
def test_a_number_nobody_answers_is_a_failed_call(home):
    done = run("call", "--fast", "--json", "--number", "+12025550111", CALLERS / "wrong_number.wav")
    told = json.loads(done.stdout.splitlines()[-1])
    assert list(told) == ENDING
    assert (told["status"], told["call_id"], told["outcome"]) == ("failed", "", "")


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"hello, I am no recording", b"RIFF\0\0\0\0WAVE"]
)
def test_what_is_no_recording_is_refused_at_once(home, content):
    path = home / "talk.wav"
    path.write_bytes(content)
    result = CliRunner().invoke(main, ["call", "--fast", str(path)])
    assert result.exit_code == 1
    assert "talk.wav" in result.output
    assert "Traceback" not in result.output
    assert not (home / "state").exists()


def test_a_script_that_does_not_fit_is_refused_at_once(home):
    shutil.copy(CALLERS / "wrong_number.wav", home / "talk.wav")
    (home / "talk.json").write_text('{"respond": true, "turns": 5}')
    result = CliRunner().invoke(main, ["call", "--fast", str(home / "talk.wav")])
    assert result.exit_code == 1
    assert "talk.json" in result.output


def test_virtual_time_ends_at_the_own_process(home):
    path = CALLERS / "wrong_number.wav"
    result = CliRunner().invoke(main, ["call", "--fast", "--to", "http://localhost:1", str(path)])
    assert result.exit_code == 2
    assert "--fast needs a server of its own" in result.output


def test_a_recording_that_is_not_there_is_named(home):
    result = CliRunner().invoke(main, ["call", str(home / "none.wav")])
    assert result.exit_code == 2
    assert "none.wav" in result.output


def test_a_server_that_does_not_answer_is_a_failed_call(home):
    path = CALLERS / "wrong_number.wav"
    done = run("call", "--json", "--to", "http://127.0.0.1:9", path)
    told = json.loads(done.stdout.splitlines()[-1])
    assert list(told) == ENDING
    assert told["status"] == "failed"
    assert "the carrier complains" in done.stderr
    assert "Traceback" not in done.stderr
