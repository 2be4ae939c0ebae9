"""`voice-server models`, as people call it."""

from __future__ import annotations

import json
import os

import pytest
from click.testing import CliRunner

from models.manifest import shipped
from voice_server.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("VOICE_SERVER_MODELS_DIR", str(tmp_path / "cache"))
    return lambda *arguments: CliRunner().invoke(main, ("models", *arguments))


def offline(monkeypatch) -> None:
    for name, value in {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_CONFIG_FILE": os.devnull,
        "UV_OFFLINE": "1",
    }.items():
        monkeypatch.setenv(name, value)


def test_list_shows_every_weight_with_its_licence(run):
    answer = run("list")

    assert answer.exit_code == 0
    for name in shipped().names():
        assert name in answer.output
    assert "Apache-2.0" in answer.output
    assert "missing" in answer.output


def test_list_as_json_is_one_array(run):
    inventory = json.loads(run("list", "--json").output)

    assert [weight["name"] for weight in inventory] == list(shipped().names())
    assert {weight["condition"] for weight in inventory} == {"missing"}
    assert {"licence", "origin", "package", "version", "bytes", "path"} <= inventory[0].keys()


def test_verify_fails_while_something_is_missing(run):
    answer = run("verify")

    assert answer.exit_code == 1
    assert "voice-server models pull" in answer.output


def test_verify_as_json_stays_json_on_standard_output(run):
    answer = run("verify", "--json")

    assert answer.exit_code == 1
    assert len(json.loads(answer.stdout)) == len(shipped().names())


def test_pull_without_a_network_says_what_to_do_and_shows_no_traceback(run, monkeypatch):
    offline(monkeypatch)

    answer = run("pull", "silero_vad")

    assert answer.exit_code == 1
    assert "Error: livekit-plugins-silero==" in answer.output
    assert "VOICE_SERVER_MODELS_DIR" in answer.output
    assert "Traceback" not in answer.output


def test_pull_into_a_folder_that_cannot_be_made_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VOICE_SERVER_MODELS_DIR", str(tmp_path / "file" / "cache"))

    answer = CliRunner().invoke(main, ["models", "pull"])

    assert answer.exit_code == 1
    assert "cannot write to" in answer.output
    assert "VOICE_SERVER_MODELS_DIR" in answer.output


def test_pull_refuses_a_name_it_does_not_know(run):
    answer = run("pull", "nose")

    assert answer.exit_code == 2
    assert "silero_vad" in answer.output
