"""How well kinds and tactics are told of scams whose clusters the heads never saw."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from detectors.detector import ScamDetector, ScamModel
from detectors.evaluation import as_segments
from detectors.heads import Heads
from detectors.kinds import TACTICS
from models.scam.corpus import OURS, Conversation
from models.scam.folds import cluster_folds
from models.scam.kinds import kind_of, labelled
from voice_server.cli.lessons import teach_kinds


class Told(msgspec.Struct, frozen=True):
    """A scam at its end: what it is, and what was said of it."""

    source: str
    is_kind: str
    is_tactics: tuple[str, ...]
    kind: str
    tactics: tuple[str, ...]


class KindRow(msgspec.Struct, frozen=True):
    """One figure in [0, 1], and that of phrases alone."""

    name: str
    scams: int
    ours: float
    phrases: float


def tell_left_out(talks: Sequence[Conversation], model: ScamModel) -> list[KindRow]:
    """Teach heads without each fifth of the clusters and let them tell of it.

    The classifier of the model has no say in kinds. Returns nothing where too few are labelled.
    """
    known = labelled(talks)
    plain = ScamModel(model.classifier, model.manifest)
    ours: list[Told] = []
    phrases: list[Told] = []
    for fold in cluster_folds(known):
        taught = teach_kinds(fold.kept(known))
        if taught is None:
            continue
        learned = ScamModel(model.classifier, model.manifest, Heads(*taught))
        for talk in fold.left_out(known):
            ours.append(tell(learned, talk))
            phrases.append(tell(plain, talk))
    return compare(ours, phrases)


def tell(model: ScamModel, talk: Conversation) -> Told:
    """Play a scam to its end and take what is said of it, whatever the risk."""
    detector = ScamDetector(model)
    detector.feed([segment for _, _, segment in as_segments(talk)])
    return Told(talk.source, kind_of(talk), talk.tactics, detector.scam_type(), detector.tactics())


def compare(ours: Sequence[Told], phrases: Sequence[Told]) -> list[KindRow]:
    """Sum up what two tellers said of the same scams."""
    if not ours:
        return []
    rows = [KindRow("kind: accuracy", len(ours), accuracy(ours), accuracy(phrases))]
    for source in sorted({each.source for each in ours}):
        mine, plain = _of(ours, source), _of(phrases, source)
        rows.append(
            KindRow(f"kind: accuracy, {source}", len(mine), accuracy(mine), accuracy(plain))
        )
    rows.append(KindRow("kind: macro F1", len(ours), kind_f1(ours), kind_f1(phrases)))
    own, plain_own = _of(ours, OURS), _of(phrases, OURS)
    if own:
        rows += [
            KindRow("tactics: macro F1", len(own), tactic_f1(own), tactic_f1(plain_own)),
            KindRow("tactics: precision", len(own), precision(own), precision(plain_own)),
            KindRow("tactics: recall", len(own), recall(own), recall(plain_own)),
        ]
    return rows


def accuracy(told: Sequence[Told]) -> float:
    """Return the share of scams whose kind was told right."""
    return sum(each.kind == each.is_kind for each in told) / len(told)


def kind_f1(told: Sequence[Told]) -> float:
    """Return the mean F1 over the kinds that there are."""
    return _macro_f1(
        sorted({each.is_kind for each in told}),
        [({each.is_kind}, {each.kind}) for each in told],
    )


def tactic_f1(told: Sequence[Told]) -> float:
    """Return the mean F1 over all tactics."""
    return _macro_f1(sorted(TACTICS), [(set(each.is_tactics), set(each.tactics)) for each in told])


def precision(told: Sequence[Told]) -> float:
    """Return the share of named tactics that were there."""
    return _right(told) / max(1, sum(len(each.tactics) for each in told))


def recall(told: Sequence[Told]) -> float:
    """Return the share of tactics there were that were named."""
    return _right(told) / max(1, sum(len(each.is_tactics) for each in told))


def _right(told: Sequence[Told]) -> int:
    return sum(len({*each.tactics} & {*each.is_tactics}) for each in told)


def _macro_f1(names: Sequence[str], pairs: Sequence[tuple[set[str], set[str]]]) -> float:
    scores = []
    for name in names:
        right = sum(name in true and name in said for true, said in pairs)
        wrong = sum((name in true) != (name in said) for true, said in pairs)
        scores.append(2 * right / max(1, 2 * right + wrong))
    return float(np.mean(scores))


def _of(told: Sequence[Told], source: str) -> list[Told]:
    return [each for each in told if each.source == source]
