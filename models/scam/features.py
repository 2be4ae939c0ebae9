"""Words to hashed n-grams: the input contract of the classifier.

Everything that tells corpora apart rather than scams is left out here: case and punctuation
(already gone from the words), numbers, greetings, fillers, names of the bank of one corpus,
and the key a caller is told to press.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

DIMENSION = 1 << 17
VERSION = "words12-chars345-h17"

_MARK = "^"
_SHORTEST, _LONGEST = 3, 5
_LEFT_OUT_WORDS = (
    "hello hi hey greetings good morning afternoon evening uh um uhm huh hmm mm oh ah er unk "
    "noise laughter music harper valley national press pressed pressing hundred thousand "
    "million dollar dollars"
)
_LEFT_OUT = frozenset(_LEFT_OUT_WORDS.split())


def content_words(words: Iterable[str]) -> list[str]:
    """Keep the plain words that the classifier may look at."""
    return [word for word in words if word not in _LEFT_OUT and word.isalpha()]


def features(words: Sequence[str]) -> NDArray[np.int64]:
    """Hash word 1- and 2-grams and character 3- to 5-grams, with repeats, in order.

    The result grows with the words alone: about 20 features a word, each in
    [0, `DIMENSION`).
    """
    grams: list[str] = []
    before = _MARK
    for word in content_words(words):
        grams.append(word)
        grams.append(before + " " + word)
        before = word
        framed = f"_{word}_"
        for size in range(_SHORTEST, _LONGEST + 1):
            grams.extend(
                "#" + framed[at : at + size] for at in range(max(0, len(framed) - size + 1))
            )
    hashed = [zlib.crc32(gram.encode()) & (DIMENSION - 1) for gram in grams]
    return np.array(hashed, dtype=np.int64)
