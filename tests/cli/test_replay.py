"""`voice-server replay`: the exit code tells whether the call is still the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from voice_server.cli import main
from voice_server.runtime.journal import Header, Journal, JournalWriter

RECORDINGS = Path(__file__).parents[1] / "recordings"
BOOKED = RECORDINGS / "booked.journal"
WRONG = RECORDINGS / "wrong_number.journal"


def replay(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, words)])


@pytest.fixture
def altered(tmp_path: Path) -> Path:
    """A journal whose commands are all missing."""
    original = Journal(WRONG)
    writer = JournalWriter(tmp_path / "altered.journal", original.header)
    now = 0
    for entry in original:
        now += entry.after_ms
        writer.append(now, entry.event, ())
    writer.close()
    return writer.path


def test_the_same_commands_are_told_with_the_conversation():
    result = replay(BOOKED)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert any("caller  My name is Mary Cooper." in line for line in lines)
    assert lines[-2].startswith("booked (agent_goodbye): ")
    assert lines[-1].startswith("identical commands for ")
    assert lines[-1].endswith(" x real time")


def test_a_difference_is_shown_and_is_exit_code_one(altered):
    result = replay(altered)
    assert result.exit_code == 1
    assert "first difference at event 1 (MediaStarted), 0.00 s into the call:" in result.output
    assert "recorded: nothing" in result.output
    assert "replayed: Say(1, 'Hello, this is Robin" in result.output
    assert "identical" not in result.output


def test_a_journal_cut_short_is_told_as_such(tmp_path):
    path = tmp_path / "cut.journal"
    path.write_bytes(BOOKED.read_bytes()[:-2_000])
    result = replay(path)
    assert result.exit_code == 0
    assert "the journal has no end" in result.output
    assert "cut short" in result.output


@pytest.mark.parametrize("options", [[], ["--simulate"]])
@pytest.mark.parametrize("content", [b"", b"hello", b"VSJ1\nnonsense"])
def test_what_is_no_journal_is_refused_without_a_traceback(tmp_path, content, options):
    path = tmp_path / "x.journal"
    path.write_bytes(content)
    result = replay(path, *options)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "x.journal" in result.output


def test_a_missing_journal_is_named():
    result = replay("none.journal")
    assert result.exit_code == 2
    assert "none.journal" in result.output


def test_json_holds_everything_about_the_call():
    result = replay(WRONG, "--json")
    told = json.loads(result.output)
    assert told["outcome"] == "answered"
    assert told["difference"] is None
    assert told["events"] > 500


def test_a_simulation_compares_nothing():
    result = replay(WRONG, "--simulate")
    assert result.exit_code == 0
    assert "answered (agent_goodbye)" in result.output
    assert "identical" not in result.output


def test_a_simulation_takes_a_changed_policy(tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text('{"greeting": "Ahoy there."}')
    result = replay(WRONG, "--simulate", "--policy", policy)
    assert result.exit_code == 0
    assert "agent   Ahoy there." in result.output


@pytest.mark.parametrize("policy", ["{", "[]", '{"politeness": 11}', '{"silence_ms": "long"}'])
def test_a_policy_that_makes_no_sense_is_refused(tmp_path, policy):
    path = tmp_path / "policy.json"
    path.write_text(policy)
    result = replay(WRONG, "--simulate", "--policy", path)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_a_policy_without_a_simulation_is_refused(tmp_path):
    path = tmp_path / "policy.json"
    path.write_text("{}")
    result = replay(WRONG, "--policy", path)
    assert result.exit_code == 2
    assert "--simulate" in result.output


def test_the_header_alone_is_a_call_that_has_not_begun(tmp_path):
    header = Journal(WRONG).header
    writer = JournalWriter(tmp_path / "fresh.journal", Header(header.facts, header.policy, True))
    writer.close()
    result = replay(writer.path)
    assert result.exit_code == 0
    assert "identical commands for 0 events" in result.output
