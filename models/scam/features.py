"""Words to hashed n-grams: the input contract of the classifier.

Everything that tells corpora apart rather than scams is left out here: case and punctuation
(already gone from the words), the digits of numbers, greetings, thanks, fillers, the bank of one
corpus.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

DIMENSION = 1 << 17
VERSION = "words12-courtesy-numbers-h17"

_MARK = "^"
_NUMBER, _LARGE_NUMBER, _LONG = "0", "000", 3  # what numbers of up to 2 and of more digits become
_SAME = {
    "hundred": _LARGE_NUMBER,
    "thousand": _LARGE_NUMBER,
    "million": _LARGE_NUMBER,
    "dollar": "dollars",
    "pounds": "dollars",
    "quid": "dollars",
    "bucks": "dollars",
}
_LEFT_OUT_WORDS = (
    "hello hi hey greetings good morning afternoon evening uh um uhm huh hmm mm oh ah er unk "
    "noise laughter music harper valley national please sorry welcome bye goodbye"
)
_LEFT_OUT = frozenset(_LEFT_OUT_WORDS.split())
_THANKS = frozenset({"thank", "thanks"})
_AFTER_THANKS = frozenset({"you", "so", "very", "much", "again", "sir", "maam"})


def content_words(words: Iterable[str]) -> list[str]:
    """Keep the plain words that the classifier may look at, numbers by their size alone."""
    kept: list[str] = []
    thanking = False
    for word in words:
        thanking = word in _THANKS or (thanking and word in _AFTER_THANKS)
        if thanking:
            continue
        if word.isdecimal():
            kept.append(_NUMBER if len(word) < _LONG else _LARGE_NUMBER)
        elif word.isalpha() and word not in _LEFT_OUT:
            kept.append(_SAME.get(word, word))
    return kept


def features(words: Sequence[str]) -> NDArray[np.int64]:
    """Hash the words and pairs of neighbours, with repeats, in order.

    The result grows with the words alone: two features a word, each in [0, `DIMENSION`).
    """
    grams: list[str] = []
    before = _MARK
    for word in content_words(words):
        grams.append(word)
        grams.append(f"{before} {word}")
        before = word
    hashed = [zlib.crc32(gram.encode()) & (DIMENSION - 1) for gram in grams]
    return np.array(hashed, dtype=np.int64)
