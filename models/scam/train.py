"""Describes a trained scam model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from models.scam.corpus import LICENCES, Conversation, trainable
from models.scam.features import DIMENSION, VERSION
from models.scam.kinds import Heads
from models.scam.manifest import KINDS_FILE, MODEL_FILE, Fusion, Kinds, Manifest, Source
from models.scam.operating_points import BANDS, PHRASE_WEIGHT, TACTIC_ODDS

NAME = "scam-twins"
RELEASE = "4.0"


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


def kinds_of(heads: Heads, content: bytes) -> Kinds:
    """Describe the bytes of heads at the shipped operating points."""
    return Kinds(
        file=KINDS_FILE,
        sha256=hashlib.sha256(content).hexdigest(),
        types=heads.types,
        tactics=heads.tactics,
        phrase_weight=PHRASE_WEIGHT,
        tactic_odds=TACTIC_ODDS,
    )


def manifest_of(
    content: bytes,
    *,
    seed: int,
    fusion: Fusion,
    sources: tuple[Source, ...],
    kinds: Kinds | None = None,
) -> Manifest:
    """Describe model bytes at the shipped bands."""
    return Manifest(
        name=NAME,
        version=RELEASE,
        file=MODEL_FILE,
        sha256=hashlib.sha256(content).hexdigest(),
        features=VERSION,
        dimension=DIMENSION,
        seed=seed,
        fusion=fusion,
        bands=BANDS,
        sources=sources,
        kinds=kinds,
    )
