"""Logistic regression on hashed n-grams.

The features of a text are `idf * log2(1 + count)`, divided by the length of the whole vector
plus a constant (`DAMPING`), so that a few words say little and many words do not say more
than their mix does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import compress, count
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.scam.corpus import View
from models.scam.features import DIMENSION, features

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DAMPING = 100.0  # in squared idf units: about the energy of two words
RIDGE = 9e-6
STEPS = 200  # at most; some eighty are needed
# Our twins share topic, opening and style, so that they teach what a scam is rather than where a
# text comes from: they weigh more.
FACTORS = {"ours": 3.0}
# Prefixes taught, in words, with their weight: early decisions matter, tiny texts say little. They
# end where utterances do.
PREFIXES = ((12, 0.5), (24, 0.75), (48, 1.0), (96, 1.0), (1 << 30, 1.0))
DROPPED_WORDS = 0.08  # share of words left out of the examples, as recognisers do

Floats = NDArray[np.float32]


class Examples(msgspec.Struct, frozen=True):
    """What views teach, counted once for any number of models that are taught some of them.

    `counted` has a row for each beginning of a view, with the term weights of its features;
    `view` and `factor` are the view of each row and what it counts beside the view's others.
    `held` has a row for each view with a one for each feature that it holds.
    """

    views: Sequence[View]
    counted: csr_array
    view: NDArray[np.intp]
    factor: NDArray[np.float64]
    held: csr_array


class Weights(msgspec.Struct, frozen=True):
    """A fitted model: probability = sigmoid(sum(weight * idf * tf) / norm + bias)."""

    weight: Floats
    idf: Floats
    bias: float
    damping: float = DAMPING


def examples(views: Iterable[View], *, seed: int) -> Examples:
    """Cut views into examples; what one view teaches does not depend on the others."""
    counted, held = _Rows(), _Rows()
    kept: list[View] = []
    place: list[int] = []
    factors: list[float] = []
    for number, view in enumerate(views):
        kept.append(view)
        rng = np.random.default_rng([seed, crc32(f"{view.id}/{len(view.utterances)}".encode())])
        held.add(np.concatenate([features(words) for words in view.utterances]))
        for words, factor in _prefixes(view):
            counted.add(np.concatenate([features(_drop(said, rng)) for said in words]))
            place.append(number)
            factors.append(factor)
    rows = counted.matrix()
    rows.data = term_weights(rows.data)
    once = held.matrix()
    once.data[:] = 1
    return Examples(kept, rows, np.array(place), np.array(factors), once)


def fit(
    known: Examples, taught: NDArray[np.bool_], *, progress: Callable[[float], None]
) -> Weights:
    """Fit on the views that are `taught`; the same ones give the same weights.

    `progress` is called with the share done, in [0, 1]. Raises `ValueError` when no scam or no
    benign view is taught.
    """
    if {view.scam for view in compress(known.views, taught)} != {True, False}:
        raise ValueError("training needs scam and benign conversations of allowed sources")
    idf = inverse_document_frequencies(known, taught)
    weight, bias = _descend(*_rows(known, taught, idf), progress)
    return Weights(weight, idf, bias)


def inverse_document_frequencies(known: Examples, taught: NDArray[np.bool_]) -> Floats:
    """Smoothed idf over taught views; a feature seen in fewer than two clusters counts nothing."""
    from scipy.sparse import csr_array

    chosen = np.flatnonzero(taught)
    names = [f"{view.source}/{view.cluster}" for view in compress(known.views, taught)]
    _, cluster = np.unique(names, return_inverse=True)
    clusters = int(cluster.max()) + 1
    shape = (clusters, len(taught))
    members = csr_array((np.ones(len(chosen)), (cluster, chosen)), shape=shape)
    seen = np.bincount((members @ known.held).indices, minlength=DIMENSION)
    idf = np.log((1 + clusters) / (1 + seen)) + 1
    return np.where(seen >= 2, idf, 0).astype(np.float32)


def term_weights(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much a feature counts that was seen `counts` times."""
    return np.asarray(np.log2(1.0 + counts), dtype=np.float64)


class _Rows:
    """Collects features and counts them, row by row."""

    def __init__(self) -> None:
        self._columns: list[NDArray[np.int64]] = []
        self._counts: list[NDArray[np.int64]] = []
        self._starts = [0]

    def add(self, found: NDArray[np.int64]) -> None:
        columns, counts = np.unique(found, return_counts=True)
        self._columns.append(columns.astype(np.int32))
        self._counts.append(counts)
        self._starts.append(self._starts[-1] + len(columns))

    def matrix(self) -> csr_array:
        from scipy.sparse import csr_array

        starts = np.array(self._starts, dtype=np.int32)
        parts = (np.concatenate(self._counts), np.concatenate(self._columns), starts)
        return csr_array(parts, shape=(len(self._columns), DIMENSION))


def _rows(
    known: Examples, taught: NDArray[np.bool_], idf: Floats
) -> tuple[csr_array, NDArray[np.bool_], NDArray[np.float64]]:
    """Return the taught rows in units of their length, their labels and their weights."""
    from scipy.sparse import diags_array

    chosen = np.flatnonzero(taught[known.view])
    view = known.view[chosen]
    rows = known.counted[chosen] @ diags_array(idf.astype(np.float64))
    rows.eliminate_zeros()
    norm = np.sqrt(rows.multiply(rows).sum(axis=1) + DAMPING)
    share = np.zeros(len(taught))
    share[taught] = _view_weights(list(compress(known.views, taught)))
    weight = share[view] * known.factor[chosen]
    scam = np.array([each.scam for each in known.views])[view]
    for side in (scam, ~scam):
        weight[side] /= 2 * weight[side].sum()
    return (diags_array(1 / norm) @ rows).tocsr(), scam, weight


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


def _descend(
    rows: csr_array,
    scam: NDArray[np.bool_],
    weight: NDArray[np.float64],
    progress: Callable[[float], None],
) -> tuple[Floats, float]:
    """Minimise the weighted log loss; features that no row has are left at 0."""
    from scipy.optimize import minimize

    found = np.unique(rows.indices)
    rows = rows[:, found]
    columns = rows.T.tocsr()
    target = scam.astype(np.float64)
    steps = count(1)

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = rows @ point[:-1] + point[-1]
        residual = weight * (_sigmoid(margin) - target)
        lost = (weight * (np.logaddexp(0, margin) - target * margin)).sum()
        lost += RIDGE / 2 * np.square(point[:-1]).sum()
        return lost, np.r_[columns @ residual + RIDGE * point[:-1], residual.sum()]

    point = minimize(
        loss,
        np.zeros(len(found) + 1),
        jac=True,
        method="L-BFGS-B",
        callback=lambda _: progress(min(1.0, next(steps) / STEPS)),
        options={"maxiter": STEPS, "maxcor": 20, "gtol": 1e-9, "ftol": 1e-12},
    ).x
    weights = np.zeros(DIMENSION, dtype=np.float32)
    weights[found] = point[:-1]
    progress(1.0)
    return weights, float(point[-1])


def _sigmoid(margin: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(margin, -60, 60)))
