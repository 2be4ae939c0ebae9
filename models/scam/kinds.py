"""Learns what a scam is called and how it works on its victim, from the scams that say so.

One logistic regression for each kind and each tactic, on the classifier's n-grams folded into
fewer places: there are some hundred examples of a kind, not thousands. The features of a text
are `log2(1 + count)`, divided by the length of the whole vector plus a constant (`DAMPING`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.scam.corpus import OURS, Conversation, cut_words, trainable
from models.scam.dialogues import Tactic
from models.scam.features import features
from models.scam.fit import Floats, term_weights

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PLACES = 1 << 14
DAMPING = 10.0  # the energy of five words
SOFTNESS = 10.0  # how much an example may pull, against a squared weight
ENOUGH = 5  # examples of a kind or tactic, below which it is left to the phrases
STEPS = 300
# In log odds: what is like nothing in particular is like everything else, and a name says more.
HANDICAP_OF_OTHER = 0.5
_VICTIMS = frozenset({"agent", "callee"})
OTHER = "other"
# What the corpora call the kinds; a name that is not here is of another kind.
CORPUS_KINDS = {
    "apple_icloud": "tech_support",
    "auto_warranty": "robocall",
    "bank_payment": "bank_impersonation",
    "business_loan": "robocall",
    "covid_relief": "government_tax",
    "credit_card_rate": "robocall",
    "legal_threat": "government_tax",
    "medicare_health": "robocall",
    "parcel": "delivery",
    "amazon_order": "refund",
    "prize_travel": "lottery",
    "reward": "lottery",
    "social_security": "government_tax",
    "solar_home": "robocall",
    "ssn": "government_tax",
    "student_loan": "robocall",
    "support": "tech_support",
    "tax_irs": "government_tax",
    "telecom_discount": "robocall",
}
_SAME_NAME = (
    "bank_impersonation delivery family_emergency government_tax investment job lottery refund "
    "robocall tech_support"
)
CORPUS_KINDS |= {name: name for name in _SAME_NAME.split()}
TACTICS = get_args(Tactic)


class Heads(msgspec.Struct, frozen=True):
    """Fitted heads: log odds = sum(weight * tf) / norm + bias, a column for each name."""

    types: tuple[str, ...]
    tactics: tuple[str, ...]
    weight: Floats
    bias: Floats
    damping: float = DAMPING


def kind_of(talk: Conversation) -> str:
    """Return the kind of a scam by the names that detections have."""
    return CORPUS_KINDS.get(talk.scam_type or OTHER, OTHER)


def labelled(conversations: Sequence[Conversation]) -> list[Conversation]:
    """Keep the scams whose kind is known, of sources whose licences allow it."""
    return [talk for talk in trainable(conversations) if talk.is_scam and talk.scam_type]


def fit_heads(conversations: Sequence[Conversation]) -> Heads | None:
    """Fit on labelled scams: kinds on all of them, tactics on our own, which alone name them.

    The same conversations give the same heads. None without two kinds to tell apart.
    """
    talks = labelled(conversations)
    own = [talk for talk in talks if talk.source == OURS]
    types = _common(kind_of(talk) for talk in talks)
    tactics = _common(name for talk in own for name in talk.tactics if name in TACTICS)
    if len(types) < 2:
        return None
    told = _fitted(talks, types, [(kind_of(talk),) for talk in talks])
    told[-1] -= HANDICAP_OF_OTHER * (np.array(types) == OTHER)
    used = _fitted(own, tactics, [talk.tactics for talk in own])
    whole = np.concatenate([told, used], axis=1).astype(np.float32)
    return Heads(types, tactics, whole[:-1], whole[-1])


def _common(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name, count in Counter(names).items() if count >= ENOUGH))


def _rows(talks: Sequence[Conversation]) -> csr_array:
    """Make a row of what the remote side of each talk says."""
    from scipy.sparse import csr_array

    values, places, starts = [], [], [0]
    for talk in talks:
        found, counts = np.unique(_heard(talk), return_counts=True)
        value = term_weights(counts)
        values.append(value / np.sqrt(np.square(value).sum() + DAMPING))
        places.append(found % PLACES)
        starts.append(starts[-1] + len(found))
    rows = csr_array(
        (np.concatenate(values), np.concatenate(places), starts), shape=(len(talks), PLACES)
    )
    rows.sum_duplicates()
    return rows


def _heard(talk: Conversation) -> NDArray[np.int64]:
    said = (turn.text for turn in talk.turns if turn.speaker not in _VICTIMS)
    found = [features(words) for text in said for words in cut_words(text)]
    return np.concatenate([np.zeros(0, dtype=np.int64), *found])


def _fitted(
    talks: Sequence[Conversation], names: Sequence[str], labels: Sequence[Sequence[str]]
) -> NDArray[np.float64]:
    """Fit a column of weights for each name, the biases in a last row."""
    if not names:
        return np.zeros((PLACES + 1, 0))
    return _descend(_rows(talks), np.array([[name in label for name in names] for label in labels]))


def _descend(rows: csr_array, present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Minimise the log loss by accelerated gradient descent, for all columns at once.

    In each column those with the name weigh as much as those without it. Rows are no longer than
    1, but for features that share a place, so that the Hessian is at most 1/4 of the total weight
    (1), with the bias at most 1/2.
    """
    having = present.sum(axis=0)
    share = 0.5 / np.where(present, having, len(present) - having)
    ridge = 1 / (SOFTNESS * len(present))
    step = 1 / (0.5 + ridge)
    columns = rows.T.tocsr()
    point = np.zeros((PLACES + 1, present.shape[1]))
    ahead = point.copy()
    momentum = 1.0
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-(rows @ ahead[:-1] + ahead[-1])))
        residual = share * (chance - present)
        gradient = np.vstack([columns @ residual + ridge * ahead[:-1], residual.sum(axis=0)])
        moved = ahead - step * gradient
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / faster * (moved - point)
        point, momentum = moved, faster
    return point
