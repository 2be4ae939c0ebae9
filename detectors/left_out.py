"""Plays conversations to models that never saw their origin, and keeps the evidence apart.

Keeping the evidence rather than the risk lets one playing answer many questions: other
operating points, and what would become of the risk without one of the detectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from detectors.assessment import Segment
from detectors.conversation import ConversationDetector
from detectors.detector import ScamModel
from detectors.fusion import Evidence, fuse
from detectors.metrics import Scored
from models.scam.corpus import Conversation, cut_text
from models.scam.manifest import Fusion
from models.scam.words import WORDS_PER_SECOND


class Moment(msgspec.Struct, frozen=True):
    """What was known after an utterance, for each watched party."""

    seconds: float
    parties: tuple[Evidence, ...]


class Heard(msgspec.Struct, frozen=True):
    """One conversation, played."""

    id: str
    source: str
    origin: str
    cluster: str
    scam: bool
    moments: tuple[Moment, ...]


Mask = Callable[[Evidence], Evidence]


def hear(model: ScamModel, talk: Conversation) -> Heard:
    """Play one conversation, utterance by utterance, watching everybody but our agent."""
    detector = ConversationDetector(model)
    moments: list[Moment] = []
    words = 0
    for said in talk.turns:
        for text in cut_text(said.text):
            began = words
            words += len(text.split())
            span = (_milliseconds(began), _milliseconds(words))
            detector.feed([Segment(len(moments), said.speaker, text, *span)])
            moments.append(Moment(words / WORDS_PER_SECOND, detector.evidence()))
    return Heard(talk.id, talk.source, talk.origin, talk.cluster, talk.is_scam, tuple(moments))


def everything(evidence: Evidence) -> Evidence:
    """Leave the evidence as it is."""
    return evidence


def without_phrases(evidence: Evidence) -> Evidence:
    """Forget what phrases and keywords said."""
    return msgspec.structs.replace(evidence, pattern=0.0, keyword=0.0)


def without_classifier(evidence: Evidence) -> Evidence:
    """Forget what the classifier said."""
    return msgspec.structs.replace(evidence, margin=None)


def without_behaviour(evidence: Evidence) -> Evidence:
    """Forget how the call went."""
    return msgspec.structs.replace(evidence, behaviour=0.0)


ABLATIONS: dict[str, Mask] = {
    "everything": everything,
    "without phrases and keywords": without_phrases,
    "without the classifier": without_classifier,
    "without behaviour": without_behaviour,
}


def scored(
    heard: Sequence[Heard],
    fusion: Fusion,
    *,
    mask: Mask = everything,
    by_origin: bool = False,
) -> list[Scored]:
    """Fuse the evidence into risks: the riskiest party speaks for the call.

    `by_origin` tells the topics of our own dialogues apart, as sources of their own.
    """

    def risk(moment: Moment) -> float:
        risks = (fuse(mask(party), fusion).risk for party in moment.parties)
        return max(risks, default=0.0)

    return [
        Scored(
            each.origin if by_origin else each.source,
            each.cluster,
            each.scam,
            tuple((moment.seconds, risk(moment)) for moment in each.moments),
        )
        for each in heard
    ]


def _milliseconds(words: int) -> int:
    return round(words / WORDS_PER_SECOND * 1_000)
