"""What the models cost: a window of voice activity, a cached clause, an utterance judged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial

import numpy as np

from benchmarks.frames import CALLERS, FACTS, FRAMES, speech
from benchmarks.measure import Bench, Work
from detectors import ScamDetector, ScamModel
from detectors.assessment import Segment
from models.weights import Weights
from voice_server.speech.engines import LocalEngines
from voice_server.speech.vad import SileroModel

_WINDOW = 32 + 256  # bytes that the voice activity model wants to see
_TOGETHER = (1, 32, 100)  # calls in one run
_SPOKEN = 300
_CLAUSE = "Hello, this is Robin from Harbour Home Services."


def benches(engines: LocalEngines) -> Iterator[Bench]:
    """All benches of this module."""
    model = SileroModel(Weights(None).path("silero_vad"))
    for calls in _TOGETHER:
        yield Bench(
            f"voice activity, {calls} call{'s' if calls > 1 else ''} together",
            "window (32 ms)",
            calls * (FRAMES // calls // 4),
            partial(_silero, model, calls),
        )
    yield Bench("voice from the cache", "clause", _SPOKEN, lambda: _cached(engines))
    scam = ScamModel.load()
    for name in ("scam_refund", "book_plumbing"):
        segments = _segments(name)
        yield Bench(
            f"scam detector, {name.replace('_', ' ')}",
            "utterance",
            len(segments),
            partial(_detector, scam, segments),
        )


def _silero(model: SileroModel, calls: int) -> Work:
    audio = b"".join(speech())
    windows = [audio[at : at + _WINDOW] for at in range(8_000, 8_000 + calls * 800, 800)]
    state = np.zeros((2, calls, 128), np.float32)

    def work() -> None:
        for _ in range(FRAMES // calls // 4):
            model.score(windows, state)

    return work


def _cached(engines: LocalEngines) -> Work:
    async def pieces() -> AsyncIterator[str]:
        yield _CLAUSE

    async def speak() -> None:
        for turn in range(_SPOKEN):
            async for _ in engines.text_to_speech.speak(turn, pieces(), FACTS):
                pass

    async def warm() -> None:
        await engines.text_to_speech.warm([_CLAUSE])

    asyncio.run(warm())
    return lambda: asyncio.run(speak())


def _segments(name: str) -> list[Segment]:
    turns = json.loads((CALLERS / f"{name}.json").read_text())["turns"]
    spoken = [turn for turn in turns if turn.get("text")]
    return [
        Segment(number, "caller", turn["text"], number * 5_000, number * 5_000 + 3_000)
        for number, turn in enumerate(spoken)
    ]


def _detector(model: ScamModel, segments: list[Segment]) -> Work:
    detector = ScamDetector(model)

    def work() -> None:
        for segment in segments:
            detector.feed([segment])

    return work
