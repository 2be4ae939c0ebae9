"""Which origins are left out together, and the plain baseline that every figure stands beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.scam.corpus import OURS, Conversation, View, cut_words, trainable, views
from models.scam.fit import PREFIXES
from models.scam.words import WORDS_PER_SECOND

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

SECONDS = (5.0, 10.0, 15.0, 30.0, float("inf"))  # beginnings of a call that the baseline scores
QUICK_FOLDS = 5


def folds(conversations: Sequence[Conversation], *, quick: bool) -> list[tuple[str, ...]]:
    """Return the sets of origins to leave out: each source, each topic of our own dialogues.

    `quick` leaves out several at a time, in five sets; never all benign or all scams.
    """
    origins = sorted({talk.origin for talk in trainable(conversations)})
    if not quick:
        return [(origin,) for origin in origins]
    ours = [origin for origin in origins if origin.startswith(f"{OURS}/")]
    rest = [origin for origin in origins if origin not in ours]
    mixed = [*rest[::2], *rest[1::2], *ours]
    return [tuple(mixed[at::QUICK_FOLDS]) for at in range(min(QUICK_FOLDS, len(mixed)))]


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


def baseline_views(conversations: Sequence[Conversation], left_out: Sequence[str]) -> list[View]:
    """Return what the baseline is taught: the same views as the model."""
    kept = [talk for talk in trainable(conversations) if talk.origin not in left_out]
    return [view for talk in kept for view in views(talk)]


def _limits(words: int) -> Iterator[float]:
    for second in SECONDS:
        yield min(float(words), second * WORDS_PER_SECOND)


def _beginnings(view: View) -> Iterator[str]:
    words = [word for utterance in view.utterances for word in utterance]
    lengths = sorted({min(len(words), limit) for limit, _ in PREFIXES})
    for length in lengths[1:] or lengths:
        yield " ".join(words[:length])
