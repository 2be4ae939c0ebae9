"""What whole calls cost: turns without engines, one call with them, and its replay."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.frames import CALLERS, FACTS, Line, services
from benchmarks.measure import Bench, Work
from detectors import ScamModel
from voice_server.call import Call, Policy
from voice_server.call import events as e
from voice_server.call.voice_activity import loudness
from voice_server.runtime.bookkeeper import Bookkeeper
from voice_server.runtime.driver import Driver
from voice_server.runtime.journal import Journal
from voice_server.runtime.replay import replay
from voice_server.shield import ScamShield
from voice_server.speech.engines import LocalEngines
from voice_server.testing.box import open_box
from voice_server.testing.caller import FRAME, FRAME_MS, caller_for
from voice_server.testing.carrier import CarrierBuffer
from voice_server.testing.virtual import VirtualLoop
from voice_server.testing.wav import SILENCE

_TURNS = 20
_SPEAKING, _LISTENING = 100, 200  # frames of the caller's turn and of the agent's
_REPLAYS = 5


class Figure(msgspec.Struct, frozen=True):
    """A single figure that is no time per operation."""

    name: str
    value: float
    unit: str


class _Carrier(Line):
    """Returns marks when the audio before them has been played."""

    def __init__(self) -> None:
        self.buffer = CarrierBuffer()
        self.at = 0  # samples

    def play(self, mulaw: bytes) -> None:
        self.buffer.play(mulaw, self.at)

    def mark(self, name: str) -> None:
        self.buffer.mark(name, self.at)

    def clear(self) -> None:
        self.buffer.clear(self.at)


def benches(shield: ScamShield) -> Iterator[Bench]:
    """A turn of six seconds: two of the caller, four for the agent's answer."""
    yield Bench(
        "a turn without engines, in virtual time",
        "turn (300 frames)",
        _TURNS,
        partial(_turns, shield),
    )


def _turns(shield: ScamShield) -> Work:
    policy = Policy(greeting="", max_call_ms=3_600_000)
    voice = [e.AudioHeard(b"\x20" * FRAME, loudness(b"\x20" * FRAME), 0)] * _SPEAKING
    quiet = [e.AudioHeard(SILENCE * FRAME, 0, 0)] * _LISTENING

    async def talk() -> None:
        carrier = _Carrier()
        books = Bookkeeper(FACTS, lambda _row: None, 0)
        driver = Driver(Call(policy), FACTS, services(shield), carrier, books, None)
        life = asyncio.ensure_future(driver.run())
        driver.feed(e.MediaStarted())
        for _ in range(_TURNS):
            for event in (*voice, *quiet):
                await asyncio.sleep(FRAME_MS / 1000)
                carrier.at += FRAME
                for name in carrier.buffer.take_marks(carrier.at):
                    driver.feed(e.MarkPlayed(name))
                driver.feed(event)
        answered = driver.call.agent.number
        driver.feed(e.MediaStopped(e.StopCause.CALLER_HUNG_UP))
        await life
        assert answered >= _TURNS, f"only {answered} of {_TURNS} turns were answered"

    def work() -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(talk())

    return work


def shield() -> ScamShield:
    """The shipped detector behind its port."""
    return ScamShield(ScamModel.load())


def whole_call(engines: LocalEngines, folder: Path) -> Iterator[Figure]:
    """A booking with all local engines in virtual time, kept with and without its audio."""
    for media in (True, False):
        kept = "with" if media else "without"
        journal, minutes, cpu_s = _book(engines, folder, media=media)
        yield Figure(
            f"journal {kept} audio", round(journal.stat().st_size / minutes / 1024), "KiB/min"
        )
        if media:
            yield Figure("a booking, phone included", round(cpu_s / minutes, 2), "CPU s/min")
        yield from _replay_speed(journal, kept)


def _book(engines: LocalEngines, folder: Path, *, media: bool) -> tuple[Path, float, float]:
    """Make the call; returns its journal, its length in minutes and its CPU time in seconds."""

    async def call() -> tuple[Path, float, float]:
        async with open_box(folder / "data", engines=engines, journal_media=media) as box:
            began = _process_cpu_s()
            result, report = await box.call(caller_for(CALLERS / "book_plumbing.wav"))
            assert result.outcome == "booked", f"the call was not booked but {result.outcome}"
            return Path(result.journal), report.duration_s / 60, _process_cpu_s() - began

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(call())


def _process_cpu_s() -> float:
    times = os.times()
    return times.user + times.system


def _replay_speed(journal: Path, kept: str) -> Iterator[Figure]:
    """How much faster than life a journal replays: read and compared, and the core alone."""
    entries = tuple(Journal(journal))
    call_ms = sum(entry.after_ms for entry in entries)
    whole, core = [], []
    for _ in range(_REPLAYS):
        began = time.thread_time()
        told = replay(journal)
        whole.append(time.thread_time() - began)
        assert told.difference is None, told.difference
        call = Call(Journal(journal).header.policy)
        now = 0
        began = time.thread_time()
        for entry in entries:
            now += entry.after_ms
            call.handle(entry.event, now)
        core.append(time.thread_time() - began)
    yield Figure(f"exact replay {kept} audio", round(call_ms / 1000 / median(whole)), "x real time")
    yield Figure(
        f"the core alone, journal {kept} audio", round(call_ms / 1000 / median(core)), "x real time"
    )
