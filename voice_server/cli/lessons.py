"""What `voice-server train` and `voice-server evaluate` have in common: teach, then ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import click
import msgspec
from rich.progress import Progress, TaskID

from detectors import left_out
from detectors.classifier import Classifier
from detectors.detector import ScamModel
from detectors.left_out import Heard
from models.scam.corpus import Conversation, read_conversations
from models.scam.fit import Weights
from models.scam.folds import Fold
from models.scam.kinds import fit_heads
from models.scam.manifest import Kinds
from models.scam.operating_points import PRIOR
from models.scam.train import kinds_of, manifest_of, train

FILES = ("train", "dev", "dev_hard")


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


class Lessons:
    """Teaches classifiers, each with a bar, and plays conversations to them."""

    def __init__(self, progress: Progress, *, seed: int) -> None:
        self._progress = progress
        self._seed = seed

    def teach(self, talks: Sequence[Conversation], title: str) -> Weights:
        """Train; raises `click.ClickException` when a label is missing."""
        task = self._progress.add_task(f"teach {title}", total=1.0)
        try:
            return train(talks, seed=self._seed, progress=_advance(self._progress, task))
        except ValueError as error:
            raise click.ClickException(str(error)) from error

    def play(self, weights: Weights, talks: Sequence[Conversation], title: str) -> list[Heard]:
        """Play conversations to detectors with these weights, and keep the evidence."""
        content = as_onnx(weights)
        manifest = manifest_of(content, seed=self._seed, fusion=PRIOR, sources=())
        return self.listen(ScamModel(Classifier(content), manifest), talks, title)

    def listen(self, model: ScamModel, talks: Sequence[Conversation], title: str) -> list[Heard]:
        """Play conversations to a model, and keep the evidence."""
        tracked: Iterable[Conversation] = self._progress.track(
            talks, description=f"play {title}", total=len(talks)
        )
        return [left_out.hear(model, talk) for talk in tracked]

    def leave_out(
        self, folds: Sequence[Fold], talks: Sequence[Conversation], asked: Sequence[Conversation]
    ) -> list[tuple[Fold, list[Heard]]]:
        """Teach all but a fold and play that, for each fold that leaves both labels to teach."""
        found: list[tuple[Fold, list[Heard]]] = []
        for fold in folds:
            kept = fold.kept(talks)
            if {talk.is_scam for talk in kept} != {True, False}:
                continue
            title = f"without {fold.name[:40]}"
            weights = self.teach(kept, title)
            found.append((fold, self.play(weights, fold.left_out(asked), title)))
        return found


def teach_kinds(talks: Sequence[Conversation]) -> tuple[bytes, Kinds] | None:
    """Train the heads for kinds and tactics and export them; None without labels to learn."""
    heads = fit_heads(talks)
    if heads is None:
        return None
    from models.scam.export import heads_to_onnx  # onnx is in the training extra

    content = heads_to_onnx(heads)
    return content, kinds_of(heads, content)


def as_onnx(weights: Weights) -> bytes:
    """Export weights."""
    from models.scam.export import to_onnx  # onnx is in the training extra

    return to_onnx(weights)


def _advance(progress: Progress, task: TaskID) -> Callable[[float], None]:
    return lambda share: progress.update(task, completed=share)
