"""Checks the dialogues written for this project before anything learns from them.

A dialogue is worth having when only what is asked tells its label. The checks look for what
would teach something else: broken labels, copies, words and shapes that one label has alone.
Run as `python -m models.scam.dialogues [FOLDER] [--against DIR] [--json]`; exits with 1 when
there are faults.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal, get_args

import msgspec

from models.scam.corpus import DIALOGUES, OURS, Conversation, Turn, read_conversations
from models.scam.data_check import (
    RUN_WORDS,
    SharedRun,
    Telling,
    nearness,
    separation,
    shared_runs,
    telling_grams,
)
from models.scam.words import spoken_words

Topic = Literal[
    "bank", "call_back", "charity", "debt_collection", "delivery", "doctor", "family_money",
    "government_office", "insurance", "job_recruiter", "landlord", "police_victim",
    "recorded_notice", "refund_desk", "survey", "tech_support", "trades",
]  # fmt: skip
Tactic = Literal[
    "authority", "credential_request", "crypto", "gift_card", "isolation", "one_time_code",
    "reciprocity", "remote_access", "secrecy", "threat", "urgency", "wire",
]  # fmt: skip
ScamType = Literal[
    "bank_impersonation", "charity", "delivery", "family_emergency", "government_tax",
    "investment", "job", "landlord", "lottery", "other", "refund", "robocall", "tech_support",
]  # fmt: skip
Kind = Literal["scam", "benign"]

NEAR = 0.15  # 5-gram Jaccard; unrelated dialogues of one topic reach 0.03
SAME = 0.95  # 5-gram Jaccard of two labels: twins that say the same
BALANCE = (0.4, 0.6)  # share of scams, in each topic and over all
_SPOKEN_MARKS = frozenset(".,?!;:")


class Speech(Turn, frozen=True, forbid_unknown_fields=True):
    """One utterance; `speaker` and `text` are checked on reading."""

    speaker: Literal["caller", "callee", "agent", "customer", "unknown"]
    text: Annotated[str, msgspec.Meta(min_length=1)]


class Dialogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the data. Scam and honest twins share `cluster` and, mostly, the opening."""

    id: str
    source: Literal["ours"]
    licence: Literal["MIT (this project)"]
    origin: Literal["written"]
    label: Kind
    scam_type: ScamType | None
    tactics: tuple[Tactic, ...]
    lang: Literal["en"]
    cluster: str
    topic: Topic
    turns: Annotated[tuple[Speech, ...], msgspec.Meta(min_length=1)]

    def words(self) -> list[str]:
        """All that is said, as the classifier reads it."""
        return [word.plain for turn in self.turns for word in spoken_words(turn.text)]

    def share_of(self, speaker: str) -> float:
        """The part of the characters that one speaker says."""
        said = sum(len(turn.text) for turn in self.turns if turn.speaker == speaker)
        return said / sum(len(turn.text) for turn in self.turns)

    def is_asr_like(self) -> bool:
        """Whether it reads as a recogniser's output: no capitals, no punctuation."""
        text = "".join(turn.text for turn in self.turns)
        return text == text.lower() and not _SPOKEN_MARKS & set(text)


class Shape(msgspec.Struct, frozen=True):
    """Medians of a measure by label; `auc` is how often it alone ranks the scam higher."""

    name: str
    scam: float
    benign: float
    auc: float


class Report(msgspec.Struct, frozen=True):
    """All that is known of a folder of dialogues. `faults` is empty when it may be used."""

    dialogues: int
    clusters: int
    topics: dict[str, tuple[int, int]]  # scam, benign
    scam_types: dict[str, int]
    tactics: dict[str, int]  # scams that use it; "none" for those without any
    asr_like: float  # share
    shapes: tuple[Shape, ...]
    nearest: float  # the highest Jaccard across clusters
    telling: tuple[Telling, ...]
    shared: tuple[SharedRun, ...]
    faults: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        return dict(msgspec.to_builtins(self))

    def as_text(self) -> str:
        """The report for people."""
        topics = [f"  {name:18} {s:4} / {b:4}" for name, (s, b) in self.topics.items()]
        shapes = [f"  {x.name:18} {x.scam:6.2f} {x.benign:6.2f} {x.auc:5.2f}" for x in self.shapes]
        grams = [
            f"  {x.gram:18} {x.scam:4} {x.benign:4} {x.log_odds:+.2f} {x.z:+.1f}"
            + (" GIVEAWAY" if x.giveaway else "")
            for x in self.telling
        ]
        runs = [f"  {run.id} ~ {run.other}: {run.words}" for run in self.shared]
        lines = [
            f"{self.dialogues} dialogues in {self.clusters} clusters, scam / benign by topic",
            *topics,
            f"types: {_counts(self.scam_types)}",
            f"tactics: {_counts(self.tactics)}",
            f"like a recogniser's output: {self.asr_like:.0%}",
            "shape: median of scams, of benign, AUC alone",
            *shapes,
            f"nearest dialogues of two clusters: Jaccard {self.nearest:.3f}",
            "most telling n-grams: scams, benign, log odds, z",
            *grams,
            f"runs of {RUN_WORDS} words and more shared with public corpora",
            *runs,
            f"faults: {len(self.faults)}",
            *(f"  {fault}" for fault in self.faults),
        ]
        return "\n".join(lines)


def load(folder: Path = DIALOGUES) -> tuple[list[Dialogue], list[str]]:
    """Read `<topic>.jsonl` files; a line that is no dialogue becomes a fault by its place."""
    decoder = msgspec.json.Decoder(Dialogue)
    read: list[Dialogue] = []
    faults: list[str] = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                read.append(decoder.decode(line))
            except msgspec.DecodeError as error:
                faults.append(f"{path.name}:{number}: {error}")
                continue
            if read[-1].topic != path.stem:
                faults.append(f"{path.name}:{number}: topic {read[-1].topic} is another file's")
    return read, faults


