"""Runs the linear text model in-process, one utterance of any number of calls at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.fork import fork
from models.inference import onnxruntime as ort
from models.scam.features import DIMENSION, features

_COUNT_LIMIT = 255  # counts are kept in bytes: 128 KB a call


class Step(msgspec.Struct, frozen=True):
    """What one utterance changes: features, their term weights before and after.

    `score` and `energy` are the call's running numbers from before the utterance.
    """

    features: NDArray[np.int64]
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    score: float
    energy: float


class Reading(msgspec.Struct, frozen=True):
    """The model's view after a step: log odds of a scam, and the numbers to carry on."""

    margin: float
    score: float
    energy: float


def session_of(content: bytes) -> ort.InferenceSession:
    """Open a model file whose sums are tiny: a pool of threads would only fight for cores."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])


class Reader(Protocol):
    """What a detector asks of a classifier."""

    def read(self, steps: Sequence[Step]) -> list[Reading]:
        """Score a batch of utterances, at most one of each call."""


class Classifier:
    """One session for all calls; `read` may be called from several threads at once."""

    __slots__ = ("_session",)

    def __init__(self, content: bytes) -> None:
        self._session = session_of(content)

    def read(self, steps: Sequence[Step]) -> list[Reading]:
        """Score a batch of utterances, at most one of each call."""
        if not steps:
            return []
        shape = (len(steps), max(1, *(len(step.features) for step in steps)))
        ids = np.zeros(shape, dtype=np.int64)
        before = np.zeros(shape, dtype=np.float32)
        after = np.zeros(shape, dtype=np.float32)
        for row, step in enumerate(steps):
            width = len(step.features)
            ids[row, :width] = step.features
            before[row, :width] = step.before
            after[row, :width] = step.after
        score, energy, margin = self._session.run(
            ["next_score", "next_energy", "margin"],
            {
                "features": ids,
                "before": before,
                "after": after,
                "score": np.array([step.score for step in steps], dtype=np.float32),
                "energy": np.array([step.energy for step in steps], dtype=np.float32),
            },
        )
        return [
            Reading(float(margin[row]), float(score[row]), float(energy[row]))
            for row in range(len(steps))
        ]


class Memory:
    """The classifier's memory of one call, of constant size."""

    __slots__ = ("_counts", "_energy", "_score", "heard")
    __copy__ = fork

    def __init__(self) -> None:
        self._counts: NDArray[np.uint8] = np.zeros(DIMENSION, dtype=np.uint8)
        self._score = self._energy = 0.0
        self.heard = False  # whether any word said something to the classifier

    def step(self, words: Sequence[str]) -> Step:
        """Count the words of one utterance; hand the step's reading to `keep`."""
        found, times = np.unique(features(words), return_counts=True)
        counted = self._counts[found].astype(np.int64)
        raised = np.minimum(counted + times, _COUNT_LIMIT)
        self._counts[found] = raised
        self.heard = self.heard or len(found) > 0
        return Step(
            found,
            np.log2(1.0 + counted).astype(np.float32),
            np.log2(1.0 + raised).astype(np.float32),
            self._score,
            self._energy,
        )

    def keep(self, reading: Reading) -> None:
        """Carry the model's running numbers over to the next utterance."""
        self._score, self._energy = reading.score, reading.energy
