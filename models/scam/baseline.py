"""The plain baseline that figures stand beside: TF-IDF of words and characters, and a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.scam.corpus import Conversation, View, cut_words
from models.scam.fit import PREFIXES
from models.scam.words import WORDS_PER_SECOND

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SECONDS = (5.0, 10.0, 15.0, 30.0, float("inf"))  # beginnings of a call that are scored
_WORDS, _CHARACTERS = 100_000, 60_000  # n-grams kept, the most common ones
_SOFTNESS = 3.0  # scikit-learn's C

Rows = NDArray[np.intp]


class Texts:
    """Texts whose n-grams are counted once, for any number of baselines."""

    __slots__ = ("_place", "characters", "words")

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self._place = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        self.words: csr_array = CountVectorizer(ngram_range=(1, 2)).fit_transform(self._place)
        self.characters: csr_array = CountVectorizer(
            analyzer="char_wb", ngram_range=(3, 4)
        ).fit_transform(self._place)

    def rows(self, texts: Sequence[str]) -> Rows:
        """Say where texts are, which must be among those counted."""
        return np.array([self._place[text] for text in texts], dtype=np.intp)


class Baseline:
    """A model fitted to some of the texts; what it knows of n-grams is of those alone."""

    __slots__ = ("_grams", "_model", "_texts")

    def __init__(
        self, texts: Texts, taught: Sequence[str], scam: Sequence[bool], *, seed: int
    ) -> None:
        from sklearn.linear_model import LogisticRegression

        self._texts = texts
        rows = texts.rows(taught)
        self._grams = (
            _Grams(texts.words, rows, least=2, most=_WORDS),
            _Grams(texts.characters, rows, least=1, most=_CHARACTERS),
        )
        self._model: LogisticRegression = LogisticRegression(
            C=_SOFTNESS, class_weight="balanced", solver="liblinear", dual=True, random_state=seed
        ).fit(self._weighed(rows), np.array(scam))

    def read(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of a scam for each text."""
        rows = self._weighed(self._texts.rows(texts))
        chances: NDArray[np.float64] = self._model.predict_proba(rows)[:, 1]
        return chances

    def steps(self, talk: Conversation) -> tuple[tuple[float, float], ...]:
        """Score a call after each of its beginnings: (seconds, probability)."""
        heard = beginnings(talk)
        chances = self.read([text for _, text in heard]).tolist()
        return tuple((moment, chance) for (moment, _), chance in zip(heard, chances, strict=True))

    def _weighed(self, rows: Rows) -> csr_array:
        from scipy.sparse import hstack

        return hstack([grams.weighed(rows) for grams in self._grams]).tocsr()


class _Grams:
    """The most common n-grams of some texts, and how rare each is among them."""

    __slots__ = ("_counts", "_rarity")

    def __init__(self, counts: csr_array, taught: Rows, *, least: int, most: int) -> None:
        from sklearn.feature_extraction.text import TfidfTransformer

        heard = counts[taught]
        common = np.flatnonzero(np.bincount(heard.indices, minlength=counts.shape[1]) >= least)
        total = np.asarray(heard.sum(axis=0)).ravel()[common]
        kept = np.sort(common[np.argsort(-total, kind="stable")[:most]])
        self._counts = counts[:, kept].tocsr()
        self._rarity: TfidfTransformer = TfidfTransformer(sublinear_tf=True)
        self._rarity.fit(self._counts[taught])

    def weighed(self, rows: Rows) -> csr_array:
        """Return the rows as TF-IDF, each of length 1."""
        return self._rarity.transform(self._counts[rows])


def examples_of(views: Sequence[View]) -> tuple[list[str], list[bool]]:
    """Return what the baseline is taught of views: the beginnings that the model is taught too."""
    pairs = [(text, view.scam) for view in views for text in _taught_beginnings(view)]
    return [text for text, _ in pairs], [scam for _, scam in pairs]


def beginnings(talk: Conversation) -> list[tuple[float, str]]:
    """Return a call, both sides together, after 5, 10, 15 and 30 seconds and at its end."""
    words = [word for turn in talk.turns for cut in cut_words(turn.text) for word in cut]
    limits = (min(float(len(words)), second * WORDS_PER_SECOND) for second in SECONDS)
    return [
        (length / WORDS_PER_SECOND, " ".join(words[:length]))
        for length in sorted({int(limit) for limit in limits})
    ]


def _taught_beginnings(view: View) -> Iterator[str]:
    words = [word for utterance in view.utterances for word in utterance]
    lengths = sorted({min(len(words), limit) for limit, _ in PREFIXES})
    for length in lengths[1:] or lengths:
        yield " ".join(words[:length])
