"""The README says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from voice_server.call import MOVES
from voice_server.cli import main
from voice_server.settings import PREFIX, Settings
from voice_server.telemetry import Metrics

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def variable(field: str) -> str:
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else PREFIX + field.upper()


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_is_in_the_table_with_its_description(field: str):
    row = next((line for line in README.splitlines() if f"| `{variable(field)}` |" in line), None)
    assert row is not None, f"{variable(field)} is missing in the README"
    said = (Settings.model_fields[field].description or "").split(";")[0].split(" (")[0].rstrip(".")
    assert said in row


def test_no_setting_is_documented_that_does_not_exist():
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))
    assert documented == {variable(field) for field in Settings.model_fields}


def test_every_command_is_documented():
    for name in main.list_commands(click.Context(main)):
        assert f"`voice-server {name}" in README


def test_every_metric_is_documented():
    names = {metric.name for metric in Metrics().registry.collect()}
    documented = set(re.findall(r"^\| `(voice_server_\w+)` \|", README, re.MULTILINE))
    assert documented == names


def test_the_diagram_of_a_calls_life_is_drawn_from_the_table_of_moves():
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", README, re.MULTILINE))
    assert drawn == {(a.value, b.value) for a, targets in MOVES.items() for b in targets}


def test_files_named_in_the_readme_exist():
    for name in re.findall(r"(?:scripts|tests/callers|models/scam)/[\w./-]+", README):
        assert (ROOT / name.rstrip(".")).exists(), name
