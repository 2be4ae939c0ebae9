"""`voice-server evaluate`: what the models we ship can do, beside a plain baseline."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from detectors import left_out
from detectors.classifier import Classifier
from detectors.detector import ScamModel
from detectors.left_out import Heard
from detectors.metrics import Scored
from detectors.speed import Speed, measure
from models.scam.corpus import (
    DIALOGUES,
    LICENCES,
    OURS,
    Conversation,
    View,
    read_dialogues,
    views,
)
from models.scam.fit import Weights, fit
from models.scam.folds import Baseline, baseline_views, folds
from models.scam.manifest import FOLDER, Manifest, ModelError, read_manifest
from voice_server.cli.figures import Figures, report, results
from voice_server.cli.train import as_onnx, fitted, read_corpora

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
    if find_spec("sklearn") is None:
        raise click.ClickException(
            "the baseline needs scikit-learn; install it with: pip install 'voice-server[train]'"
        )
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
        self._progress = progress
        self._quick = quick
        self._taught = thinned(talks, _QUICK_TAUGHT) if quick else talks
        self._played = thinned(talks, _QUICK_PLAYED) if quick else talks

    def run(self, shipped: ScamModel, hard: list[Conversation]) -> Figures:
        """Play everything; the order of the steps is that of the report."""
        heard, baseline = self._left_out()
        unseen = [talk for talk in self._played if talk.source not in LICENCES]
        plain = Baseline(baseline_views(self._taught, ()), seed=self._manifest.seed)
        return Figures(
            left_out=heard,
            left_out_baseline=baseline,
            unseen=self._play(shipped, unseen, "evaluation-only sources"),
            unseen_baseline=read_plainly(plain, unseen),
            hard=self._play(shipped, hard, "dev_hard"),
            hard_baseline=read_plainly(plain, hard),
            hard_taught=self._hard_taught(hard),
            curve=self._learning_curve([*hard, *unseen]),
            speed=self._speed(shipped),
        )

    def _left_out(self) -> tuple[list[Heard], list[Scored]]:
        heard: list[Heard] = []
        plain: list[Scored] = []
        for origins in folds(self._taught, quick=self._quick):
            talks = [talk for talk in self._played if talk.origin in origins]
            weights = self._fitted(origins)
            if weights is None:
                continue
            title = f"without {', '.join(origins)[:40]}"
            heard += self._play(self._model(weights), talks, title)
            taught = baseline_views(self._taught, origins)
            plain += read_plainly(Baseline(taught, seed=self._manifest.seed), talks)
        return heard, plain

    def _fitted(self, origins: Sequence[str]) -> Weights | None:
        """Train without origins; None where nothing of one label would remain."""
        try:
            seed = self._manifest.seed
            title = f"train without {', '.join(origins)[:40]}"
            return fitted(self._taught, self._progress, seed=seed, left_out=origins, title=title)
        except click.ClickException:
            return None

    def _hard_taught(self, hard: Sequence[Conversation]) -> list[Heard]:
        """Teach one half of the hard set, by clusters, and play the other; and the reverse.

        For the record alone: most of the set's licences do not let it into shipped weights.
        """
        heard: list[Heard] = []
        for half in (0, 1):
            taught = [talk for talk in hard if half_of(talk) != half]
            examples: list[View] = baseline_views(self._taught, ())
            examples += [view for talk in taught for view in views(talk)]
            weights = fit(examples, seed=self._manifest.seed, progress=lambda _: None)
            asked = [talk for talk in hard if half_of(talk) == half]
            heard += self._play(self._model(weights), asked, f"dev_hard, half {half + 1}")
        return heard

    def _learning_curve(self, talks: Sequence[Conversation]) -> list[tuple[float, list[Heard]]]:
        """Play unseen sources to models that were taught a share of our own dialogues."""
        curve: list[tuple[float, list[Heard]]] = []
        for share in _SHARES:
            kept = [talk for talk in self._taught if talk.source != OURS or lot(talk) < share]
            title = f"train with {share:.0%} of our dialogues"
            weights = fitted(kept, self._progress, seed=self._manifest.seed, title=title)
            curve.append((share, self._play(self._model(weights), talks, title)))
        return curve

    def _model(self, weights: Weights) -> ScamModel:
        content = as_onnx(weights)
        checksum = hashlib.sha256(content).hexdigest()
        manifest = msgspec.structs.replace(self._manifest, sha256=checksum)
        return ScamModel(Classifier(content), manifest)

    def _play(self, model: ScamModel, talks: Sequence[Conversation], title: str) -> list[Heard]:
        tracked: Iterable[Conversation] = self._progress.track(
            talks, description=f"play {title}", total=len(talks)
        )
        return [left_out.hear(model, talk) for talk in tracked]

    def _speed(self, shipped: ScamModel) -> Speed:
        texts = [turn.text for talk in self._played[::40] for turn in talk.turns]
        size = (FOLDER / self._manifest.file).stat().st_size
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
