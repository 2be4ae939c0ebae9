from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.frames import CALLERS
from benchmarks.independent.__main__ import free_port, hold, running

PEER = os.environ.get("PIPECAT_PYTHON", "")
SIDES = ("caller", "agent")


@pytest.mark.skipif(not PEER, reason="set PIPECAT_PYTHON to an interpreter that has pipecat-ai")
@pytest.mark.weights
@pytest.mark.slow
def test_pipecat_answers_a_person_against_the_lab() -> None:
    held = hold(PEER, CALLERS / "ask_for_human.wav")
    said = {who: " ".join(line.text for line in held.lines if line.who == who) for who in SIDES}
    assert held.status == "completed"
    assert "real person" in said["caller"]
    assert "How can I help you" in said["agent"]
    assert "message" in said["agent"], "the answer fits what was asked"
    assert len(held.reply_ms) == 3


def test_a_process_ends_with_its_block(tmp_path: Path) -> None:
    with running("sleep", "60", env=dict(os.environ)) as process:
        assert process.poll() is None
    assert process.poll() is not None


def test_ports_are_those_that_an_own_program_may_take() -> None:
    assert 1024 <= free_port() < 65_536
