"""`voice-server train`: makes the models we ship out of corpora."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress, TaskID

from detectors.classifier import Classifier
from detectors.detector import ScamModel
from detectors.evaluation import SECONDS, Outcome, Row, listen, outcome, tabulate
from models.scam.corpus import LICENCES, Conversation, read_conversations
from models.scam.fit import Weights
from models.scam.manifest import FOLDER, Manifest, write_model
from models.scam.train import manifest_of, sources_of, train

EVALUATION_FILE = "EVALUATION.md"
_FILES = ("train", "dev", "dev_hard")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Train the models we ship."""


@command.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with train.jsonl and, where there are any, dev.jsonl and dev_hard.jsonl.",
)
@click.option(
    "--out",
    default=FOLDER,
    show_default="the package's own folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where model.onnx, manifest.json and EVALUATION.md are written.",
)
@click.option("--seed", default=1, show_default=True, help="Same data and seed, same weights.")
@click.option(
    "--evaluate/--no-evaluate",
    default=True,
    show_default=True,
    help="Also train once per left-out source and write the figures (some minutes).",
)
def scam(data: Path, out: Path, seed: int, evaluate: bool) -> None:
    """Train the scam classifier on the CPU, from sources whose licences allow it."""
    corpora = _read_corpora(data)
    tables: list[tuple[str, list[Row]]] = []
    with _progress() as progress:
        weights = _train(corpora["train"], "", seed, progress)
        content = _as_onnx(weights)
        manifest = manifest_of(content, seed=seed, sources=sources_of(corpora["train"]))
        if evaluate:
            tables = _evaluate(corpora, content, manifest, progress)
    write_model(out, content, manifest)
    click.echo(f"{manifest.model_version}: {len(content):,} bytes in {out / manifest.file}")
    if evaluate:
        report = _report(manifest, tables)
        (out / EVALUATION_FILE).write_text(report, encoding="utf-8")
        click.echo(report)


def _read_corpora(data: Path) -> dict[str, list[Conversation]]:
    folder = data if (data / "train.jsonl").exists() else data / "corpus"
    if not (folder / "train.jsonl").exists():
        raise click.ClickException(f"no train.jsonl in {data}; --data names the corpus folder")
    try:
        return {
            name: read_conversations(folder / f"{name}.jsonl")
            for name in _FILES
            if (folder / f"{name}.jsonl").exists()
        }
    except msgspec.DecodeError as error:
        raise click.ClickException(f"a corpus file is not valid: {error}") from error


@contextmanager
def _progress() -> Iterator[Progress]:
    with Progress(console=Console(stderr=True)) as progress:
        yield progress


def _train(
    conversations: Sequence[Conversation], left_out: str, seed: int, progress: Progress
) -> Weights:
    task = progress.add_task(f"train without {left_out}" if left_out else "train", total=1.0)
    try:
        return train(conversations, seed=seed, left_out=left_out, progress=_advance(progress, task))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _advance(progress: Progress, task: TaskID) -> Callable[[float], None]:
    return lambda share: progress.update(task, completed=share)


def _as_onnx(weights: Weights) -> bytes:
    try:
        from models.scam.export import to_onnx
    except ModuleNotFoundError as error:
        raise click.ClickException(
            "training needs the onnx package; install it with: pip install 'voice-server[train]'"
        ) from error
    return to_onnx(weights)


def _evaluate(
    corpora: dict[str, list[Conversation]], content: bytes, manifest: Manifest, progress: Progress
) -> list[tuple[str, list[Row]]]:
    """Play every conversation to a model that never saw its source, and the rest as they are."""
    taught = corpora["train"]
    left_out: list[Outcome] = []
    for source in sorted({talk.source for talk in taught if talk.source in LICENCES}):
        kept = [talk for talk in taught if talk.source == source]
        try:
            weights = train(taught, seed=manifest.seed, left_out=source, progress=lambda _: None)
        except ValueError:
            continue  # nothing of one label remains: this source cannot be left out
        model = _model(_as_onnx(weights), manifest)
        left_out += _play(model, kept, f"play {source}, left out", progress)
    shipped = _model(content, manifest)
    unseen = [
        talk
        for name in ("train", "dev")
        for talk in corpora.get(name, [])
        if talk.source not in LICENCES
    ]
    tables = [
        ("Left-out sources", tabulate(left_out)),
        (
            "Sources for evaluation only",
            tabulate(_play(shipped, unseen, "play evaluation-only sources", progress)),
        ),
    ]
    for name in ("dev", "dev_hard"):
        talks = [
            talk for talk in corpora.get(name, []) if name == "dev_hard" or talk.source in LICENCES
        ]
        tables.append((name, tabulate(_play(shipped, talks, f"play {name}", progress))))
    return tables


def _model(content: bytes, manifest: Manifest) -> ScamModel:
    checksum = hashlib.sha256(content).hexdigest()
    return ScamModel(Classifier(content), msgspec.structs.replace(manifest, sha256=checksum))


def _play(
    model: ScamModel, talks: Sequence[Conversation], title: str, progress: Progress
) -> list[Outcome]:
    return [
        outcome(talk, listen(model, talk))
        for talk in progress.track(talks, description=title, total=len(talks))
    ]


def _report(manifest: Manifest, tables: Sequence[tuple[str, list[Row]]]) -> str:
    lines = [
        f"# Figures of {manifest.model_version}",
        "",
        "Written by `voice-server train scam`. Shares of calls in percent; *HIGH* and *CRITICAL*:"
        " ever reached; seconds: words / 2.5, both sides counted; AUC: final risks against the"
        " benign calls of the same table.",
    ]
    head = ["source", "label", "calls", "AUC", "HIGH", "CRITICAL", *(f"≤ {s} s" for s in SECONDS)]
    for title, rows in tables:
        if rows:
            lines += ["", f"## {title}", "", _cells(head), _cells(["---"] * len(head))]
            lines += [_cells(_row(row)) for row in rows]
    return "\n".join(lines) + "\n"


def _row(row: Row) -> list[str]:
    shares = (row.high, row.critical, *row.flagged_by)
    return [
        row.source,
        "scam" if row.scam else "benign",
        str(row.calls),
        "" if math.isnan(row.auc) else f"{row.auc:.3f}",
        *(f"{100 * share:.1f}" for share in shares),
    ]


def _cells(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"
