"""Recordings of any common form are heard channel by channel, and others refused in words."""

from __future__ import annotations

import asyncio
import json
import struct
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import shared_folder
from voice_server.cli import main
from voice_server.cli.recordings import RATE, RecordingError, hear, read_channels
from voice_server.speech import g711
from voice_server.speech.engines import LocalEngines
from voice_server.testing import wav

TONE = np.sin(np.arange(RATE) * 2 * np.pi * 440 / RATE).astype(np.float32) * 0.5


def write_pcm(path: Path, channels: list[np.ndarray], rate: int, width: int) -> Path:
    whole = np.stack(channels, axis=1).ravel()
    if width == 1:
        data = np.rint(whole * 127 + 128).astype(np.uint8).tobytes()
    elif width == 3:
        samples = np.rint(whole * (2**23 - 1)).astype("<i4")
        data = samples.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    else:
        data = np.rint(whole * (2 ** (8 * width - 1) - 1)).astype(f"<i{width}").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return path


def at_rate(rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(np.arange(int(rate * seconds)) * 2 * np.pi * 440 / rate).astype(np.float32) * 0.5


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_pcm_of_any_width_and_rate_sounds_the_same(tmp_path: Path, width: int, rate: int) -> None:
    path = write_pcm(tmp_path / "tone.wav", [at_rate(rate)], rate, width)
    (channel,) = read_channels(path)
    assert len(channel) == RATE
    heard = g711.decode_float(channel)[400:-400]
    assert np.abs(heard - TONE[400:-400]).max() < 0.05


def test_two_channels_are_kept_apart(tmp_path: Path) -> None:
    silence = np.zeros(RATE, np.float32)
    path = write_pcm(tmp_path / "both.wav", [at_rate(RATE), silence], RATE, 2)
    first, second = read_channels(path)
    assert np.abs(g711.decode_float(first)).max() > 0.4
    assert np.abs(g711.decode_float(second)).max() < 0.001


def test_mulaw_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    wav.write(path, b"\x10\x20\x30", b"\xff\xfe\xfd")
    assert read_channels(path) == (b"\x10\x20\x30", b"\xff\xfe\xfd")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"RIFF", "not a WAV file"),
        (b"RIFF\x04\x00\x00\x00WAVE", "no fmt chunk"),
        (b"", "not a WAV file"),
        (
            b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00"
            + struct.pack("<HHIIHH", 6, 1, 8_000, 8_000, 1, 8),
            "wanted mu-law",
        ),
    ],
)
def test_what_is_no_recording_is_refused_in_words(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "odd.wav"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=reason):
        read_channels(path)
    result = CliRunner().invoke(main, ["detect", str(path)])
    assert result.exit_code == 1
    assert f"error: {path}: " in result.stderr


def test_more_than_two_channels_are_refused(tmp_path: Path) -> None:
    wav.write(tmp_path / "three.wav", b"\xff", b"\xff", b"\xff")
    with pytest.raises(RecordingError, match="3 channels"):
        read_channels(tmp_path / "three.wav")


@pytest.mark.weights
@pytest.mark.parametrize("content", [b"", b"\xff" * 16_000])
def test_silence_has_no_turns(engines: LocalEngines, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "silence.wav"
    wav.write(path, content)
    seconds: list[float] = []
    talk = asyncio.run(hear(path, engines, seconds.append))
    assert talk.turns == ()
    assert sum(seconds) == pytest.approx(len(content) / RATE)


def calls() -> Path:
    shared = shared_folder()
    assert shared is not None
    return shared / "data" / "calls"


@pytest.mark.weights
@pytest.mark.shared
def test_a_recorded_robocall_is_caught_as_its_exact_transcript_is(tmp_path: Path) -> None:
    recording = calls() / "rc_ssn_suspended.wav"
    result = CliRunner().invoke(main, ["detect", "--json", "--compare", str(recording)])
    assert result.exit_code == 0
    heard, exact = (json.loads(line) for line in result.stdout.splitlines())
    assert (heard["id"], exact["id"]) == ("rc_ssn_suspended", "rc_ssn_suspended#exact")
    assert heard["label"] == exact["label"] == "scam"
    for each in (heard, exact):
        assert each["severity"] in ("high", "critical")
        assert each["alarm_seconds"] <= 12.4
    table = CliRunner().invoke(main, ["detect", "--compare", str(recording)]).stdout
    assert len(table.splitlines()) == 2
    assert "critical" in table or "high" in table


@pytest.mark.weights
@pytest.mark.shared
def test_the_turns_of_both_channels_come_in_the_order_of_the_call(engines: LocalEngines) -> None:
    recording = calls() / "tts_personal_calls_benign_0.wav"
    talk = asyncio.run(hear(recording, engines, lambda _: None))
    assert {said.provisional for said in talk.turns} == {True, False}
    ends = [said.known or 0.0 for said in talk.turns]
    assert ends == sorted(ends)
    assert {said.party for said in talk.turns} == {"caller", "agent"}
    assert all(
        (said.start or 0.0) < (said.end or 0.0) <= (said.known or 0.0) for said in talk.turns
    )
    notes = json.loads(recording.with_suffix(".json").read_text())["turns"]
    assert len(talk.spoken) >= len(notes) / 2
    assert ends[-1] == pytest.approx(notes[-1]["end"], abs=2.0)


@pytest.mark.weights
def test_a_voice_that_never_pauses_is_heard_while_it_talks(engines: LocalEngines) -> None:
    recording = Path(__file__).parents[1] / "callers" / "robocall_ssa.wav"
    talk = asyncio.run(hear(recording, engines, lambda _: None))
    early = [said.known or 0.0 for said in talk.turns if said.provisional]
    stands = [said.known or 0.0 for said in talk.spoken]
    begin, end = max(pairwise(stands), key=lambda pair: pair[1] - pair[0])
    assert end - begin > 6
    assert len([known for known in early if begin < known < end]) >= 4
    assert min(b - a for a, b in pairwise(early)) > 0.99


@pytest.mark.weights
def test_an_alarm_comes_before_the_robocall_pauses() -> None:
    recording = Path(__file__).parents[1] / "callers" / "robocall_ssa.wav"
    result = CliRunner().invoke(main, ["detect", "--json", str(recording)])
    (told,) = (json.loads(line) for line in result.stdout.splitlines())
    assert told["alarm_seconds"] <= 8.0
