"""Cuts spoken text into plain words, whatever recogniser or writer it came from.

Recognisers differ in case, punctuation, apostrophes and the spelling of numbers; the rules and
the classifier must see the same words in all of them. Each word keeps the place it came from,
so that evidence can be shown in the original text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

WORDS_PER_SECOND = 2.5  # of a telephone talk, both sides together; where no times are known
_WORD = re.compile(r"[^\W_]+(?:['’‘`][^\W_]+)*")
_APOSTROPHES = str.maketrans("", "", "'’‘`")
# "don t", "you re": some transcripts lose the apostrophe and keep the gap.
_SUFFIXES = frozenset({"t", "s", "re", "ve", "ll", "m", "d"})
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_UNIT_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_NUMBERS = {word: str(value) for value, word in enumerate(_UNIT_WORDS.split())} | {
    word: str(20 + 10 * place) for place, word in enumerate(_TENS)
}


class Word(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One plain word and the characters [start, end) of the text it stands for."""

    plain: str
    start: int
    end: int


def spoken_words(text: str) -> list[Word]:
    """Cut text into lower-case words without punctuation, number words as digits."""
    words: list[Word] = []
    for match in _WORD.finditer(text):
        plain = match.group().translate(_APOSTROPHES).casefold()
        if plain in _SUFFIXES and words and _takes_suffix(words[-1], match.start()):
            last = words[-1]
            words[-1] = Word(last.plain + plain, last.start, match.end())
        elif plain:
            words.append(Word(_NUMBERS.get(plain, plain), match.start(), match.end()))
    return words


def plain_text(words: Sequence[Word]) -> str:
    """Join words by single spaces, the form that phrase patterns are written for."""
    return " ".join(word.plain for word in words)


def _takes_suffix(word: Word, start: int) -> bool:
    return len(word.plain) > 1 and word.plain.isalpha() and start == word.end + 1
