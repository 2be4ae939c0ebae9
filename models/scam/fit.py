"""Logistic regression on hashed n-grams.

The features of a text are `idf * log2(1 + count)`, divided by the length of the whole vector
plus a constant (`DAMPING`), so that a few words say little and many words do not say more
than their mix does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.scam.corpus import View
from models.scam.features import DIMENSION, features

DAMPING = 200.0  # in squared idf units: about the energy of four words
RIDGE = 9e-6
STEPS = 250
# Our twins share topic, opening and style, so that they teach what a scam is rather than where a
# text comes from: they weigh more.
FACTORS = {"ours": 5.0}
# Prefixes taught, in words, with their weight: early decisions matter, tiny texts say little. They
# end where utterances do.
PREFIXES = ((12, 0.5), (24, 0.75), (48, 1.0), (96, 1.0), (1 << 30, 1.0))
DROPPED_WORDS = 0.08  # share of words left out of the examples, as recognisers do

Floats = NDArray[np.float32]


class Examples(msgspec.Struct, frozen=True):
    """Sparse rows: row i owns `columns[starts[i]:starts[i + 1]]` and the same of `values`."""

    starts: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: Floats
    scam: NDArray[np.bool_]
    weight: Floats


class Weights(msgspec.Struct, frozen=True):
    """A fitted model: probability = sigmoid(sum(weight * idf * tf) / norm + bias)."""

    weight: Floats
    idf: Floats
    bias: float
    damping: float = DAMPING


def fit(views: Sequence[View], *, seed: int, progress: Callable[[float], None]) -> Weights:
    """Fit on views; the same views and seed give the same weights.

    `progress` is called with the share done, in [0, 1].
    """
    rng = np.random.default_rng(seed)
    idf = inverse_document_frequencies(views)
    examples = _examples(views, idf, rng)
    weight, bias = _descend(examples, progress)
    return Weights(weight, idf, bias)


def inverse_document_frequencies(views: Sequence[View]) -> Floats:
    """Smoothed idf over views; a feature seen in fewer than two clusters counts nothing."""
    seen: NDArray[np.int64] = np.zeros(DIMENSION, dtype=np.int64)
    clusters: dict[str, set[int]] = {}
    for view in views:
        key = f"{view.source}/{view.cluster}"
        clusters.setdefault(key, set()).update(
            int(i) for words in view.utterances for i in features(words)
        )
    for found in clusters.values():
        seen[list(found)] += 1
    idf = np.log((1 + len(clusters)) / (1 + seen)) + 1
    return np.where(seen >= 2, idf, 0).astype(np.float32)


def term_weights(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much a feature counts that was seen `counts` times."""
    return np.asarray(np.log2(1.0 + counts), dtype=np.float64)


def _examples(views: Sequence[View], idf: Floats, rng: np.random.Generator) -> Examples:
    columns, values, lengths = [], [], []
    scam, weight = [], []
    shares = _view_weights(views)
    for view, share in zip(views, shares, strict=True):
        for words, factor in _prefixes(view):
            kept = [_drop(utterance, rng) for utterance in words]
            found = np.concatenate([features(utterance) for utterance in kept])
            column, count = np.unique(found, return_counts=True)
            value = idf[column] * term_weights(count)
            value /= np.sqrt(np.square(value).sum() + DAMPING)
            columns.append(column)
            values.append(value.astype(np.float32))
            lengths.append(len(column))
            scam.append(view.scam)
            weight.append(share * factor)
    label = np.array(scam)
    balanced = np.array(weight, dtype=np.float32)
    for side in (label, ~label):
        balanced[side] /= 2 * balanced[side].sum()
    return Examples(
        starts=np.r_[0, np.cumsum(lengths)].astype(np.int64),
        columns=np.concatenate(columns),
        values=np.concatenate(values),
        scam=label,
        weight=balanced,
    )


def _prefixes(view: View) -> list[tuple[list[tuple[str, ...]], float]]:
    cuts: list[tuple[list[tuple[str, ...]], float]] = []
    for limit, factor in PREFIXES:
        taken: list[tuple[str, ...]] = []
        heard = 0
        for utterance in view.utterances:
            taken.append(utterance)
            heard += len(utterance)
            if heard >= limit:
                break
        if not cuts or len(taken) > len(cuts[-1][0]):
            cuts.append((taken, factor))
    return cuts


def _drop(words: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    keep = rng.random(len(words)) >= DROPPED_WORDS
    return [word for word, kept in zip(words, keep, strict=True) if kept]


def _view_weights(views: Sequence[View]) -> list[float]:
    """Every cluster of a source weighs the same, every source as the root of its clusters.

    `FACTORS` comes on top.
    """
    members: dict[tuple[str, str, bool], int] = {}
    for view in views:
        key = (view.source, view.cluster, view.scam)
        members[key] = members.get(key, 0) + 1
    clusters: dict[tuple[str, bool], int] = {}
    for source, _, scam in members:
        clusters[source, scam] = clusters.get((source, scam), 0) + 1
    return [
        FACTORS.get(view.source, 1.0)
        / members[view.source, view.cluster, view.scam]
        / clusters[view.source, view.scam] ** 0.5
        for view in views
    ]


def _descend(examples: Examples, progress: Callable[[float], None]) -> tuple[Floats, float]:
    """Accelerated gradient descent with the step that the curvature bound allows.

    Rows have length <= 1, so the Hessian of the weighted loss is at most 1/4 of the total
    weight (1), bias included at most 1/2.
    """
    from scipy.sparse import csr_array

    step = 1 / (0.5 + RIDGE)
    shape = (len(examples.scam), DIMENSION)
    rows = csr_array((examples.values, examples.columns, examples.starts), shape=shape)
    columns = rows.T.tocsr()
    target = examples.scam.astype(np.float64)
    point = np.zeros(DIMENSION + 1)
    ahead = point.copy()
    momentum = 1.0
    for number in range(STEPS):
        margin = rows @ ahead[:-1] + ahead[-1]
        residual = examples.weight * (_sigmoid(margin) - target)
        gradient = columns @ residual + RIDGE * ahead[:-1]
        moved = ahead - step * np.r_[gradient, residual.sum()]
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / faster * (moved - point)
        point, momentum = moved, faster
        progress((number + 1) / STEPS)
    return point[:-1].astype(np.float32), float(point[-1])


def _sigmoid(margin: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(margin, -60, 60)))
