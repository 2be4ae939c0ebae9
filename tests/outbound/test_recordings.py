"""Recordings come home whole, or leave a trace that somebody resumes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from db.recordings import RecordingRow
from voice_server.outbound.recordings import Recorder
from voice_server.testing import wav
from voice_server.testing.lab.faults import Fault, FaultPlan
from voice_server.testing.lab.twilio import TwilioLab, open_twilio
from voice_server.testing.lab.twilio_call import LabRecording
from voice_server.twilio.desk import Recorded
from voice_server.twilio.rest import TwilioRest

READY = Recorded("CA1", "call-1", "RE1", "completed", 4, 2)
AUDIO = wav.encode(b"\xff" * 8_000, b"\x20" * 8_000)


class Shelf:
    """Metadata in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, RecordingRow] = {}
        self.history: list[str] = []

    async def keep(self, row: RecordingRow) -> bool:
        self.rows[row.recording_id] = row
        self.history.append(row.status)
        return True

    async def missing(self, limit: int) -> tuple[RecordingRow, ...]:
        return tuple(row for row in self.rows.values() if row.status == "failed")[:limit]

    async def of_call(self, call_id: str) -> tuple[RecordingRow, ...]:
        return tuple(row for row in self.rows.values() if row.call_id == call_id)


@asynccontextmanager
async def archive(
    faults: FaultPlan | None = None,
) -> AsyncIterator[tuple[TwilioLab, TwilioRest]]:
    async with open_twilio(faults=faults) as lab:
        recording = LabRecording.__new__(LabRecording)
        recording.media = AUDIO
        lab.recordings["RE1"] = recording
        rest = TwilioRest(lab.account_sid, lab.auth_token, lab.url)
        try:
            yield lab, rest
        finally:
            await rest.close()


def test_a_recording_is_there_as_a_whole_with_its_checksum(virtual, tmp_path: Path):
    async def main() -> None:
        shelf = Shelf()
        async with archive() as (_, rest):
            row = await Recorder(shelf, rest, tmp_path).fetch("call-1", READY)
        assert shelf.history == ["failed", "completed"]
        assert (row.status, row.channels, row.duration_ms) == ("completed", 2, 4_000)
        assert (tmp_path / row.path).read_bytes() == AUDIO
        assert row.bytes == len(AUDIO)
        assert len(row.sha256) == 64
        assert [path.suffix for path in (tmp_path / row.path).parent.iterdir()] == [".wav"]

    virtual(main())


def test_a_carrier_in_trouble_is_asked_again_with_growing_pauses(virtual, tmp_path: Path):
    async def main() -> None:
        faults = FaultPlan({1: Fault.SERVER_ERROR, 2: Fault.DROP, 3: Fault.RATE_LIMITED})
        began = asyncio.get_running_loop().time()
        async with archive(faults) as (lab, rest):
            row = await Recorder(Shelf(), rest, tmp_path).fetch("call-1", READY)
            assert lab.faults.seen == 4
        assert row.status == "completed"
        assert 14 <= asyncio.get_running_loop().time() - began < 20

    virtual(main())


def test_what_could_not_be_fetched_is_resumed_by_the_next_process(virtual, tmp_path: Path):
    async def main() -> None:
        shelf = Shelf()
        async with archive(FaultPlan(otherwise=Fault.UNAUTHORIZED)) as (_, rest):
            row = await Recorder(shelf, rest, tmp_path).fetch("call-1", READY)
        assert row.status == "failed"
        assert not list(tmp_path.rglob("*.wav"))  # noqa: ASYNC240
        async with archive() as (_, rest):
            assert await Recorder(shelf, rest, tmp_path).resume() == 1
            assert await Recorder(shelf, rest, tmp_path).resume() == 0
        assert shelf.rows["RE1"].status == "completed"

    virtual(main())


def test_an_absent_recording_is_noted_and_not_asked_for(virtual, tmp_path: Path):
    async def main() -> None:
        shelf = Shelf()
        async with archive() as (lab, rest):
            absent = msgspec.structs.replace(READY, status="absent")
            await Recorder(shelf, rest, tmp_path).fetch("call-1", absent)
            assert lab.faults.seen == 0
        assert shelf.history == ["absent"]

    virtual(main())


def test_an_id_from_the_wire_cannot_choose_the_folder(virtual, tmp_path: Path):
    async def main() -> None:
        async with archive() as (lab, rest):
            lab.recordings["..%2Fx"] = lab.recordings["RE1"]
            row = await Recorder(Shelf(), rest, tmp_path).fetch("../../call", READY)
        assert (tmp_path / row.path).resolve().is_relative_to(tmp_path / "recordings")

    virtual(main())


def test_a_recording_nobody_told_of_is_adopted_once_and_fetched_with_the_others(
    virtual, tmp_path: Path
):
    async def main() -> None:
        shelf = Shelf()
        async with archive() as (_, rest):
            recorder = Recorder(shelf, rest, tmp_path)
            await recorder.adopt("call-1", READY)
            assert shelf.history == ["failed"]
            assert await recorder.resume() == 1
            await recorder.adopt("call-1", READY)  # told again, it stays where it is
        assert shelf.history == ["failed", "completed"]

    virtual(main())
