"""`voice-server detect`: what the scam shield makes of transcripts and recordings."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from detectors.detector import ScamModel
from detectors.playback import Trace, play
from detectors.transcripts import Flaw, Talk, read_talks
from models.scam.manifest import ModelError
from models.weights import WeightsMissing
from voice_server.cli.recordings import RecordingError, hear
from voice_server.cli.traces import comparison, described, document, exact, summaries
from voice_server.errors import ServiceRejected
from voice_server.speech.engines import LocalEngines, open_local

_PAPER = 200  # characters of a table that goes to a file
_CHUNK = 32  # conversations handed to a process at once
_RECORDING = b"RIFF"


@click.command(name="detect")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a conversation.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also write an HTML page with figures, plots and transcripts.",
)
@click.option(
    "--compare",
    is_flag=True,
    help="Also run the exact transcript beside each recording (same name, .json); show a table.",
)
@click.option(
    "--markdown",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also write the table of --compare, which it implies, as a Markdown page.",
)
@click.option(
    "--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes to use."
)
def command(
    files: tuple[Path, ...],
    as_json: bool,
    report: Path | None,
    compare: bool,
    markdown: Path | None,
    jobs: int,
) -> None:
    """Run transcripts and recordings through the scam detector, utterance by utterance.

    A FILE holds a conversation a line in JSON (id and turns of speaker and text), is a plain
    transcript (an utterance a line, "speaker: " in front where it is known), or a WAV recording
    (mu-law or PCM; channel 0 is the remote party, channel 1 our side). Everybody who is not
    "agent" is watched; the riskiest party speaks for the conversation. Recordings are cut, and
    shown to the detector in mid-sentence, as a live call would.

    Exits with 1 when something could not be read; the rest is done all the same.
    """
    flaws: list[Flaw] = []
    compare = compare or markdown is not None
    with _progress() as progress:
        talks = list(_talks(files, progress, flaws, compare=compare))
        traces = _played(talks, jobs, progress)
        shown = [trace for trace in _told(traces, quiet=compare, as_json=as_json)]
    if compare and not as_json:
        Console(width=None if sys.stdout.isatty() else _PAPER).print(comparison(shown))
    if report is not None:
        from detectors.report import page

        _write("report", report, page(list(zip(talks, shown, strict=True))))
    if markdown is not None:
        _write("table", markdown, document(shown))
    if not as_json:
        for line in summaries(shown):
            click.echo(line, err=True)
    for flaw in flaws:
        click.secho(f"error: {flaw}", fg="red", err=True)
    sys.exit(1 if flaws else 0)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr, on terminals alone; it goes away when all is done."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        yield progress


def _talks(
    files: Sequence[Path], progress: Progress, flaws: list[Flaw], *, compare: bool
) -> Iterator[Talk]:
    """Read all files in order; recordings are listened to, flaws are put aside."""
    ears = _Ears(progress)
    try:
        for path in progress.track(files, description="read"):
            for found in _read(path, ears, compare=compare):
                if isinstance(found, Flaw):
                    flaws.append(found)
                else:
                    yield found
    finally:
        ears.close()


def _read(path: Path, ears: _Ears, *, compare: bool) -> Iterator[Talk | Flaw]:
    if not _is_recording(path):
        yield from read_talks(path)
        return
    notes = path.with_suffix(".json")
    known = next(read_talks(notes)) if notes.exists() else None
    heard = ears.listen(path)
    if isinstance(heard, Talk) and isinstance(known, Talk):
        heard = msgspec.structs.replace(
            heard, label=known.label, source=known.source, cluster=known.cluster
        )
    yield heard
    if compare and known is not None:
        yield exact(known) if isinstance(known, Talk) else known


def _is_recording(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_RECORDING)) == _RECORDING or path.suffix.lower() == ".wav"
    except OSError:
        return False  # the reader of transcripts says why


class _Ears:
    """Listens to recordings; the engines are opened for the first one."""

    __slots__ = ("_engines", "_progress")

    def __init__(self, progress: Progress) -> None:
        self._engines: LocalEngines | None = None
        self._progress = progress

    def listen(self, path: Path) -> Talk | Flaw:
        task = self._progress.add_task(f"listen to {path.name}", total=None)
        try:
            if self._engines is None:
                self._engines = open_local(1)
            advance = partial(self._progress.advance, task)
            return asyncio.run(hear(path, self._engines, advance))
        except OSError as error:
            return Flaw(str(path), 0, f"cannot be read ({error.strerror})")
        except (RecordingError, ServiceRejected, WeightsMissing) as error:
            return Flaw(str(path), 0, str(error))
        finally:
            self._progress.remove_task(task)

    def close(self) -> None:
        if self._engines is not None:
            self._engines.close()


@cache
def _model() -> ScamModel:
    return ScamModel.load()


def _play(talk: Talk) -> Trace:
    return play(_model(), talk)


def _played(talks: Sequence[Talk], jobs: int, progress: Progress) -> Iterator[Trace]:
    try:
        _model()
    except ModelError as error:
        raise click.ClickException(str(error)) from None
    task = progress.add_task("detect", total=len(talks))
    for trace in _in_processes(talks, jobs) if jobs > 1 else map(_play, talks):
        progress.advance(task)
        yield trace


def _in_processes(talks: Sequence[Talk], jobs: int) -> Iterator[Trace]:
    # spawned: a fork would copy the model's threads in an unknown state
    context = multiprocessing.get_context("spawn")
    chunk = max(1, min(_CHUNK, len(talks) // jobs))
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(_play, talks, chunksize=chunk)


def _told(traces: Iterable[Trace], *, quiet: bool, as_json: bool) -> Iterator[Trace]:
    """Print each conversation as soon as it is done."""
    for trace in traces:
        if as_json:
            click.echo(msgspec.json.encode(trace).decode())
        elif not quiet:
            click.echo(described(trace))
        yield trace


def _write(what: str, path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {path} ({error.strerror})") from None
    click.echo(f"{what}: {path}", err=True)