def report(
    dialogues: Sequence[Dialogue],
    against: Iterable[Conversation] = (),
    *,
    faults: Iterable[str] = (),
    telling: int = 20,
) -> Report:
    """Check dialogues; `faults` of reading come first, `telling` n-grams are kept."""
    said = [talk.words() for talk in dialogues]
    is_scam = [talk.label == "scam" for talk in dialogues]
    near = [(dialogues[a], dialogues[b], score) for a, b, score in nearness(said)]
    grams = telling_grams(said, is_scam)
    shared = tuple(shared_runs([talk.id for talk in dialogues], said, against))
    scams = [talk for talk in dialogues if talk.label == "scam"]
    used = Counter(tactic for talk in scams for tactic in talk.tactics or ("none",))
    found = [*faults, *_labels(dialogues), *_clusters(dialogues), *_balance(dialogues)]
    found += [
        f"{a.id} and {b.id}: near-duplicates ({score:.2f})"
        for a, b, score in near
        if score > (SAME if a.cluster == b.cluster else NEAR)
    ]
    found += [f"gives the label away: {gram.gram!r}" for gram in grams if gram.giveaway]
    found += [
        f"{run.id}: repeats {run.other}" for run in shared if run.words.count(" ") >= RUN_WORDS
    ]
    return Report(
        dialogues=len(dialogues),
        clusters=len({talk.cluster for talk in dialogues}),
        topics={name: _split(dialogues, name) for name in get_args(Topic)},
        scam_types=dict(Counter(str(talk.scam_type) for talk in scams).most_common()),
        tactics=dict(used.most_common()),
        asr_like=sum(talk.is_asr_like() for talk in dialogues) / max(1, len(dialogues)),
        shapes=tuple(_shapes(dialogues, said, is_scam)),
        nearest=max((score for a, b, score in near if a.cluster != b.cluster), default=0.0),
        telling=tuple(grams[:telling]),
        shared=shared,
        faults=tuple(found),
    )


def _labels(dialogues: Sequence[Dialogue]) -> Iterator[str]:
    for name, count in Counter(talk.id for talk in dialogues).items():
        if count > 1:
            yield f"{name}: the id is used {count} times"
    for talk in dialogues:
        if talk.id.removeprefix(f"{talk.cluster}-").rstrip("0123456789") != talk.label[0]:
            yield f"{talk.id}: the id must be {talk.cluster}-{talk.label[0]}"
        if (talk.label == "scam") is (talk.scam_type is None):
            yield f"{talk.id}: a scam has a scam_type, a benign dialogue none"
        if talk.label == "benign" and talk.tactics:
            yield f"{talk.id}: a benign dialogue has no tactics"
        if len(set(talk.tactics)) < len(talk.tactics):
            yield f"{talk.id}: a tactic is named twice"


def _clusters(dialogues: Sequence[Dialogue]) -> Iterator[str]:
    clusters: defaultdict[str, list[Dialogue]] = defaultdict(list)
    for talk in dialogues:
        clusters[talk.cluster].append(talk)
    for name, talks in clusters.items():
        if len({talk.topic for talk in talks}) > 1:
            yield f"{name}: a cluster holds one topic"
        if {talk.label for talk in talks} == {"scam"}:
            yield f"{name}: the scam has no benign twin"
        if not name.startswith(f"{OURS}-{talks[0].topic}-"):
            yield f"{name}: the cluster must be named {OURS}-{talks[0].topic}-<number>"


def _balance(dialogues: Sequence[Dialogue]) -> Iterator[str]:
    for topic in sorted({talk.topic for talk in dialogues}):
        scam, benign = _split(dialogues, topic)
        if not BALANCE[0] <= scam / (scam + benign) <= BALANCE[1]:
            yield f"{topic}: {scam} scam to {benign} benign is out of balance"


def _split(dialogues: Sequence[Dialogue], topic: str) -> tuple[int, int]:
    labels = Counter(talk.label for talk in dialogues if talk.topic == topic)
    return labels["scam"], labels["benign"]


def _shapes(
    dialogues: Sequence[Dialogue], said: Sequence[Sequence[str]], scam: Sequence[bool]
) -> Iterator[Shape]:
    counts = [(talk, len(words)) for talk, words in zip(dialogues, said, strict=True)]
    measures = {
        "words": [float(words) for _, words in counts],
        "turns": [float(len(talk.turns)) for talk, _ in counts],
        "words a turn": [words / len(talk.turns) for talk, words in counts],
        "caller's share": [talk.share_of("caller") for talk, _ in counts],
        "words of last turn": [float(len(spoken_words(t.turns[-1].text))) for t, _ in counts],
        "like a recogniser": [float(talk.is_asr_like()) for talk, _ in counts],
    }
    for name, values in measures.items():
        split = {kind: [v for v, s in zip(values, scam, strict=True) if s is kind] for kind in scam}
        yield Shape(
            name,
            median(split.get(True, [0.0])),
            median(split.get(False, [0.0])),
            separation(values, scam),
        )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; returns 1 when there are faults."""
    parser = argparse.ArgumentParser(prog="python -m models.scam.dialogues", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DIALOGUES)
    parser.add_argument("--against", type=Path, help="folder of public corpora, searched deeply")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args(arguments)
    dialogues, faults = load(chosen.folder)
    files = sorted(chosen.against.rglob("*.jsonl")) if chosen.against else []
    public = (talk for path in files for talk in read_conversations(path))
    found = report(dialogues, public, faults=faults)
    text = json.dumps(found.as_dict()) if chosen.json else found.as_text()
    sys.stdout.write(f"{text}\n")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
