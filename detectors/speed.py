"""What an utterance costs."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Sequence

import msgspec
import numpy as np

from detectors.assessment import Segment
from detectors.classifier import Memory
from detectors.detector import ScamDetector, ScamModel
from models.scam.corpus import cut_text
from models.scam.words import spoken_words

_CALLS = 64  # in one batch
_UTTERANCES = 2_000
_REPEATS = 50


class Speed(msgspec.Struct, frozen=True):
    """CPU time of one utterance on one core, and what is kept.

    Times in µs: the whole detector alone (median and 95th percentile), the classifier's share
    of one utterance in a batch of 64 calls. `call_bytes` is kept for each call, `file_bytes` is
    the size of the model files.
    """

    median_us: float
    p95_us: float
    batched_us: float
    call_bytes: int
    file_bytes: int


def measure(model: ScamModel, texts: Sequence[str], file_bytes: int) -> Speed:
    """Play utterances to fresh detectors and take the time."""
    cuts = [cut for text in texts for cut in cut_text(text)][:_UTTERANCES]
    spent: list[float] = []
    detector = ScamDetector(model)
    for number, text in enumerate(cuts):
        if number % 40 == 0:
            detector = ScamDetector(model)
        segment = Segment(number, "caller", text, number * 5_000, number * 5_000 + 4_000)
        began = time.thread_time_ns()
        detector.feed([segment])
        spent.append((time.thread_time_ns() - began) / 1_000)
    median, p95 = np.percentile(spent, [50, 95]) if spent else (0.0, 0.0)
    return Speed(float(median), float(p95), _batched(model, cuts), _kept(model, cuts), file_bytes)


def _batched(model: ScamModel, cuts: Sequence[str]) -> float:
    words = [[word.plain for word in spoken_words(text)] for text in cuts[:_CALLS]]
    if not words:
        return 0.0
    steps = [Memory().step(each) for each in words]
    began = time.thread_time_ns()
    for _ in range(_REPEATS):
        model.classifier.read(steps)
    return (time.thread_time_ns() - began) / 1_000 / _REPEATS / len(steps)


def _kept(model: ScamModel, cuts: Sequence[str]) -> int:
    """Return what a detector holds after a long call, in bytes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        detector = ScamDetector(model)
        for number, text in enumerate(cuts[:200]):
            detector.feed([Segment(number, "caller", text, number * 5_000, number * 5_000 + 4_000)])
        return max(0, tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
