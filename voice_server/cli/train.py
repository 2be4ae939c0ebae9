"""`voice-server train`: makes the models we ship out of corpora."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress, TaskID

from models.scam.corpus import DIALOGUES, Conversation, read_conversations, read_dialogues
from models.scam.fit import Weights
from models.scam.manifest import FOLDER, write_model
from models.scam.train import manifest_of, sources_of, train

FILES = ("train", "dev", "dev_hard")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Train the models we ship."""


@command.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with train.jsonl, or one whose folder corpus/ has it.",
)
@click.option(
    "--dialogues",
    default=DIALOGUES,
    show_default="the package's own",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the dialogues written for this project.",
)
@click.option(
    "--out",
    default=FOLDER,
    show_default="the package's own folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where model.onnx and manifest.json are written.",
)
@click.option("--seed", default=1, show_default=True, help="Same data and seed, same weights.")
def scam(data: Path, dialogues: Path, out: Path, seed: int) -> None:
    """Train the scam classifier on the CPU, from sources whose licences allow it."""
    talks = read_corpora(data)["train"] + read_dialogues(dialogues)
    with Progress(console=Console(stderr=True)) as progress:
        content = as_onnx(fitted(talks, progress, seed=seed))
    manifest = manifest_of(content, seed=seed, sources=sources_of(talks))
    write_model(out, content, manifest)
    click.echo(f"{manifest.model_version}: {len(content):,} bytes in {out / manifest.file}")
    click.echo("figures: voice-server evaluate scam --data DIR")


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


def fitted(
    talks: Sequence[Conversation],
    progress: Progress,
    *,
    seed: int,
    left_out: Sequence[str] = (),
    title: str = "train",
) -> Weights:
    """Train with a bar; raises `click.ClickException` when a label is missing."""
    task = progress.add_task(title, total=1.0)
    try:
        return train(talks, seed=seed, left_out=left_out, progress=_advance(progress, task))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def as_onnx(weights: Weights) -> bytes:
    """Export weights; raises `click.ClickException` where the training extra is missing."""
    try:
        from models.scam.export import to_onnx
    except ModuleNotFoundError as error:
        raise click.ClickException(
            "training needs the onnx package; install it with: pip install 'voice-server[train]'"
        ) from error
    return to_onnx(weights)


def _advance(progress: Progress, task: TaskID) -> Callable[[float], None]:
    return lambda share: progress.update(task, completed=share)
