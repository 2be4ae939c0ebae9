"""What is left out of training together, and the plain baseline that figures stand beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.scam.corpus import OURS, Conversation, View, cut_words, trainable, views
from models.scam.fit import PREFIXES
from models.scam.words import WORDS_PER_SECOND

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

SECONDS = (5.0, 10.0, 15.0, 30.0, float("inf"))  # beginnings of a call that the baseline scores
FOLDS = 5


class Fold(msgspec.Struct, frozen=True):
    """The conversations, by id, that one model does not learn from."""

    name: str
    ids: frozenset[str]

    def kept(self, conversations: Iterable[Conversation]) -> list[Conversation]:
        """Return those that are taught."""
        return [talk for talk in conversations if talk.id not in self.ids]

    def left_out(self, conversations: Iterable[Conversation]) -> list[Conversation]:
        """Return those that are not."""
        return [talk for talk in conversations if talk.id in self.ids]


def origin_folds(conversations: Sequence[Conversation], *, quick: bool) -> list[Fold]:
    """Leave out each source and each topic of our own dialogues: callers of a kind never heard.

    `quick` leaves out several at a time, in five sets; never all benign or all scams.
    """
    taught = trainable(conversations)
    origins = sorted({talk.origin for talk in taught})
    sets: list[tuple[str, ...]] = [(origin,) for origin in origins]
    if quick:
        ours = [origin for origin in origins if origin.startswith(f"{OURS}/")]
        rest = [origin for origin in origins if origin not in ours]
        mixed = [*rest[::2], *rest[1::2], *ours]
        sets = [tuple(mixed[at::FOLDS]) for at in range(min(FOLDS, len(mixed)))]
    return [
        Fold(", ".join(names), frozenset(talk.id for talk in taught if talk.origin in names))
        for names in sets
    ]


def campaign_folds(conversations: Sequence[Conversation]) -> list[Fold]:
    """Leave out, in five sets, campaigns of known scams and whole sources of honest calls.

    This is what a server meets: new campaigns of the kinds of scams there are, and honest calls
    of kinds that nobody thought of. A source that has both labels is left out whole, and so is
    a topic of our own dialogues.
    """
    taught = trainable(conversations)
    whole = sorted({talk.origin for talk in taught if not talk.is_scam})
    return [
        Fold(
            f"campaigns, set {number + 1}",
            frozenset(talk.id for talk in taught if _set_of(talk, whole) == number),
        )
        for number in range(FOLDS)
    ]


def cluster_folds(conversations: Sequence[Conversation]) -> list[Fold]:
    """Leave out clusters of every source, in five sets: new campaigns of what is known."""
    return [
        Fold(
            f"clusters, set {number + 1}",
            frozenset(talk.id for talk in conversations if _set_of(talk, ()) == number),
        )
        for number in range(FOLDS)
    ]


def _set_of(talk: Conversation, whole: Sequence[str]) -> int:
    if talk.origin in whole:
        return whole.index(talk.origin) % FOLDS
    return crc32(f"{talk.source}/{talk.cluster}".encode()) % FOLDS


class Baseline:
    """Word and character TF-IDF with logistic regression, taught the same beginnings of calls."""

    __slots__ = ("_characters", "_model", "_words")

    def __init__(self, taught: Sequence[View], *, seed: int) -> None:
        from scipy.sparse import hstack
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        texts, scam = [], []
        for view in taught:
            for text in _beginnings(view):
                texts.append(text)
                scam.append(view.scam)
        self._words: TfidfVectorizer = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=100_000
        )
        self._characters: TfidfVectorizer = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True, max_features=60_000
        )
        rows = hstack([self._words.fit_transform(texts), self._characters.fit_transform(texts)])
        self._model: LogisticRegression = LogisticRegression(
            C=3.0, class_weight="balanced", solver="liblinear", random_state=seed
        ).fit(rows.tocsr(), np.array(scam))

    def read(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of a scam for each text."""
        from scipy.sparse import hstack

        rows = hstack([self._words.transform(texts), self._characters.transform(texts)])
        chances: NDArray[np.float64] = self._model.predict_proba(rows.tocsr())[:, 1]
        return chances

    def steps(self, talk: Conversation) -> tuple[tuple[float, float], ...]:
        """Score a call, both sides together, after 5, 10, 15 and 30 seconds and at its end."""
        words = [word for turn in talk.turns for cut in cut_words(turn.text) for word in cut]
        lengths = sorted({min(len(words), int(limit)) for limit in _limits(len(words))})
        texts = [" ".join(words[:length]) for length in lengths]
        chances = self.read(texts)
        return tuple(
            (length / WORDS_PER_SECOND, float(chance))
            for length, chance in zip(lengths, chances, strict=True)
        )


def taught_views(conversations: Sequence[Conversation]) -> list[View]:
    """Return what model and baseline are taught of conversations."""
    return [view for talk in trainable(conversations) for view in views(talk)]


def _limits(words: int) -> Iterator[float]:
    for second in SECONDS:
        yield min(float(words), second * WORDS_PER_SECOND)


def _beginnings(view: View) -> Iterator[str]:
    words = [word for utterance in view.utterances for word in utterance]
    lengths = sorted({min(len(words), limit) for limit, _ in PREFIXES})
    for length in lengths[1:] or lengths:
        yield " ".join(words[:length])
