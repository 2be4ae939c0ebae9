"""`voice-server train`: makes the models we ship out of corpora."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from detectors.fusion_fit import fit_fusion
from models.scam.corpus import Conversation, read_dialogues, trainable
from models.scam.folds import campaign_folds, origin_folds
from models.scam.manifest import FOLDER, Fusion, write_model
from models.scam.operating_points import PRIOR
from models.scam.train import manifest_of, sources_of
from voice_server.cli.lessons import (
    School,
    dialogues_option,
    jobs_option,
    leave_out,
    need_libraries,
    read_corpora,
    teach_kinds,
)


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
@dialogues_option
@click.option(
    "--out",
    default=FOLDER,
    show_default="the package's own folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where model.onnx, kinds.onnx and manifest.json are written.",
)
@click.option("--seed", default=1, show_default=True, help="Same data and seed, same weights.")
@jobs_option("weights")
def scam(data: Path, dialogues: Path, out: Path, seed: int, jobs: int) -> None:
    """Train the scam model on the CPU, from sources whose licences allow it.

    The classifier is fitted to everything; how its word is weighed beside that of the other
    detectors, to what it says of conversations that it did not learn from.
    """
    talks = trainable(read_corpora(data)["train"] + read_dialogues(dialogues))
    need_libraries()
    with Progress(console=Console(stderr=True)) as progress:
        school = School(talks, progress, seed=seed, jobs=jobs)
        content = school.model({talk.id for talk in talks})
        fusion = _weighed(school, talks)
    heads, kinds = teach_kinds(talks) or (None, None)
    manifest = manifest_of(
        content, seed=seed, fusion=fusion, sources=sources_of(talks), kinds=kinds
    )
    write_model(out, content, manifest, heads)
    click.echo(f"{manifest.model_version}: {len(content):,} bytes in {out / manifest.file}")
    click.echo("figures: voice-server evaluate scam --data DIR")


def _weighed(school: School, talks: Sequence[Conversation]) -> Fusion:
    folds = [*campaign_folds(talks), *origin_folds(talks, quick=True)]
    lessons = [lesson for _, lesson in leave_out(folds, talks, talks)]
    heard = [each for some in school.teach(lessons, "leave out") for each in some]
    try:
        return fit_fusion(heard, PRIOR)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
