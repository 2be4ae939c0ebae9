"""Runs the learned heads for kinds and tactics in-process, one utterance of a call at a time."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.classifier import Step, session_of
from models.scam.manifest import Kinds

HEADS = "heads"  # what predictions call them


class Leaning(msgspec.Struct, frozen=True):
    """Towards which kinds and tactics a party's words lean: log odds by name.

    `scores` and `energy` are the running numbers to carry on; they are never changed in place.
    """

    kinds: Kinds
    types: Mapping[str, float]
    tactics: Mapping[str, float]
    scores: NDArray[np.float32]
    energy: float


class Heads:
    """One session for all calls; `read` may be called from several threads at once."""

    __slots__ = ("_kinds", "_session")

    def __init__(self, content: bytes, kinds: Kinds) -> None:
        self._session = session_of(content)
        self._kinds = kinds

    def read(self, step: Step, before: Leaning | None) -> Leaning | None:
        """Take the step of one utterance further; `before` is None at a party's first words.

        The running numbers of the step are the classifier's and are not looked at.
        """
        if not len(step.features):
            return before
        names = (*self._kinds.types, *self._kinds.tactics)
        scores = np.zeros(len(names), dtype=np.float32) if before is None else before.scores
        scores, energy, log_odds = self._session.run(
            ["next_scores", "next_energy", "log_odds"],
            {
                "features": step.features,
                "before": step.before,
                "after": step.after,
                "scores": scores,
                "energy": np.array(0.0 if before is None else before.energy, dtype=np.float32),
            },
        )
        told = dict(zip(names, log_odds.tolist(), strict=True))
        return Leaning(
            kinds=self._kinds,
            types={name: told[name] for name in self._kinds.types},
            tactics={name: told[name] for name in self._kinds.tactics},
            scores=scores,
            energy=float(energy),
        )
