"""Fits how evidence becomes risk, to conversations that the classifier did not learn from.

A logistic regression over the terms of `detectors.fusion`, drawn towards what was believed
before any data. An alarm is worth having only while hardly any honest call is one, so honest
calls weigh `HONEST_WEIGHT` times as much; afterwards the log odds are stretched and moved until
the risk at the end of a call is the share of scams among calls of that risk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp, log

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.fusion import Evidence, fuse, terms
from detectors.left_out import Heard
from models.scam.manifest import Fusion

HONEST_WEIGHT = 10.0
PRIOR_WEIGHT = 5e-3  # for a slope that is off by one standard deviation of its term
EARLY_WEIGHT, EARLY_WORDS = 4.0, 30.0  # first words weigh up to five times as much as later ones
# The calls there are to learn from are too short to tell, and none has a single word.
_FIXED = frozenset({"length", "silence"})
_SIGNED = frozenset({"bias", "opening", "answered"})
_FREE = (None, None)

Floats = NDArray[np.float64]


class Rows(msgspec.Struct, frozen=True):
    """One row for each party at each moment."""

    terms: Floats
    scam: NDArray[np.bool_]
    weight: Floats


def fit_fusion(heard: Sequence[Heard], prior: Fusion) -> Fusion:
    """Fit to left-out conversations; one that was left out in two ways may come twice.

    Every source weighs the same, and so does every cluster in it. Raises `ValueError` when there
    is only one label.
    """
    if {each.scam for each in heard if each.moments} != {True, False}:
        raise ValueError("fitting the fusion needs left-out scam and benign conversations")
    return calibrated(heard, _slopes(_rows(heard, prior), prior))


def calibrated(heard: Sequence[Heard], fusion: Fusion) -> Fusion:
    """Stretch and move the log odds so that last risks are shares of scams."""
    last = [
        max(_log_odds(party, fusion) for party in each.moments[-1].parties) for each in _said(heard)
    ]
    odds, scam = np.array(last), np.array([each.scam for each in _said(heard)])
    weight = np.full(len(odds), 1 / len(odds))
    stretch, shift = _descend(
        np.stack([odds, np.ones(len(odds))], axis=1), scam, weight, bounds=[(0.05, None), _FREE]
    )
    slopes = [float(stretch * slope) for slope in msgspec.structs.astuple(fusion)]
    slopes[0] += float(shift)
    return Fusion(*slopes)


def _said(heard: Sequence[Heard]) -> list[Heard]:
    return [each for each in heard if each.moments and each.moments[-1].parties]


def _log_odds(evidence: Evidence, fusion: Fusion) -> float:
    return float(np.dot(msgspec.structs.astuple(fusion), terms(evidence)))


def _rows(heard: Sequence[Heard], prior: Fusion) -> Rows:
    said = _said(heard)
    clusters = Counter((each.source, each.scam, each.cluster) for each in said)
    sources = Counter((source, scam) for source, scam, _ in clusters)
    found: list[tuple[float, ...]] = []
    scam: list[bool] = []
    weight: list[float] = []
    for each in said:
        parties = [
            party for moment in each.moments for party in _examples(each, moment.parties, prior)
        ]
        share = 1 / clusters[each.source, each.scam, each.cluster] / sources[each.source, each.scam]
        for party in parties:
            found.append(terms(party))
            scam.append(each.scam)
            early = 1 + EARLY_WEIGHT * exp(-party.caller_words / EARLY_WORDS)
            weight.append(share * early / len(parties))
    return Rows(np.array(found), np.array(scam), np.array(weight))


def _examples(talk: Heard, parties: Sequence[Evidence], prior: Fusion) -> Sequence[Evidence]:
    """Everybody in an honest call; in a scam the scammer alone.

    That is who looks riskiest, by what was believed before any data, once all is said.
    """
    if not talk.scam:
        return parties
    risks = [fuse(party, prior).risk for party in talk.moments[-1].parties]
    scammer = risks.index(max(risks))
    return parties[scammer : scammer + 1]


def _slopes(rows: Rows, prior: Fusion) -> Fusion:
    weight = rows.weight.copy()
    for side, share in ((rows.scam, 1.0), (~rows.scam, HONEST_WEIGHT)):
        weight[side] *= share / (1 + HONEST_WEIGHT) / weight[side].sum()
    believed = np.array(msgspec.structs.astuple(prior))
    believed[0] -= log(HONEST_WEIGHT)
    spread = rows.terms.std(axis=0)
    spread[spread == 0] = 1.0  # the bias
    slopes = _descend(
        rows.terms / spread,
        rows.scam,
        weight,
        bounds=[
            _bound(name, slope) for name, slope in zip(_names(), believed * spread, strict=True)
        ],
        believed=believed * spread,
    )
    return Fusion(*(float(slope) for slope in slopes / spread))


def _names() -> tuple[str, ...]:
    return Fusion.__struct_fields__


def _bound(name: str, believed: float) -> tuple[float | None, float | None]:
    if name in _FIXED:
        return (believed, believed)
    return _FREE if name in _SIGNED else (0.0, None)


def _descend(
    x: Floats,
    scam: NDArray[np.bool_],
    weight: Floats,
    *,
    bounds: Sequence[tuple[float | None, float | None]],
    believed: Floats | None = None,
) -> Floats:
    """Minimise the weighted log loss within bounds, drawn towards what was believed."""
    from scipy.optimize import minimize

    target = scam.astype(np.float64)
    origin = np.zeros(x.shape[1]) if believed is None else believed
    pull = 0.0 if believed is None else PRIOR_WEIGHT
    drawn = np.array([low != high or low is None for low, high in bounds]) * pull
    drawn[0] = 0.0

    def loss(slopes: Floats) -> tuple[float, Floats]:
        odds = x @ slopes
        off = slopes - origin
        residual = weight * (1 / (1 + np.exp(-np.clip(odds, -60, 60))) - target)
        lost = weight @ (np.logaddexp(0, odds) - target * odds) + drawn @ off**2
        return float(lost), x.T @ residual + 2 * drawn * off

    found: Floats = minimize(loss, origin, jac=True, method="L-BFGS-B", bounds=bounds).x
    return found
