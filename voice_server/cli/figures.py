"""The figures of an evaluation: what is computed from the playing, and how it is written down."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np

from detectors import metrics
from detectors.left_out import ABLATIONS, Heard, Mask, everything, scored
from detectors.metrics import SECONDS, Interval, Scored, Table
from detectors.speed import Speed
from models.scam.corpus import OURS
from models.scam.manifest import Fusion, Manifest
from voice_server.cli.kind_figures import KindRow

REAL = ("ncsu_robocall", "youtube_scambait")  # recorded, not written
_ROUNDS = 200
Figure = Callable[[Table], float]


class Judged(msgspec.Struct, frozen=True):
    """Conversations, with the weights of evidence that were fitted to others."""

    fusion: Fusion
    heard: Sequence[Heard]

    def only(self, source: str, *, but: bool = False) -> Judged:
        """Keep the conversations of a source; `but` keeps all others."""
        kept = [each for each in self.heard if (each.source == source) != but]
        return Judged(self.fusion, kept)


class Figures(msgspec.Struct, frozen=True):
    """What was played: by models that never saw the origin, and by the shipped one."""

    campaigns: list[Judged]
    campaigns_baseline: list[Scored]
    left_out: list[Judged]
    left_out_baseline: list[Scored]
    without: list[tuple[str, list[Heard]]]  # the calls of `unseen` and `hard`, by origin left out
    unseen: list[Heard]
    unseen_baseline: list[Scored]
    hard: list[Heard]
    hard_baseline: list[Scored]
    hard_taught: list[Heard]
    curve: list[tuple[float, list[Heard]]]
    kinds: list[KindRow]
    speed: Speed


class Row(msgspec.Struct, frozen=True):
    """Shares of one source and label, at the shipped operating points."""

    source: str
    label: str
    calls: int
    auc: float | None  # against the benign calls of the same table
    high: float
    within: tuple[float, ...]  # at HIGH within each of `SECONDS`


class Line(msgspec.Struct, frozen=True):
    """One figure with its 95 % interval, and the baseline's."""

    name: str
    ours: Interval
    baseline: Interval | None = None


class Results(msgspec.Struct, frozen=True):
    """Everything the report says."""

    model_version: str
    summary: list[Line]
    campaigns: list[Line]
    left_out: list[Row]
    topics: list[Row]
    unseen: list[Row]
    hard: list[Row]
    hard_lines: list[Line]
    ablations: dict[str, list[Line]]
    learning_curve: list[tuple[str, float, float]]
    without: list[tuple[str, float, float]]
    kinds: list[KindRow]
    speed: Speed


def results(figures: Figures, manifest: Manifest) -> Results:
    """Compute every figure at the operating points of the manifest."""

    def shipped(heard: Sequence[Heard]) -> list[Judged]:
        return [Judged(manifest.fusion, heard)]

    def rows(judged: Sequence[Judged], *, by_origin: bool = False) -> list[Row]:
        return _rows(_risks(judged, by_origin=by_origin), manifest.bands.high)

    def elsewhere(name: str, heard: Sequence[Heard]) -> tuple[str, float, float]:
        table = _risks(shipped(heard))
        return name, _pooled_auc(_part(table, True)), metrics.auc(table)

    others = [each.only(OURS, but=True) for each in figures.left_out]
    ours = [each.only(OURS) for each in figures.left_out]
    plain_others = Table.of([each for each in figures.left_out_baseline if each.source != OURS])
    known = [*figures.hard, *figures.unseen]
    hard = shipped(figures.hard)
    return Results(
        model_version=manifest.model_version,
        summary=_summary(_risks(others), plain_others, _risks(figures.left_out)),
        campaigns=_summary(
            _risks([*figures.campaigns, *shipped(figures.unseen)]),
            Table.of([*figures.campaigns_baseline, *figures.unseen_baseline]),
            _risks(figures.campaigns),
        ),
        left_out=rows(figures.left_out),
        topics=rows(ours, by_origin=True),
        unseen=rows(shipped(figures.unseen)),
        hard=rows(hard),
        hard_lines=[
            _line(
                "AUC, not trained on it", _pooled_auc, _risks(hard), Table.of(figures.hard_baseline)
            ),
            _line(
                "AUC, trained on its other half", _pooled_auc, _risks(shipped(figures.hard_taught))
            ),
        ],
        ablations={
            name: [
                _line(title, figure, _risks(others, mask))
                for title, figure in (("AUC", metrics.auc), ("ever flagged", metrics.ever_flagged))
            ]
            + [_line("AUC of our twins", _pooled_auc, _risks(ours, mask))]
            + [_line("AUC of dev_hard", _pooled_auc, _risks(hard, mask))]
            for name, mask in ABLATIONS.items()
        },
        learning_curve=[
            elsewhere(f"{share:.0%}", heard) for share, heard in [*figures.curve, (1.0, known)]
        ],
        without=[elsewhere(name, heard) for name, heard in [("nothing", known), *figures.without]],
        kinds=figures.kinds,
        speed=figures.speed,
    )


def _risks(judged: Sequence[Judged], mask: Mask = everything, *, by_origin: bool = False) -> Table:
    return Table.of(
        [
            risk
            for each in judged
            for risk in scored(each.heard, each.fusion, mask=mask, by_origin=by_origin)
        ]
    )


def _part(table: Table, hard: bool) -> Table:
    return table.take(np.isin(table.source, ("adv_short", "paired_yt", "youtube_scambait")) == hard)


