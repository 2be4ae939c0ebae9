"""What one call cannot tell: the same number again, and the same script in other calls.

A tenant's finished calls are remembered as sketches of what the remote party said, never as
text: the smallest hashes of runs of words, whose overlap estimates how much two calls share. A
call centre's own script, read by our side, never enters: only what the remote party said does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import TypeVar
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.scam.words import spoken_words

CALLS_LIMIT = 2_000  # finished calls kept; the oldest are forgotten first
ALIKE = 0.5  # estimated share of common runs of words from which two calls are one script
_HASHES, _BANDS = 64, 32
_RUN, _LEAST_RUNS, _WORDS_LIMIT = 4, 12, 400
_PRIME = (1 << 31) - 1
_WEIGHTS = {"repeated_number": 0.1, "shared_script": 0.4, "flagged_number": 0.5}
_FLAGGED_SCRIPT = 0.7
_OFTEN = 3  # calls of one number within the memory that are worth mentioning

Sketch = tuple[int, ...]
Key = TypeVar("Key", bound=Hashable)


class Signal(msgspec.Struct, frozen=True):
    """One thing known from other calls.

    `weight` in [0, 1] is how much it alone speaks for a scam; `calls` is how many earlier calls
    it rests on, `alike` in [0, 1] how much the most similar of them shares with this one, 0 for
    signals that are about the number.
    """

    name: str  # "repeated_number", "shared_script" or "flagged_number"
    weight: float
    calls: int
    alike: float


class _Seen(msgspec.Struct, frozen=True):
    caller: str
    sketch: Sketch
    flagged: bool


class CrossCall:
    """The memory of one tenant's calls: at most `CALLS_LIMIT`, about 1 KB each.

    Callers are told apart by an opaque key (a keyed hash of the number), "" = withheld. Not
    for use by two threads at once.
    """

    __slots__ = ("_buckets", "_callers", "_calls", "_limit", "_next", "_order")

    def __init__(self, limit: int = CALLS_LIMIT) -> None:
        self._limit = limit
        self._calls: dict[int, _Seen] = {}
        self._order: deque[int] = deque()
        self._callers: dict[str, set[int]] = {}
        self._buckets: dict[tuple[int, ...], set[int]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._calls)

    def see(self, caller: str, text: str, *, flagged: bool = False) -> None:
        """Remember a finished call; `flagged` = it was found to be a scam."""
        number, self._next = self._next, self._next + 1
        seen = _Seen(caller, sketch(text), flagged)
        self._calls[number] = seen
        self._order.append(number)
        if caller:
            self._callers.setdefault(caller, set()).add(number)
        for bucket in _buckets(seen.sketch):
            self._buckets.setdefault(bucket, set()).add(number)
        while len(self._order) > self._limit:
            self._forget(self._order.popleft())

    def signals(self, caller: str, text: str = "") -> tuple[Signal, ...]:
        """Say what other calls tell of this one, strongest first; the call itself is not kept.

        Without text only the number is looked up, as when a call comes in.
        """
        known = [self._calls[number] for number in self._callers.get(caller, ())]
        found: list[Signal] = []
        if len(known) >= _OFTEN:
            found.append(_signal("repeated_number", len(known)))
        flagged = sum(each.flagged for each in known)
        if flagged:
            found.append(_signal("flagged_number", flagged))
        script = self._script(caller, sketch(text)) if self._buckets else None
        if script is not None:
            found.append(script)
        return tuple(sorted(found, key=lambda signal: -signal.weight))

    def _script(self, caller: str, mine: Sketch) -> Signal | None:
        """Look for the same words from another number, or in a call that was flagged."""
        near = {number for bucket in _buckets(mine) for number in self._buckets.get(bucket, ())}
        alike: list[tuple[float, _Seen]] = []
        for number in near:
            other = self._calls[number]
            share = similarity(mine, other.sketch)
            if share >= ALIKE and (other.caller != caller or not caller or other.flagged):
                alike.append((share, other))
        if not alike:
            return None
        weight = _FLAGGED_SCRIPT if any(seen.flagged for _, seen in alike) else None
        best = max(share for share, _ in alike)
        return _signal("shared_script", len(alike), alike=best, weight=weight)

    def _forget(self, number: int) -> None:
        seen = self._calls.pop(number)
        if seen.caller:
            _drop(self._callers, seen.caller, number)
        for bucket in _buckets(seen.sketch):
            _drop(self._buckets, bucket, number)


def sketch(text: str) -> Sketch:
    """Sketch a text by the smallest of 64 hashes over its runs of 4 words; () when too short."""
    words = [word.plain for word in spoken_words(text)][:_WORDS_LIMIT]
    runs = {" ".join(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1)}
    if len(runs) < _LEAST_RUNS:
        return ()
    base = np.array([_stable(run) for run in sorted(runs)], dtype=np.uint64)
    mixed = (base[:, None] * _FACTORS + _OFFSETS) % np.uint64(_PRIME)
    return tuple(int(value) for value in mixed.min(axis=0))


def similarity(one: Sketch, other: Sketch) -> float:
    """Estimate the share of common runs of words, in [0, 1]."""
    if not one or not other:
        return 0.0
    return sum(a == b for a, b in zip(one, other, strict=True)) / _HASHES


def _signal(name: str, calls: int, *, alike: float = 0.0, weight: float | None = None) -> Signal:
    return Signal(name, _WEIGHTS[name] if weight is None else weight, calls, alike)


def _buckets(mine: Sketch) -> list[tuple[int, ...]]:
    rows = _HASHES // _BANDS
    return [(at, *mine[at : at + rows]) for at in range(0, len(mine), rows)]


def _stable(run: str) -> int:
    return crc32(run.encode()) % _PRIME


def _drop(index: dict[Key, set[int]], key: Key, number: int) -> None:
    index[key].discard(number)
    if not index[key]:
        del index[key]


def _constants(seed: int) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(1, _PRIME, _HASHES, dtype=np.uint64)


_FACTORS, _OFFSETS = _constants(1), _constants(2)
