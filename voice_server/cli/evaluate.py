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
from detectors.fusion_fit import fit_fusion
from detectors.left_out import Heard
from detectors.metrics import Scored
from detectors.speed import Speed, measure
from models.scam.corpus import (
    DIALOGUES,
    LICENCES,
    OURS,
    Conversation,
    read_dialogues,
    views,
)
from models.scam.fit import fit
from models.scam.folds import Baseline, Fold, campaign_folds, origin_folds, taught_views
from models.scam.manifest import FOLDER, Manifest, ModelError, read_manifest
from models.scam.operating_points import PRIOR
from voice_server.cli.figures import Figures, Judged, report, results
from voice_server.cli.kind_figures import tell_left_out
from voice_server.cli.lessons import Lessons, need_libraries, read_corpora

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
@click.option(
    "--dialogues",
    default=DIALOGUES,
    show_default="the package's own",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the dialogues written for this project.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@click.option(
    "--quick",
    is_flag=True,
    help="Leave out several origins at a time and thin large sources: minutes, not an hour.",
)
def scam(data: Path, out: Path, dialogues: Path, as_json: bool, quick: bool) -> None:
    """Train without each source and each topic of our own, and see what is made of it."""
    corpora = read_corpora(data)
    need_libraries()
    try:
        manifest = read_manifest()
        shipped = ScamModel.load()
    except ModelError as error:
        raise click.ClickException(str(error)) from error
    talks = corpora["train"] + read_dialogues(dialogues)
    with Progress(console=Console(stderr=True)) as progress:
        course = Course(talks, manifest, progress, quick=quick)
        figures = course.run(shipped, corpora.get("dev_hard", []))
    found = results(figures, manifest)
    text = report(found, quick=quick)
    out.mkdir(parents=True, exist_ok=True)
    (out / EVALUATION_FILE).write_text(text, encoding="utf-8")
    click.echo(msgspec.json.encode(found).decode() if as_json else text)


class Course:
    """One evaluation: what is taught, what is left out, and what came of it."""

    def __init__(
        self, talks: list[Conversation], manifest: Manifest, progress: Progress, *, quick: bool
    ) -> None:
        self._manifest = manifest
        self._lessons = Lessons(progress, seed=manifest.seed)
        self._progress = progress
        self._quick = quick
        self._taught = thinned(talks, _QUICK_TAUGHT) if quick else talks
        self._played = thinned(talks, _QUICK_PLAYED) if quick else talks

    def run(self, shipped: ScamModel, hard: list[Conversation]) -> Figures:
        """Play everything; the order of the steps is that of the report."""
        campaigns = self._leave_out(campaign_folds(self._taught))
        origins = self._leave_out(origin_folds(self._taught, quick=self._quick))
        heard = [*campaigns, *origins]
        unseen = [talk for talk in self._played if talk.source not in LICENCES]
        plain = Baseline(taught_views(self._taught), seed=self._manifest.seed)
        return Figures(
            campaigns=self._judged(campaigns, heard),
            campaigns_baseline=self._plainly(campaigns),
            left_out=self._judged(origins, heard),
            left_out_baseline=self._plainly(origins),
            unseen=self._lessons.listen(shipped, unseen, "sources for evaluation only"),
            unseen_baseline=read_plainly(plain, unseen),
            hard=self._lessons.listen(shipped, hard, "dev_hard"),
            hard_baseline=read_plainly(plain, hard),
            hard_taught=self._hard_taught(hard),
            curve=self._learning_curve([*hard, *unseen]),
            kinds=tell_left_out(self._taught, shipped),
            speed=self._speed(shipped),
        )

    def _leave_out(self, folds: Sequence[Fold]) -> list[tuple[Fold, list[Heard]]]:
        return self._lessons.leave_out(folds, self._taught, self._played)

    def _judged(
        self, folds: Sequence[tuple[Fold, list[Heard]]], heard: Sequence[tuple[Fold, list[Heard]]]
    ) -> list[Judged]:
        """Weigh the evidence of each fold as the conversations outside it say it should be."""
        found: list[Judged] = []
        for fold, mine in self._progress.track(folds, description="weigh the evidence"):
            others = [each for _, some in heard for each in some if each.id not in fold.ids]
            found.append(Judged(fit_fusion(others, PRIOR), mine))
        return found

    def _plainly(self, folds: Sequence[tuple[Fold, list[Heard]]]) -> list[Scored]:
        found: list[Scored] = []
        for fold, _ in self._progress.track(folds, description="baseline"):
            baseline = Baseline(taught_views(fold.kept(self._taught)), seed=self._manifest.seed)
            found += read_plainly(baseline, fold.left_out(self._played))
        return found

    def _hard_taught(self, hard: Sequence[Conversation]) -> list[Heard]:
        """Teach one half of the hard set, by clusters, and play the other; and the reverse.

        For the record alone: most of the set's licences do not let it into shipped weights.
        """
        heard: list[Heard] = []
        for half in (0, 1):
            examples = taught_views(self._taught)
            examples += [view for talk in hard if half_of(talk) != half for view in views(talk)]
            weights = fit(examples, seed=self._manifest.seed, progress=lambda _: None)
            asked = [talk for talk in hard if half_of(talk) == half]
            heard += self._lessons.play(weights, asked, f"dev_hard, half {half + 1}")
        return heard

    def _learning_curve(self, talks: Sequence[Conversation]) -> list[tuple[float, list[Heard]]]:
        """Play unseen sources to models that were taught a share of our own dialogues."""
        curve: list[tuple[float, list[Heard]]] = []
        for share in _SHARES:
            kept = [talk for talk in self._taught if talk.source != OURS or lot(talk) < share]
            title = f"with {share:.0%} of our dialogues"
            weights = self._lessons.teach(kept, title)
            curve.append((share, self._lessons.play(weights, talks, title)))
        return curve

    def _speed(self, shipped: ScamModel) -> Speed:
        texts = [turn.text for talk in self._played[::40] for turn in talk.turns]
        size = sum((FOLDER / name).stat().st_size for name in self._manifest.files)
        return measure(shipped, texts, size)


def read_plainly(baseline: Baseline, talks: Sequence[Conversation]) -> list[Scored]:
    """Let the baseline score conversations."""
    return [Scored(talk.source, talk.cluster, talk.is_scam, baseline.steps(talk)) for talk in talks]


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
