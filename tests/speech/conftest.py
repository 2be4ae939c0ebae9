"""What the tests of ears and voices share: facts, real weights, recordings."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import pytest

from db.rows import AgentRow
from models.weights import WeightsMissing
from voice_server.ports import CallFacts
from voice_server.speech.engines import LocalEngines, open_local

FRAME = 160
SILENCE = b"\xff" * FRAME
SPEECH = (b"\x10" * 4 + b"\x90" * 4) * (FRAME // 8)  # 1 kHz, loud as a voice

FACTS = CallFacts(
    call_id="call-1",
    agent=AgentRow("agent", "tenant", "Acme", "Ann", "active", "+15550100", "", "", "", ""),
    carrier_call_id="CA1",
    caller_number="+15550101",
    called_number="+15550100",
    direction="inbound",
    started_at=0,
)


def shared_folder() -> Path:
    """The shared data folder, or a skip with the reason."""
    given = os.environ.get("VOICE_SERVER_SHARED")
    folder = Path(given) if given else Path(__file__).parents[3] / "shared"
    if not (folder / "data" / "calls").is_dir():
        pytest.skip("no shared recordings here: set VOICE_SERVER_SHARED to their folder")
    return folder


def channel(recording: Path, index: int = 0) -> bytes:
    """One channel of a mu-law WAV file, as mu-law."""
    data = recording.read_bytes()
    channels = struct.unpack("<H", data[22:24])[0]
    start = data.index(b"data") + 8
    size = struct.unpack("<I", data[start - 4 : start])[0]
    return data[start + index : start + size : channels]


def spoken_turns(pattern: str, most: int) -> Iterator[tuple[str, bytes]]:
    """Text and mu-law audio of turns shorter than 12 s, at most `most` of each recording."""
    for path in sorted((shared_folder() / "data" / "calls").glob(pattern)):
        turns = json.loads(path.with_suffix(".json").read_text())["turns"]
        short = [turn for turn in turns if 0.5 < turn["end"] - turn["start"] < 12]
        for turn in short[:most]:
            audio = channel(path, turn["channel"])
            begin, end = max(0.0, turn["start"] - 0.2), turn["end"] + 0.25
            yield turn["text"], audio[int(begin * 8000) : int(end * 8000)]


def frames(mulaw: bytes) -> Iterable[bytes]:
    return (mulaw[at : at + FRAME] for at in range(0, len(mulaw), FRAME))


async def pieces(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


@pytest.fixture(scope="session")
def engines() -> Iterator[LocalEngines]:
    try:
        opened = open_local(2)
    except WeightsMissing as missing:
        pytest.skip(str(missing))
    yield opened
    opened.close()
