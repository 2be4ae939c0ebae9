"""What a speech recogniser on a telephone line does to words, seeded and at a chosen rate."""

from __future__ import annotations

import random

HOMOPHONES = {
    "account": ("a count", "accounts", "accout"),
    "arrest": ("a rest", "address"),
    "bank": ("blank", "thank"),
    "bitcoin": ("bit coin", "big coin"),
    "buy": ("by", "bye"),
    "card": ("car", "guard", "cart"),
    "cards": ("cars", "guards"),
    "check": ("cheque", "jack"),
    "code": ("coat", "cold", "coded"),
    "computer": ("commuter", "computers"),
    "department": ("apartment", "departments"),
    "do": ("due", "dew"),
    "for": ("four", "far"),
    "fraud": ("broad", "frog"),
    "gift": ("give", "gif"),
    "hear": ("here", "her"),
    "mail": ("male", "bail"),
    "money": ("many", "honey"),
    "number": ("numb her", "lumber"),
    "officer": ("office", "offer sir"),
    "pay": ("pain", "bay"),
    "press": ("dress", "rest"),
    "read": ("reed", "red"),
    "refund": ("re fund", "refunds", "we found"),
    "right": ("write", "ride"),
    "security": ("secure tea", "securities"),
    "social": ("so shall", "special"),
    "suspended": ("is pended", "expended"),
    "tax": ("tacks", "text"),
    "the": ("a", "this"),
    "to": ("two", "too"),
    "transfer": ("trans fur", "transform"),
    "warrant": ("war and", "worn", "warranty"),
    "wire": ("why are", "wider"),
    "you": ("ya", "u"),
    "your": ("you're", "year", "or"),
}
_INSERTED = ("uh", "um", "the", "a", "and", "you know", "so", "it")


def misheard(line: str, rate: float, rng: random.Random) -> str:
    """Change about `rate` of the words: half replaced, a third lost, the rest inserted."""
    heard: list[str] = []
    for word in line.split():
        if rng.random() >= rate:
            heard.append(word)
            continue
        kind = rng.random()
        if kind < 0.5:
            heard.append(_replaced(word, rng))
        elif kind >= 0.83:
            heard += [word, rng.choice(_INSERTED)]
    return " ".join(heard)


def _replaced(word: str, rng: random.Random) -> str:
    alike = HOMOPHONES.get(word)
    if alike:
        return rng.choice(alike)
    if len(word) > 4:  # a syllable lost at either end
        return word[2:] if rng.random() < 0.5 else word[:-2]
    return rng.choice(_INSERTED)


def word_error_rate(said: str, heard: str) -> float:
    """Levenshtein distance in words over the words that were said."""
    before = list(range(len(heard.split()) + 1))
    for row, word in enumerate(said.split(), start=1):
        here = [row]
        for column, other in enumerate(heard.split(), start=1):
            here.append(min(before[column] + 1, here[-1] + 1, before[column - 1] + (word != other)))
        before = here
    return before[-1] / max(1, len(said.split()))
