"""Trains the scam model from corpora: the shipped weights, and one set per left-out source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence

from models.scam.corpus import LICENCES, Conversation, trainable, views
from models.scam.features import DIMENSION, VERSION
from models.scam.fit import Weights, fit
from models.scam.manifest import MODEL_FILE, Manifest, Source
from models.scam.operating_points import BANDS, FUSION

NAME = "scam-twins"
RELEASE = "2.0"
Progress = Callable[[float], None]


def train(
    conversations: Sequence[Conversation],
    *,
    seed: int,
    progress: Progress,
    left_out: Collection[str] = (),
) -> Weights:
    """Fit on what the licences allow, without the origins `left_out`.

    An origin is a source, or "ours/" and a topic of the dialogues written for this project.

    Raises `ValueError` when that leaves no scam or no benign conversation.
    """
    taught = [talk for talk in trainable(conversations) if talk.origin not in left_out]
    if {talk.is_scam for talk in taught} != {True, False}:
        raise ValueError("training needs scam and benign conversations of allowed sources")
    return fit([view for talk in taught for view in views(talk)], seed=seed, progress=progress)


def sources_of(conversations: Sequence[Conversation]) -> tuple[Source, ...]:
    """Count what the allowed sources contribute."""
    taught = trainable(conversations)
    return tuple(
        Source(
            name=name,
            licence=LICENCES[name],
            scam=sum(talk.is_scam for talk in taught if talk.source == name),
            benign=sum(not talk.is_scam for talk in taught if talk.source == name),
            clusters=len({talk.cluster for talk in taught if talk.source == name}),
        )
        for name in sorted({talk.source for talk in taught})
    )


def manifest_of(content: bytes, *, seed: int, sources: tuple[Source, ...]) -> Manifest:
    """Describe model bytes at the shipped operating points."""
    return Manifest(
        name=NAME,
        version=RELEASE,
        file=MODEL_FILE,
        sha256=hashlib.sha256(content).hexdigest(),
        features=VERSION,
        dimension=DIMENSION,
        seed=seed,
        fusion=FUSION,
        bands=BANDS,
        sources=sources,
    )