def _summary(table: Table, plain: Table, everything_left_out: Table) -> list[Line]:
    real, plain_real = _real(table), _real(plain)
    return [
        _line("AUC", metrics.auc, table, plain),
        _line("recall at 1 % false alarms", metrics.recall, table, plain),
        _line("real scams: recall at 1 % false alarms", metrics.recall, real, plain_real),
        *(
            _line(
                f"real scams flagged within {k} s, 1 % of benign calls ever flagged",
                metrics.flagged_by(k),
                real,
                plain_real,
            )
            for k in SECONDS
        ),
        _line(
            "real scams ever flagged, 1 % of benign calls", metrics.ever_flagged, real, plain_real
        ),
        _line("calibration error (ECE)", metrics.calibration_error, everything_left_out, plain),
    ]


def _real(table: Table) -> Table:
    return table.take(~table.scam | np.isin(table.source, REAL))


def _line(name: str, figure: Figure, table: Table, plain: Table | None = None) -> Line:
    return Line(
        name,
        metrics.interval(table, figure, rounds=_ROUNDS),
        None if plain is None else metrics.interval(plain, figure, rounds=_ROUNDS),
    )


def _pooled_auc(table: Table) -> float:
    return metrics.area_under_curve(table.final[table.scam], table.final[~table.scam])


def _rows(table: Table, high: float) -> list[Row]:
    found: list[Row] = []
    benign = table.final[~table.scam]
    for source in np.unique(table.source):
        for scam in (False, True):
            mine = table.take((table.source == source) & (table.scam == scam))
            if not len(mine):
                continue
            area = metrics.area_under_curve(mine.final, benign) if scam else math.nan
            found.append(
                Row(
                    str(source),
                    "scam" if scam else "benign",
                    len(mine),
                    None if math.isnan(area) else area,
                    float((mine.highest >= high).mean()),
                    tuple(float((mine.highest_by[k] >= high).mean()) for k in SECONDS),
                )
            )
    return found


def report(found: Results, *, quick: bool) -> str:
    """Write the figures as a page."""
    how = (
        "Quick form: origins are left out in five sets, large sources are thinned."
        if quick
        else "Every source, and every topic of our own dialogues, is left out on its own."
    )
    lines = [
        f"# Figures of {found.model_version}",
        "",
        f"Written by `voice-server evaluate scam`. {how} Brackets: 95 % intervals, clusters"
        " resampled. HIGH: share of calls ever in that band at the shipped operating point, in"
        " percent; seconds: words / 2.5, both sides counted. The baseline is word and character"
        " TF-IDF with logistic regression, taught the same conversations in the same run.",
        *_section("Left out, in short", ["", "ours", "baseline"], map(_said, found.summary)),
        *_section(
            "Left-out campaigns of known scams, unknown sources of honest calls, in short",
            ["", "ours", "baseline"],
            map(_said, found.campaigns),
        ),
        *_section("Left-out sources", _HEAD, map(_cells_of, found.left_out)),
        *_section("Left-out topics of our own twins", _HEAD, map(_cells_of, found.topics)),
        *_section("Sources for evaluation only", _HEAD, map(_cells_of, found.unseen)),
        *_section("dev_hard", _HEAD, map(_cells_of, found.hard)),
        *_section("dev_hard, in short", ["", "ours", "baseline"], map(_said, found.hard_lines)),
        *_section("Without one of the detectors", *_ablation_table(found)),
        *_section(
            "Learning curve: share of our own dialogues taught",
            ["share", "AUC of dev_hard", "AUC of sources for evaluation only"],
            ([share, f"{hard:.3f}", f"{rest:.3f}"] for share, hard, rest in found.learning_curve),
        ),
        *_section(
            "What each origin adds: figures without it",
            ["without", "AUC of dev_hard", "AUC of sources for evaluation only"],
            ([name, f"{hard:.3f}", f"{rest:.3f}"] for name, hard, rest in found.without),
        ),
        *_section("Types and tactics, left-out clusters of scams", *_kind_table(found.kinds)),
        *_section("Cost", ["", ""], _cost(found.speed)),
    ]
    return "\n".join(lines) + "\n"


_HEAD = ["source", "label", "calls", "AUC", "HIGH", *(f"≤ {k} s" for k in SECONDS)]


def _section(title: str, head: list[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [_cells(row) for row in rows]
    if not cells:
        return []
    return ["", f"## {title}", "", _cells(head), _cells(["---"] * len(head)), *cells]


def _said(line: Line) -> list[str]:
    return [line.name, _range(line.ours), _range(line.baseline) if line.baseline else ""]


def _ablation_table(found: Results) -> tuple[list[str], list[list[str]]]:
    names = [line.name for line in next(iter(found.ablations.values()))]
    rows = [[name, *(_range(line.ours) for line in row)] for name, row in found.ablations.items()]
    return ["", *names], rows


def _kind_table(rows: Sequence[KindRow]) -> tuple[list[str], list[list[str]]]:
    cells = [[row.name, str(row.scams), f"{row.ours:.3f}", f"{row.phrases:.3f}"] for row in rows]
    return ["", "scams", "ours", "phrases alone"], cells


def _cost(speed: Speed) -> list[list[str]]:
    return [
        ["one utterance, CPU time, median", f"{speed.median_us / 1_000:.2f} ms"],
        ["one utterance, CPU time, 95th percentile", f"{speed.p95_us / 1_000:.2f} ms"],
        ["the classifier's share in a batch of 64 calls", f"{speed.batched_us:.1f} µs"],
        ["kept for each call", f"{speed.call_bytes / 1_000:.0f} KB"],
        ["model files", f"{speed.file_bytes / 1_000_000:.2f} MB"],
    ]


def _range(value: Interval) -> str:
    if math.isnan(value.value):
        return ""
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _cells_of(row: Row) -> list[str]:
    area = "" if row.auc is None else f"{row.auc:.3f}"
    shares = [f"{100 * share:.1f}" for share in (row.high, *row.within)]
    return [row.source, row.label, str(row.calls), area, *shares]


def _cells(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"
