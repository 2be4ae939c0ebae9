"""The figures and plots of a report, as far as labels allow them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from detectors import metrics
from detectors.metrics import Table
from detectors.playback import Trace
from detectors.report.charts import Axis, Curve, Strip, plot, strips

_SECONDS = (5, 10, 15, 20, 30, 45, 60, 90, 120)
_CURVE_POINTS = 300
_FEW = 0.08  # of benign calls: where a shield must work
_ROUNDS = 200

_ROWS: tuple[tuple[str, str, Callable[[Table], float]], ...] = (
    ("ROC AUC", "each scam source against all benign calls, averaged", metrics.auc),
    ("Recall, last risk", "at 1 % of benign calls flagged", metrics.recall),
    ("Ever flagged", "at 1 % of benign calls ever flagged", metrics.ever_flagged),
    *(
        (f"Flagged within {k} s", "at 1 % of benign calls ever flagged", metrics.flagged_by(k))
        for k in metrics.SECONDS
    ),
    ("Calibration error", "expected, of the last risk, in ten bins", metrics.calibration_error),
)


def figures(traces: Sequence[Trace]) -> str:
    """Make the part of the page above the conversations; "" without any."""
    known = [trace for trace in traces if trace.label]
    table = Table.of([trace.scored for trace in known], _SECONDS)
    parts: list[str] = []
    if table.scam.any() and not table.scam.all():
        parts.append(_numbers(table, known))
        parts.append(_plots(table, known))
    if traces:
        parts.append(_sources(traces))
    return "".join(parts)


def _numbers(table: Table, known: Sequence[Trace]) -> str:
    alarmed = {
        label: [trace.alarm_turn is not None for trace in known if (trace.label == "scam") is label]
        for label in (True, False)
    }
    rows = [
        _row(name, note, metrics.interval(table, figure, rounds=_ROUNDS))
        for name, note, figure in _ROWS
    ]
    rows += [
        f"<tr><th>{name}</th><td class=num>{np.mean(alarmed[label]):.3f}</td><td></td>"
        f"<td>{sum(alarmed[label])} of {len(alarmed[label])}, at the shipped operating point</td>"
        "</tr>"
        for name, label in (("Scams alarmed", True), ("Benign calls alarmed", False))
    ]
    return (
        "<h2>Figures</h2><div class=scroll><table class=figures><thead><tr><th>figure</th>"
        "<th class=num>value</th><th>95 % interval</th><th>what</th></tr></thead><tbody>"
        f"{''.join(rows)}</tbody></table></div><p class=note>Rates of scams are averaged over "
        "sources; a benign call weighs 1 / max(100, calls of its source). Intervals resample "
        "clusters of near-duplicates. Thresholds at 1 % are set on these very benign calls: "
        "on new kinds of calls expect more false alarms.</p>"
    )


def _row(name: str, note: str, found: metrics.Interval) -> str:
    between = "" if math.isnan(found.low) else f"{found.low:.3f} – {found.high:.3f}"
    return (
        f"<tr><th>{escape(name)}</th><td class=num>{found.value:.3f}</td>"
        f"<td>{between}</td><td>{escape(note)}</td></tr>"
    )


def _plots(table: Table, known: Sequence[Trace]) -> str:
    charts = (
        ("Receiver operating characteristic", _roc(table)),
        ("The same, at few false alarms", _roc(table, _FEW)),
        ("Precision and recall", _precision(table)),
        ("Highest risks", _spread(table)),
        ("Calibration", _calibration(table)),
        ("Time to alarm", _earliness(table, known)),
    )
    drawn = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{chart}</figure>" for name, chart in charts
    )
    return f"<div class=plots>{drawn}</div>"


def _roc(table: Table, until: float = 1.0) -> str:
    """Draw the curve for as many false alarms as `until`."""
    curves = []
    for name, scores, kind in (
        ("last risk", table.final, "a"),
        ("highest risk", table.highest, "b"),
    ):
        x, y = metrics.roc(scores[table.scam], scores[~table.scam])
        kept = x <= until
        curves.append(Curve(name, _thinned(x[kept], y[kept]), kind))
    ticks = tuple(until * share for share in (0.0, 0.25, 0.5, 0.75, 1.0))
    chance = Curve("", ((0.0, 0.0), (until, until)), "ideal")
    x_axis = Axis("benign calls flagged", until, ticks)
    return plot("ROC curve", x_axis, Axis("scams flagged"), [chance, *curves])


def _spread(table: Table) -> str:
    places = np.linspace(0, 1, 51)
    curves = [
        Curve(name, tuple(zip(places.tolist(), _share_below(risks, places), strict=True)), kind)
        for name, risks, kind in (
            ("benign calls", table.highest[~table.scam], "b"),
            ("scams", table.highest[table.scam], "a"),
        )
    ]
    return plot("Highest risks", Axis("highest risk"), Axis("share of calls at or below"), curves)


def _share_below(risks: NDArray[np.float64], places: NDArray[np.float64]) -> list[float]:
    found: list[float] = (
        np.searchsorted(np.sort(risks), places, side="right") / len(risks)
    ).tolist()
    return found


def _precision(table: Table) -> str:
    scam = table.scam
    points = _thinned(*metrics.precision_recall(table.final[scam], table.final[~scam]))
    return plot(
        "Precision and recall",
        Axis("recall"),
        Axis("precision"),
        [Curve("last risk, both labels taken as equally common", points)],
    )


def _calibration(table: Table) -> str:
    heard = table.final > metrics.NEVER
    bins = metrics.reliability(table.final[heard], table.scam[heard])
    points = tuple((each.risk, each.scams) for each in bins)
    return plot(
        "Calibration",
        Axis("risk said"),
        Axis("share that were scams"),
        [
            Curve("perfect", ((0.0, 0.0), (1.0, 1.0)), "ideal"),
            Curve("last risk, in ten bins", points, "a", dots=True),
        ],
    )


def _earliness(table: Table, known: Sequence[Trace]) -> str:
    end = _SECONDS[-1]
    at_one = tuple((float(k), metrics.flagged_by(k)(table)) for k in _SECONDS)
    return plot(
        "Time to alarm",
        Axis("seconds of the call", float(end), (0.0, 15.0, 30.0, 60.0, 90.0, 120.0)),
        Axis("share of calls"),
        [
            Curve("scams, at 1 % of benign calls ever flagged", ((0.0, 0.0), *at_one), "c"),
            Curve("scams, at the shipped alarm", _alarms(known, end, scam=True), "a"),
            Curve("benign, at the shipped alarm", _alarms(known, end, scam=False), "b"),
        ],
    )


def _alarms(known: Sequence[Trace], end: int, *, scam: bool) -> tuple[tuple[float, float], ...]:
    group = [trace for trace in known if (trace.label == "scam") is scam]
    times = sorted(trace.alarm_seconds for trace in group if trace.alarm_seconds is not None)
    return tuple(
        (float(second), sum(time <= second for time in times) / len(group))
        for second in range(end + 1)
    )


def _sources(traces: Sequence[Trace]) -> str:
    groups: dict[tuple[str, str], list[Trace]] = {}
    for trace in traces:
        groups.setdefault((trace.label, trace.source), []).append(trace)
    rows = [
        _strip(source, label, group)
        for (label, source), group in sorted(groups.items(), key=lambda item: item[0])
    ]
    chart = strips("Risk by source", rows)
    return (
        "<h2>By source</h2><p class=note>Highest risk of each call: the thin line spans 5 to 95 % "
        "of the calls, the thick one the middle half, the dot is the median. Beside it: calls "
        f"alarmed.</p><figure class=wide>{chart}</figure>"
    )


def _strip(source: str, label: str, group: Sequence[Trace]) -> Strip:
    quantiles = np.percentile([trace.highest for trace in group], [5, 25, 50, 75, 95])
    alarmed = sum(trace.alarm_turn is not None for trace in group)
    low, quarter, median, three, high = (float(value) for value in quantiles)
    return Strip(
        " · ".join(name for name in (source, label) if name) or "not labelled",
        (low, quarter, median, three, high),
        f"{alarmed} of {len(group)} ({alarmed / len(group):.0%})",
        {"scam": "a", "benign": "b"}.get(label, "c"),
    )


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Keep at most 300 points of a curve, evenly along its length, with both ends."""
    if len(x) > _CURVE_POINTS:
        length = np.r_[0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
        places = np.linspace(0.0, length[-1], _CURVE_POINTS)
        kept = np.unique(np.searchsorted(length, places, side="left"))
        x, y = x[kept], y[kept]
    return tuple(zip(x.tolist(), y.tolist(), strict=True))
