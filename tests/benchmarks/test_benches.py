"""Every bench runs once: figures are for scripts/bench, not for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import calls, frames
from benchmarks.engines import benches as model_benches
from benchmarks.frames import FRAMES, silence, speech
from voice_server.call.voice_activity import loudness
from voice_server.speech.engines import LocalEngines


def test_the_benches_of_frames_all_run(tmp_path: Path) -> None:
    names = []
    for bench in frames.benches(tmp_path):
        bench.prepare()()
        names.append(bench.name)
        assert bench.operations == FRAMES
    assert len(set(names)) == len(names)
    journals = list(tmp_path.rglob("*.journal"))
    assert len(journals) == sum("audio" in n or n.endswith(", journal") for n in names)


def test_a_turn_without_engines_is_answered_every_time() -> None:
    shield = calls.shield()
    for bench in calls.benches(shield):
        bench.prepare()()  # asserts that every turn got its answer
    shield.close()


@pytest.mark.weights
def test_the_benches_of_engines_all_run(engines: LocalEngines) -> None:
    for bench in model_benches(engines):
        bench.prepare()()


def test_a_minute_of_speech_is_loud_and_a_minute_of_silence_is_not() -> None:
    assert len(speech()) == len(silence()) == FRAMES
    assert sum(loudness(frame) >= 12 for frame in speech()) > FRAMES // 3
    assert not any(loudness(frame) for frame in silence())
