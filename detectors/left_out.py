"""Plays conversations to models that never saw their origin, and keeps the evidence apart.

Keeping the evidence rather than the risk lets one playing answer many questions: other
operating points, and what would become of the risk without one of the detectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from detectors.assessment import Segment
from detectors.classifier import Reader, Reading, Step
from detectors.conversation import ConversationDetector
from detectors.detector import ScamModel
from detectors.fusion import Evidence, fuse
from detectors.metrics import Scored
from models.scam.corpus import Conversation, cut_text
from models.scam.manifest import Fusion, Manifest
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


class Played(msgspec.Struct, frozen=True):
    """One conversation as every model hears it, to be judged by any classifier.

    In `heard` the margin of a party is the place, counted from 1, of its last step in `steps`;
    the `score` of a step is the place of the party's step before, 0 at its first.
    """

    heard: Heard
    steps: tuple[Step, ...]


Mask = Callable[[Evidence], Evidence]


class Tape:
    """Stands in for a classifier: keeps the steps, and answers with their places."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def read(self, steps: Sequence[Step]) -> list[Reading]:
        """Take steps down."""
        places: list[Reading] = []
        for step in steps:
            self.steps.append(step)
            places.append(Reading(len(self.steps), len(self.steps), 0.0))
        return places


def play(manifest: Manifest, talk: Conversation) -> Played:
    """Play one conversation, utterance by utterance, watching everybody but our agent.

    The bands and the fusion of the manifest do not matter for the evidence.
    """
    tape = Tape()
    detector = ConversationDetector(ScamModel(tape, manifest))
    moments: list[Moment] = []
    words = 0
    for said in talk.turns:
        for text in cut_text(said.text):
            began = words
            words += len(text.split())
            span = (_milliseconds(began), _milliseconds(words))
            detector.feed([Segment(len(moments), said.speaker, text, *span)])
            moments.append(Moment(words / WORDS_PER_SECOND, detector.evidence()))
    heard = Heard(talk.id, talk.source, talk.origin, talk.cluster, talk.is_scam, tuple(moments))
    return Played(heard, tuple(tape.steps))


def judge(played: Played, classifier: Reader) -> Heard:
    """Put in what a classifier makes of a conversation that was played."""
    readings = [Reading(0.0, 0.0, 0.0)]
    for step in played.steps:
        before = readings[int(step.score)]
        carried = msgspec.structs.replace(step, score=before.score, energy=before.energy)
        readings += classifier.read([carried])

    def known(party: Evidence) -> Evidence:
        if party.margin is None:
            return party
        return msgspec.structs.replace(party, margin=readings[int(party.margin)].margin)

    moments = (
        Moment(moment.seconds, tuple(map(known, moment.parties))) for moment in played.heard.moments
    )
    return msgspec.structs.replace(played.heard, moments=tuple(moments))


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
