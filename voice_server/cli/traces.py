"""Shows on a terminal what the scam detector made of conversations."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec
from rich.table import Table as Grid

from detectors import metrics
from detectors.assessment import Severity
from detectors.playback import Proof, Trace
from detectors.transcripts import Talk

_LEVELS = "▁▂▃▄▅▆▇█"
_WIDTH = 32
_SHOWN = 6  # pieces of evidence a conversation
_EXACT = "#exact"
_COMPARED = ("call", "label", "heard", "evidence", "exact", "evidence")
_COLOURS = {
    Severity.MINIMAL: "green",
    Severity.LOW: "green",
    Severity.MEDIUM: "yellow",
    Severity.HIGH: "red",
    Severity.CRITICAL: "bright_red",
}


def described(trace: Trace) -> str:
    """Several lines: risk over time, the alarm, kind, tactics and the strongest evidence."""
    risk = click.style(f"{trace.highest:.2f} {trace.severity.value}", fg=_COLOURS[trace.severity])
    lines = [f"{click.style(trace.id, bold=True)}  {sparkline(trace)}  highest {risk}"]
    lines[0] += f", at the end {trace.score:.2f}" if trace.steps else ", nothing said"
    if trace.alarm_turn is not None:
        lines.append(
            f"  alarm     turn {trace.alarm_turn}, {trace.alarm_seconds:.1f} s, "
            f"{trace.alarm_words} words"
        )
    if trace.type:
        lines.append(f"  type      {trace.type} (confidence {trace.confidence:.2f})")
    if trace.tactics:
        lines.append(f"  tactics   {trace.marked_tactics}")
    lines += [f"  evidence  {_proof(proof)}" for proof in strongest(trace, _SHOWN)]
    return "\n".join(lines)


def sparkline(trace: Trace) -> str:
    """Draw the risk after each utterance, at most 32 characters; each shows its highest."""
    risks = [step[2] for step in trace.steps]
    width = min(_WIDTH, len(risks))
    groups = [
        risks[at * len(risks) // width : (at + 1) * len(risks) // width] for at in range(width)
    ]
    return "".join(_LEVELS[min(7, int(max(group) * 8))] for group in groups)


def strongest(trace: Trace, count: int) -> list[Proof]:
    """Return the heaviest evidence in the order in which it was heard."""
    heaviest = sorted(trace.evidence, key=lambda proof: -proof.weight)[:count]
    return sorted(heaviest, key=lambda proof: (proof.turn, proof.start))


def _proof(proof: Proof) -> str:
    return (
        f"turn {proof.turn}, {proof.speaker}: “{proof.excerpt}” "
        f"{click.style(f'{proof.detector} {proof.name} {proof.weight:.2f}', dim=True)}"
    )


def summary(traces: Sequence[Trace]) -> str:
    """One line about all: how many, alarms, and the figures that labels allow."""
    alarms = sum(trace.alarm_turn is not None for trace in traces)
    line = f"{len(traces)} conversations, {alarms} alarms"
    table = metrics.Table.of([trace.scored for trace in traces if trace.label])
    if not table.scam.any() or table.scam.all():
        return line
    known = [trace for trace in traces if trace.label]
    caught = sum(trace.alarm_turn is not None and trace.label == "scam" for trace in known)
    false = sum(trace.alarm_turn is not None and trace.label != "scam" for trace in known)
    scams = int(table.scam.sum())
    return (
        f"{line}; of {scams} scams {caught / scams:.1%}, of {len(known) - scams} benign "
        f"{false / (len(known) - scams):.1%}; ROC AUC {metrics.auc(table):.3f}, "
        f"recall at 1 % false alarms {metrics.recall(table):.2f}"
    )


def exact(talk: Talk) -> Talk:
    """Rename the exact transcript of a recording, so that the two can be told apart."""
    return msgspec.structs.replace(talk, id=f"{talk.id}{_EXACT}")


def summaries(traces: Sequence[Trace]) -> list[str]:
    """Sum up what was heard and exact transcripts beside it apart."""
    heard = [trace for trace in traces if not trace.id.endswith(_EXACT)]
    beside = [trace for trace in traces if trace.id.endswith(_EXACT)]
    return [summary(heard), f"exact transcripts: {summary(beside)}"] if beside else [summary(heard)]


def comparison(traces: Sequence[Trace]) -> Grid:
    """Put what was recognised in recordings beside their exact transcripts."""
    grid = Grid(box=None, pad_edge=False)
    for title in _COMPARED:
        grid.add_column(title, no_wrap=title in ("call", "heard", "exact"))
    for row in _compared(traces):
        grid.add_row(*row)
    return grid


def document(traces: Sequence[Trace]) -> str:
    """Write the comparison as a Markdown page that says how to make it anew."""
    lines = [" | ".join(_COMPARED), " | ".join("---" for _ in _COMPARED)]
    lines += [" | ".join(row) for row in _compared(traces)]
    table = "\n".join(f"| {line} |" for line in lines)
    totals = "\n".join(f"- {line}" for line in summaries(traces))
    model = traces[0].model_version if traces else ""
    return (
        "# Recordings\n\n"
        f"Model `{model}`, made by `voice-server detect --markdown FILE RECORDING...`.\n\n"
        "Each recording goes through the local recogniser, cut and shown to the detector as in a\n"
        "live call; beside it stands its exact transcript. A verdict is the second of the first\n"
        "alarm (HIGH or above) and the highest risk; the recogniser's own time is not counted.\n\n"
        f"{table}\n\n{totals}\n"
    )


def _compared(traces: Sequence[Trace]) -> list[tuple[str, ...]]:
    written = {trace.id: trace for trace in traces if trace.id.endswith(_EXACT)}
    rows: list[tuple[str, ...]] = []
    for trace in traces:
        if trace.id not in written:
            beside = written.get(f"{trace.id}{_EXACT}")
            others = (verdict(beside), _names(beside)) if beside else ("", "")
            rows.append((trace.id, trace.label, verdict(trace), _names(trace), *others))
    return rows


def verdict(trace: Trace) -> str:
    """The alarm's second and the highest risk, in a few characters."""
    when = "no alarm" if trace.alarm_seconds is None else f"{trace.alarm_seconds:.1f} s"
    return f"{when}, {trace.highest:.2f} {trace.severity.value}"


def _names(trace: Trace) -> str:
    heavy = sorted(trace.evidence, key=lambda proof: -proof.weight)
    return ", ".join(dict.fromkeys(proof.name for proof in heavy[:3]))
