"""What `voice-server train` and `voice-server evaluate` have in common: teach, then ask."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import click
import msgspec
import numpy as np
from rich.progress import Progress

from detectors.classifier import Classifier, Reader
from detectors.fusion_fit import fit_fusion
from detectors.left_out import Heard, Played, judge, play
from detectors.metrics import Scored
from models.scam.baseline import Baseline, Texts, beginnings, examples_of
from models.scam.corpus import DIALOGUES, Conversation, View, read_conversations, views
from models.scam.fit import Examples, examples, fit
from models.scam.folds import Fold
from models.scam.kinds import fit_heads
from models.scam.manifest import Fusion, Kinds
from models.scam.operating_points import PRIOR
from models.scam.train import kinds_of, manifest_of
from voice_server.cli.spread import cores, spread

FILES = ("train", "dev", "dev_hard")
_TOGETHER = 16  # conversations that travel to a process at once

Each = TypeVar("Each")
Command = TypeVar("Command", bound=Callable[..., object])

dialogues_option = click.option(
    "--dialogues",
    default=DIALOGUES,
    show_default="the package's own",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the dialogues written for this project.",
)


def jobs_option(outcome: str) -> Callable[[Command], Command]:
    """Return option `--jobs`, on which the outcome, named in the plural, does not depend."""
    return click.option(
        "--jobs",
        default=cores(),
        show_default="one for each core",
        type=click.IntRange(min=1),
        help=f"Processes to work in; the {outcome} do not depend on it.",
    )


def read_corpora(data: Path) -> dict[str, list[Conversation]]:
    """Read the corpus files there are; raises `click.ClickException` without train.jsonl."""
    folder = data if (data / "train.jsonl").exists() else data / "corpus"
    if not (folder / "train.jsonl").exists():
        raise click.ClickException(f"no train.jsonl in {data}; --data names the corpus folder")
    try:
        return {
            name: read_conversations(folder / f"{name}.jsonl")
            for name in FILES
            if (folder / f"{name}.jsonl").exists()
        }
    except msgspec.DecodeError as error:
        raise click.ClickException(f"a corpus file is not valid: {error}") from error


def need_libraries() -> None:
    """Raise `click.ClickException` where the training extra is missing."""
    if find_spec("sklearn") is None or find_spec("onnx") is None:
        raise click.ClickException(
            "this needs scikit-learn and onnx; install them with: pip install 'voice-server[train]'"
        )


class Lesson(msgspec.Struct, frozen=True):
    """The ids of conversations that one model is taught, and that it is asked about then."""

    taught: Collection[str]
    asked: Sequence[str]


def leave_out(
    folds: Sequence[Fold], talks: Sequence[Conversation], asked: Sequence[Conversation]
) -> list[tuple[Fold, Lesson]]:
    """Make a lesson of each fold that leaves both labels to teach: all but it, then it."""
    found: list[tuple[Fold, Lesson]] = []
    for fold in folds:
        kept = fold.kept(talks)
        if {talk.is_scam for talk in kept} == {True, False}:
            taught = frozenset(talk.id for talk in kept)
            found.append((fold, Lesson(taught, [talk.id for talk in fold.left_out(asked)])))
    return found


class School:
    """Teaches models and asks them. Conversations are read and played once, whoever is asked.

    What comes of it does not depend on `jobs`, the number of processes.
    """

    def __init__(
        self, talks: Sequence[Conversation], progress: Progress, *, seed: int, jobs: int
    ) -> None:
        self._talks = talks
        self._progress = progress
        self._seed = seed
        self._jobs = jobs
        manifest = manifest_of(b"", seed=seed, fusion=PRIOR, sources=())
        played = spread(play, manifest, talks, jobs=jobs, together=_TOGETHER)
        self._played = {each.heard.id: each for each in self._watch(played, "play", len(talks))}
        cut = [view for talk in self._watch(talks, "read", len(talks)) for view in views(talk)]
        self._known = examples(self._watch(cut, "count", len(cut)), seed=seed)

    def model(self, taught: Collection[str]) -> bytes:
        """Teach one model; raises `click.ClickException` when a label is missing."""
        task = self._progress.add_task("teach", total=1.0)

        def advance(share: float) -> None:
            self._progress.update(task, completed=share)

        try:
            return _taught(self._known, taught, advance)
        except ValueError as error:
            raise click.ClickException(str(error)) from error

    def listen(self, classifier: Reader, asked: Iterable[str]) -> list[Heard]:
        """Let a classifier judge conversations."""
        return [judge(self._played[each], classifier) for each in asked]

    def teach(self, lessons: Sequence[Lesson], title: str) -> list[list[Heard]]:
        """Teach a model for each lesson and let it judge what is asked."""
        tasks = [(each.taught, [self._played[name] for name in each.asked]) for each in lessons]
        answers = spread(_attend, self._known, tasks, jobs=self._jobs)
        return list(self._watch(answers, title, len(lessons)))

    def teach_plainly(self, lessons: Sequence[Lesson], title: str) -> list[list[Scored]]:
        """Teach a baseline for each lesson and let it score what is asked."""
        desk = Desk.of(self._talks, self._known.views, self._seed)
        answers = spread(_attend_plainly, desk, lessons, jobs=self._jobs)
        return list(self._watch(answers, title, len(lessons)))

    def weigh(self, heard: Sequence[Heard], apart: Sequence[Collection[str]]) -> list[Fusion]:
        """Fit the fusion to what was heard, but for each set of conversations that is apart."""
        found = spread(_weigh, heard, apart, jobs=self._jobs)
        return list(self._watch(found, "weigh the evidence", len(apart)))

    def _watch(self, each: Iterable[Each], title: str, total: int) -> Iterable[Each]:
        return self._progress.track(each, description=title, total=total)


class Desk(msgspec.Struct, frozen=True):
    """What all lessons of the baseline share: texts, and whose beginnings they are."""

    texts: Texts
    views: Sequence[View]
    talks: Mapping[str, Conversation]
    seed: int

    @classmethod
    def of(cls, talks: Sequence[Conversation], cut: Sequence[View], seed: int) -> Desk:
        """Count the texts of conversations and of their views."""
        asked = [text for talk in talks for _, text in beginnings(talk)]
        return cls(Texts(examples_of(cut)[0] + asked), cut, {talk.id: talk for talk in talks}, seed)


def _taught(known: Examples, taught: Collection[str], progress: Callable[[float], None]) -> bytes:
    from models.scam.export import to_onnx  # onnx is in the training extra

    chosen = np.array([view.id in taught for view in known.views])
    return to_onnx(fit(known, chosen, progress=progress))


def _attend(known: Examples, task: tuple[Collection[str], Sequence[Played]]) -> list[Heard]:
    taught, asked = task
    classifier = Classifier(_taught(known, taught, lambda _: None))
    return [judge(played, classifier) for played in asked]


def _attend_plainly(desk: Desk, lesson: Lesson) -> list[Scored]:
    taught, scam = examples_of([view for view in desk.views if view.id in lesson.taught])
    baseline = Baseline(desk.texts, taught, scam, seed=desk.seed)
    asked = [desk.talks[each] for each in lesson.asked]
    return [Scored(talk.source, talk.cluster, talk.is_scam, baseline.steps(talk)) for talk in asked]


def _weigh(heard: Sequence[Heard], apart: Collection[str]) -> Fusion:
    return fit_fusion([each for each in heard if each.id not in apart], PRIOR)


def teach_kinds(talks: Sequence[Conversation]) -> tuple[bytes, Kinds] | None:
    """Train the heads for kinds and tactics and export them; None without labels to learn."""
    heads = fit_heads(talks)
    if heads is None:
        return None
    from models.scam.export import heads_to_onnx  # onnx is in the training extra

    content = heads_to_onnx(heads)
    return content, kinds_of(heads, content)
