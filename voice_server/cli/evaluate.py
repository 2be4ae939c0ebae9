"""`voice-server evaluate`: what the models we ship can do, beside a plain baseline."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from detectors.detector import ScamModel
from detectors.left_out import Heard
from detectors.speed import Speed, measure
from models.scam.corpus import (
    LICENCES,
    OURS,
    Conversation,
    read_dialogues,
    trainable,
)
from models.scam.folds import Fold, campaign_folds, origin_folds
from models.scam.manifest import FOLDER, ModelError
from voice_server.cli.figures import Figures, Judged, report, results
from voice_server.cli.kind_figures import tell_left_out
from voice_server.cli.lessons import (
    Lesson,
    School,
    dialogues_option,
    jobs_option,
    leave_out,
    need_libraries,
    read_corpora,
)

EVALUATION_FILE = "EVALUATION.md"
_QUICK_TAUGHT, _QUICK_PLAYED = 200, 80  # conversations of one source and label
_SHARES = (0.0, 0.25, 0.5)  # of our own dialogues, for the learning curve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Evaluate the models we ship."""


@command.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with train.jsonl and dev_hard.jsonl, or one whose folder corpus/ has them.",
)
@click.option(
    "--out",
    default=FOLDER,
    show_default="the package's own folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where EVALUATION.md is written.",
)
@dialogues_option
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@jobs_option("figures")
@click.option(
    "--quick",
    is_flag=True,
    help="Leave out several origins at a time and thin large sources.",
)
def scam(data: Path, out: Path, dialogues: Path, as_json: bool, jobs: int, quick: bool) -> None:
    """Train without each source and each topic of our own, and see what is made of it."""
    corpora = read_corpora(data)
    need_libraries()
    try:
        shipped = ScamModel.load()
    except ModelError as error:
        raise click.ClickException(str(error)) from error
    talks = corpora["train"] + read_dialogues(dialogues)
    with Progress(console=Console(stderr=True)) as progress:
        course = Course(
            talks, corpora.get("dev_hard", []), shipped, progress, jobs=jobs, quick=quick
        )
        found = results(course.run(), shipped.manifest)
    text = report(found, quick=quick)
    out.mkdir(parents=True, exist_ok=True)
    (out / EVALUATION_FILE).write_text(text, encoding="utf-8")
    click.echo(msgspec.json.encode(found).decode() if as_json else text)


class Course:
    """One evaluation: what is taught, what is left out, and what came of it."""

    def __init__(
        self,
        talks: list[Conversation],
        hard: list[Conversation],
        shipped: ScamModel,
        progress: Progress,
        *,
        jobs: int,
        quick: bool,
    ) -> None:
        self._shipped = shipped
        self._hard = hard
        self._quick = quick
        played = thinned(talks, _QUICK_PLAYED) if quick else talks
        self._unseen = [talk for talk in played if talk.source not in LICENCES]
        self._played = trainable(played)
        self._taught = trainable(thinned(talks, _QUICK_TAUGHT) if quick else talks)
        everything = {
            talk.id: talk for talk in [*self._taught, *self._played, *self._unseen, *hard]
        }
        seed = shipped.manifest.seed
        self._school = School(list(everything.values()), progress, seed=seed, jobs=jobs)

    def run(self) -> Figures:
        """Teach and ask; the order of the figures is that of the report."""
        elsewhere = ids_of([*self._unseen, *self._hard])
        campaigns = self._leave_out(campaign_folds(self._taught))
        origins = self._leave_out(origin_folds(self._taught, quick=self._quick))
        folds, new = [*campaigns, *origins], len(campaigns)
        lessons = [lesson for _, lesson in campaigns]
        lessons += [Lesson(lesson.taught, [*lesson.asked, *elsewhere]) for _, lesson in origins]
        answers = self._school.teach(lessons, "leave out")
        heard = [some[: len(own.asked)] for (_, own), some in zip(folds, answers, strict=True)]
        fusions = self._school.weigh(
            [each for some in heard for each in some], [fold.ids for fold, _ in folds]
        )
        judged = [Judged(fusion, some) for fusion, some in zip(fusions, heard, strict=True)]
        last = Lesson(frozenset(ids_of(self._taught)), elsewhere)
        plainly = self._school.teach_plainly([*(each for _, each in folds), last], "baseline")
        unseen = len(self._unseen)
        return Figures(
            campaigns=judged[:new],
            campaigns_baseline=[each for some in plainly[:new] for each in some],
            left_out=judged[new:],
            left_out_baseline=[each for some in plainly[new:-1] for each in some],
            without=[
                (fold.name, some[len(own.asked) :])
                for (fold, own), some in zip(origins, answers[new:], strict=True)
            ],
            unseen=self._listen(self._unseen),
            unseen_baseline=plainly[-1][:unseen],
            hard=self._listen(self._hard),
            hard_baseline=plainly[-1][unseen:],
            hard_taught=self._hard_taught(),
            curve=self._learning_curve(elsewhere),
            kinds=tell_left_out(self._taught, self._shipped),
            speed=self._speed(),
        )

    def _leave_out(self, folds: Sequence[Fold]) -> list[tuple[Fold, Lesson]]:
        return leave_out(folds, self._taught, self._played)

    def _listen(self, talks: Sequence[Conversation]) -> list[Heard]:
        return self._school.listen(self._shipped.classifier, ids_of(talks))

    def _hard_taught(self) -> list[Heard]:
        """Teach one half of the hard set, by clusters, and play the other; and the reverse.

        For the record alone: most of the set's licences do not let it into shipped weights.
        """
        halves = [[talk for talk in self._hard if half_of(talk) == half] for half in (0, 1)]
        lessons = [
            Lesson(frozenset(ids_of([*self._taught, *taught])), ids_of(asked))
            for taught, asked in (halves, reversed(halves))
        ]
        return [each for some in self._school.teach(lessons, "hard set") for each in some]

    def _learning_curve(self, asked: Sequence[str]) -> list[tuple[float, list[Heard]]]:
        """Play unseen sources to models that were taught a share of our own dialogues."""
        lessons = [
            Lesson(
                frozenset(t.id for t in self._taught if t.source != OURS or lot(t) < share), asked
            )
            for share in _SHARES
        ]
        return list(zip(_SHARES, self._school.teach(lessons, "learning curve"), strict=True))

    def _speed(self) -> Speed:
        texts = [turn.text for talk in self._played[::40] for turn in talk.turns]
        size = sum((FOLDER / name).stat().st_size for name in self._shipped.manifest.files)
        return measure(self._shipped, texts, size)


def ids_of(talks: Sequence[Conversation]) -> list[str]:
    """Name conversations by their ids."""
    return [talk.id for talk in talks]


def thinned(talks: Sequence[Conversation], most: int) -> list[Conversation]:
    """Keep at most so many conversations of a source and label, always the same ones."""
    shuffled = list(talks)
    random.Random(1).shuffle(shuffled)
    counts: dict[tuple[str, bool], int] = {}
    kept: list[Conversation] = []
    for talk in shuffled:
        key = (talk.origin, talk.is_scam)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= most:
            kept.append(talk)
    return kept


def lot(talk: Conversation) -> float:
    """Draw a share in [0, 1) for a cluster, so that twins stay together."""
    drawn = hashlib.sha256(f"{talk.topic}/{talk.cluster}".encode()).digest()
    return int.from_bytes(drawn[:4], "big") / 2**32


def half_of(talk: Conversation) -> int:
    """Say in which half of a set a cluster falls, 0 or 1."""
    return hashlib.sha256(f"{talk.source}/{talk.cluster}".encode()).digest()[0] % 2
