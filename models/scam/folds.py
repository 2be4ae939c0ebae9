"""What is left out of training together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from zlib import crc32

import msgspec

from models.scam.corpus import OURS, Conversation, trainable

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
