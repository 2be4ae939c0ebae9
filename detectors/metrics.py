"""Figures about scores of many conversations, and how sure they are.

Definitions, the same for every report: a benign conversation weighs 1 / max(100, conversations
of its source), so that a big source does not decide alone and a tiny one neither; rates of scams
are averaged over sources; intervals come from resampling whole clusters of near-duplicates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

SECONDS = (5, 10, 15, 30)
NEVER = -1e9  # the score of a conversation in which nothing was said
_LEAST_SOURCE = 100

Floats = NDArray[np.float64]


class Scored(msgspec.Struct, frozen=True):
    """One conversation after it was heard; `steps` are (seconds so far, score), in order."""

    source: str
    cluster: str
    scam: bool
    steps: tuple[tuple[float, float], ...]


class Table:
    """Scored conversations in columns.

    `final` is the last score, `highest` the greatest, `highest_by[k]` the greatest within the
    first k seconds.
    """

    __slots__ = ("cluster", "final", "highest", "highest_by", "scam", "source")

    def __init__(
        self,
        *,
        source: NDArray[np.str_],
        cluster: NDArray[np.str_],
        scam: NDArray[np.bool_],
        final: Floats,
        highest: Floats,
        highest_by: dict[int, Floats],
    ) -> None:
        self.source, self.cluster, self.scam = source, cluster, scam
        self.final, self.highest, self.highest_by = final, highest, highest_by

    @classmethod
    def of(cls, scored: Sequence[Scored], seconds: Sequence[int] = SECONDS) -> Table:
        """Sum up each conversation."""
        return cls(
            source=np.array([each.source for each in scored], dtype=np.str_),
            cluster=np.array([each.cluster for each in scored], dtype=np.str_),
            scam=np.array([each.scam for each in scored], dtype=np.bool_),
            final=np.array([each.steps[-1][1] if each.steps else NEVER for each in scored]),
            highest=np.array([_highest(each, math.inf) for each in scored]),
            highest_by={k: np.array([_highest(each, k) for each in scored]) for k in seconds},
        )

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Table:
        """Return the named rows, with repeats."""
        return Table(
            source=self.source[rows],
            cluster=self.cluster[rows],
            scam=self.scam[rows],
            final=self.final[rows],
            highest=self.highest[rows],
            highest_by={k: column[rows] for k, column in self.highest_by.items()},
        )

    def __len__(self) -> int:
        return len(self.scam)


class Interval(msgspec.Struct, frozen=True):
    """A figure with the range that 95 % of the resampled ones lie in; NaN where unknown."""

    value: float
    low: float
    high: float


class Bin(msgspec.Struct, frozen=True):
    """Conversations of about the same risk: the mean risk, and the share that are scams."""

    risk: float
    scams: float
    share: float  # of all conversations


def _highest(scored: Scored, until: float) -> float:
    return max((score for seconds, score in scored.steps if seconds <= until), default=NEVER)


def weights(source: NDArray[np.str_]) -> Floats:
    """Return what each conversation weighs among those of its label."""
    _, place, sizes = np.unique(source, return_inverse=True, return_counts=True)
    each: Floats = 1.0 / np.maximum(_LEAST_SOURCE, sizes)[place]
    return each


def threshold(scores: Floats, source: NDArray[np.str_], share: float = 0.01) -> float:
    """Return the score above which `share` of the benign weight lies; NaN without any."""
    if not len(scores):
        return math.nan
    order = np.argsort(-scores, kind="stable")
    heavy = weights(source)[order]
    reached = np.cumsum(heavy) / heavy.sum()
    return float(scores[order][min(len(order) - 1, int(np.searchsorted(reached, share)))])


def area_under_curve(scam: Floats, benign: Floats) -> float:
    """Return the chance that a scam scores above a benign call; NaN without both."""
    if not len(scam) or not len(benign):
        return math.nan
    ordered = np.sort(benign)
    below = np.searchsorted(ordered, scam, side="left")
    not_above = np.searchsorted(ordered, scam, side="right")
    return float((below + not_above).mean() / 2 / len(benign))


def mean_over_sources(values: NDArray[np.bool_] | Floats, source: NDArray[np.str_]) -> float:
    """Average within each source, then over the sources; NaN without any."""
    if not len(values):
        return math.nan
    return float(np.mean([values[source == name].mean() for name in np.unique(source)]))


def auc(table: Table) -> float:
    """Return the mean over scam sources of the area under the curve against all benign."""
    scam, benign = table.scam, table.final[~table.scam]
    areas = [
        area_under_curve(table.final[scam & (table.source == name)], benign)
        for name in np.unique(table.source[scam])
    ]
    return float(np.mean(areas)) if areas else math.nan


def recall(table: Table, share: float = 0.01) -> float:
    """Return the share of scams whose last score is above that of 1 % of the benign weight."""
    limit = threshold(table.final[~table.scam], table.source[~table.scam], share)
    return mean_over_sources(table.final[table.scam] > limit, table.source[table.scam])


def ever_flagged(table: Table, share: float = 0.01) -> float:
    """Return the share of scams ever flagged, at 1 % of the benign weight ever flagged."""
    return _flagged(table, table.highest, share)


def flagged_by(seconds: int, share: float = 0.01) -> Callable[[Table], float]:
    """Make the figure of scams flagged within so many seconds of the call."""
    return lambda table: _flagged(table, table.highest_by[seconds], share)


def _flagged(table: Table, highest: Floats, share: float) -> float:
    benign = ~table.scam
    limit = threshold(table.highest[benign], table.source[benign], share)
    return mean_over_sources(highest[table.scam] > limit, table.source[table.scam])


def alarms_above(limit: float) -> Callable[[Table], float]:
    """Make the figure of benign calls ever at or above a risk, averaged over sources."""

    def figure(table: Table) -> float:
        benign = ~table.scam
        return mean_over_sources(table.highest[benign] >= limit, table.source[benign])

    return figure


def reliability(chance: Floats, scam: NDArray[np.bool_], bins: int = 10) -> list[Bin]:
    """Group risks in [0, 1] into equally wide bins; empty ones are left out."""
    place = np.clip((chance * bins).astype(int), 0, bins - 1)
    return [
        Bin(float(chance[mine].mean()), float(scam[mine].mean()), float(mine.mean()))
        for mine in (place == number for number in range(bins))
        if mine.any()
    ]


def calibration_error(table: Table) -> float:
    """Return the expected calibration error of the last risks, in ten bins."""
    heard = table.final > NEVER
    found = reliability(table.final[heard], table.scam[heard])
    return sum(each.share * abs(each.risk - each.scams) for each in found) if found else math.nan


def roc(scam: Floats, benign: Floats) -> tuple[Floats, Floats]:
    """Return shares of benign and of scams at or above each score, from (0, 0) to (1, 1)."""
    scores = np.unique(np.r_[scam, benign])[::-1]
    return _share_above(benign, scores), _share_above(scam, scores)


def precision_recall(scam: Floats, benign: Floats) -> tuple[Floats, Floats]:
    """Return recall and precision at each score, as if both labels were equally common."""
    false, true = roc(scam, benign)
    said = true > 0
    return true[said], true[said] / (true[said] + false[said])


def _share_above(values: Floats, scores: Floats) -> Floats:
    above = len(values) - np.searchsorted(np.sort(values), scores, side="left")
    return np.concatenate(([0.0], above / max(1, len(values))))


def interval(
    table: Table, figure: Callable[[Table], float], *, rounds: int = 400, seed: int = 1
) -> Interval:
    """Resample clusters within each source and return the figure with its 95 % interval."""
    groups = _clusters(table)
    rng = np.random.default_rng(seed)
    found: list[float] = []
    for _ in range(rounds):
        rows = np.concatenate(
            [
                clusters[pick]
                for clusters in groups
                for pick in rng.integers(0, len(clusters), len(clusters))
            ]
            or [np.zeros(0, dtype=np.intp)]
        )
        value = figure(table.take(rows))
        if not math.isnan(value):
            found.append(value)
    if not found:
        return Interval(figure(table), math.nan, math.nan)
    low, high = np.percentile(found, [2.5, 97.5])
    return Interval(figure(table), float(low), float(high))


def _clusters(table: Table) -> list[list[NDArray[np.intp]]]:
    """Return, for each source, the rows of each of its clusters."""
    groups: list[list[NDArray[np.intp]]] = []
    for source in np.unique(table.source):
        rows = np.flatnonzero(table.source == source)
        _, place = np.unique(table.cluster[rows], return_inverse=True)
        order = np.argsort(place, kind="stable")
        groups.append(np.split(rows[order], np.flatnonzero(np.diff(place[order])) + 1))
    return groups
