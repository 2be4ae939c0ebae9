"""Finds what gives a conversation's label away, and what was written twice.

Everything works on plain words (`models.scam.words`), one list a conversation, and on whether
each conversation is a scam, in the same order.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from math import log, sqrt

import msgspec
import numpy as np

from models.scam.corpus import Conversation
from models.scam.words import spoken_words

Words = Sequence[str]

RUN_WORDS = 9  # shorter runs are shared by chance between any two corpora of calls
COMMON = 0.08  # an n-gram in more of one label's conversations than this ...
RARER = 6.0  # ... and this many times rarer in the other's gives the label away
SHINGLE = 5


class Telling(msgspec.Struct, frozen=True):
    """How far one n-gram tells the label: conversations that hold it, log odds, z score."""

    gram: str
    scam: int
    benign: int
    log_odds: float
    z: float
    giveaway: bool


class SharedRun(msgspec.Struct, frozen=True):
    """Consecutive words that a conversation has in common with one of another corpus."""

    id: str
    other: str
    words: str


def grams(words: Words, length: int) -> set[str]:
    """The runs of `length` words."""
    return {" ".join(words[at : at + length]) for at in range(len(words) - length + 1)}


def telling_grams(said: Sequence[Words], scam: Sequence[bool]) -> list[Telling]:
    """Rank runs of one to three words by how surely they tell the label, surest first."""
    holds: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for words, is_scam in zip(said, scam, strict=True):
        holds[is_scam].update(grams(words, 1) | grams(words, 2) | grams(words, 3))
    scams, benign = sum(scam), len(scam) - sum(scam)
    found = (
        _telling(gram, holds[True][gram], holds[False][gram], scams, benign)
        for gram in holds[True].keys() | holds[False].keys()
    )
    return sorted(found, key=lambda one: (-abs(one.z), one.gram))


def _telling(gram: str, scam: int, benign: int, scams: int, benigns: int) -> Telling:
    # Half a count is added so that an n-gram of one label alone has finite odds.
    yes = (scam + 0.5, scams - scam + 0.5)
    no = (benign + 0.5, benigns - benign + 0.5)
    log_odds = log(yes[0] / yes[1]) - log(no[0] / no[1])
    z = log_odds / sqrt(sum(1 / count for count in yes + no))
    shares = (yes[0] / (scams + 1), no[0] / (benigns + 1))
    common = max(scam / max(1, scams), benign / max(1, benigns)) > COMMON
    return Telling(gram, scam, benign, log_odds, z, common and max(shares) > RARER * min(shares))


def nearness(said: Sequence[Words]) -> Iterator[tuple[int, int, float]]:
    """Yield each pair of places that share five words in a row, with their Jaccard index."""
    shingles = [grams(words, SHINGLE) for words in said]
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for place, held in enumerate(shingles):
        for shingle in held:
            holders[shingle].append(place)
    common = Counter(pair for places in holders.values() for pair in combinations(places, 2))
    for (first, second), count in sorted(common.items()):
        union = len(shingles[first]) + len(shingles[second]) - count
        yield first, second, count / union


def shared_runs(
    ids: Sequence[str], said: Sequence[Words], others: Iterable[Conversation]
) -> Iterator[SharedRun]:
    """Yield the longest runs of `RUN_WORDS` words and more that `others` have too."""
    known: defaultdict[str, list[str]] = defaultdict(list)
    for name, words in zip(ids, said, strict=True):
        for run in grams(words, RUN_WORDS):
            known[run].append(name)
    for other in others:
        heard = [word.plain for turn in other.turns for word in spoken_words(turn.text)]
        yield from _runs_in(known, other.id, heard)


def _runs_in(known: dict[str, list[str]], other: str, heard: Words) -> Iterator[SharedRun]:
    open_runs: dict[str, int] = {}
    for at in range(len(heard) - RUN_WORDS + 2):
        here = set(known.get(" ".join(heard[at : at + RUN_WORDS]), ()))
        for name in sorted(open_runs.keys() - here):
            start = open_runs.pop(name)
            yield SharedRun(name, other, " ".join(heard[start : at + RUN_WORDS - 1]))
        for name in here - open_runs.keys():
            open_runs[name] = at


def separation(values: Sequence[float], scam: Sequence[bool]) -> float:
    """The ROC-AUC of a measure taken as a score; 0.5 where a label is missing."""
    measured, is_scam = np.asarray(values, dtype=float), np.asarray(scam, dtype=bool)
    ours, theirs = measured[is_scam], measured[~is_scam]
    if not len(ours) or not len(theirs):
        return 0.5
    order = np.sort(theirs)
    below = np.searchsorted(order, ours, side="left") + np.searchsorted(order, ours, side="right")
    return float(below.mean() / (2 * len(order)))
