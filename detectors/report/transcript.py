"""Conversations of a report: a row each that opens to the transcript with its evidence marked."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from detectors.playback import Proof, Trace
from detectors.report.charts import spark
from detectors.transcripts import Talk

SHOWN_LIMIT = 400  # conversations on one page: some 3 MB
_TURNS_LIMIT = 400  # of one conversation
_SPARK_POINTS = 120

Pair = tuple[Talk, Trace]


def conversations(pairs: Sequence[Pair]) -> str:
    """List conversations, those that people should look at first on top."""
    ranked = sorted(pairs, key=lambda pair: (-_urgency(pair[1]), -pair[1].highest))
    shown = ranked[:SHOWN_LIMIT]
    rest = len(ranked) - len(shown)
    note = f" {rest} calmer ones are left out of this page." if rest else ""
    return (
        "<h2>Conversations</h2><p class=note>Mistaken ones first, then by highest risk."
        f"{note} Open a row for the transcript; evidence is marked, its detector and weight "
        "appear when you point at it.</p>"
        '<input id=filter type=search placeholder="Filter by id, source, type, verdict or words" '
        'aria-label="Filter conversations"><div id=calls>'
        f"{''.join(_call(talk, trace) for talk, trace in shown)}</div>"
    )


def _urgency(trace: Trace) -> int:
    return {"false alarm": 2, "missed": 1}.get(verdict(trace), 0)


def verdict(trace: Trace) -> str:
    """What an alarm or its absence was worth, where the label is known."""
    alarmed = trace.alarm_turn is not None
    if not trace.label:
        return "alarm" if alarmed else "quiet"
    if trace.label == "scam":
        return "caught" if alarmed else "missed"
    return "false alarm" if alarmed else "left in peace"


def _call(talk: Talk, trace: Trace) -> str:
    said = verdict(trace)
    alarm = "" if trace.alarm_seconds is None else f"alarm at {trace.alarm_seconds:.0f} s"
    facts = [trace.source, trace.type, alarm]
    risks = [step[2] for step in trace.steps]
    step = max(1, -(-len(risks) // _SPARK_POINTS))
    thinned = [max(risks[at : at + step]) for at in range(0, len(risks), step)]
    return (
        f"<details><summary><span class='verdict {said.replace(' ', '-')}'>{said}</span>"
        f"<span class=id>{escape(trace.id)}</span>{spark(thinned)}"
        f"<span class='risk {trace.severity.value}'>{trace.highest:.2f} {trace.severity.value}"
        f"</span><span class=facts>{escape(' · '.join(fact for fact in facts if fact))}</span>"
        f"</summary>{_facts(trace)}{_turns(talk, trace)}</details>"
    )


def _facts(trace: Trace) -> str:
    pairs = (
        ("last risk", f"{trace.score:.3f}"),
        ("confidence", f"{trace.confidence:.2f}"),
        ("tactics", trace.marked_tactics),
        ("detectors", ", ".join(trace.detectors)),
    )
    shown = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in pairs if value)
    return f"<dl>{shown}</dl>"


def _turns(talk: Talk, trace: Trace) -> str:
    risk = {turn: value for turn, _, value in trace.steps}  # the last one of each turn
    by_turn: dict[int, list[Proof]] = {}
    for proof in trace.evidence:
        by_turn.setdefault(proof.turn, []).append(proof)
    rows = []
    spoken = talk.spoken
    for turn, said in enumerate(spoken[:_TURNS_LIMIT], start=1):
        reached = f"{risk[turn]:.2f}" if turn in risk else ""
        alarm = " class=alarm" if turn == trace.alarm_turn else ""
        rows.append(
            f"<tr{alarm}><td class=num>{turn}</td><td class=who>{escape(said.party)}</td>"
            f"<td>{marked(said.text, by_turn.get(turn, ()))}</td><td class=num>{reached}</td></tr>"
        )
    more = len(spoken) - _TURNS_LIMIT
    if more > 0:
        rows.append(f"<tr><td></td><td></td><td class=note>{more} more turns</td><td></td></tr>")
    return f"<table class=turns><tbody>{''.join(rows)}</tbody></table>"


def marked(text: str, proofs: Sequence[Proof]) -> str:
    """Mark evidence in a text. Where pieces overlap, a mark names all that hold there."""
    edges = sorted({0, len(text), *(at for proof in proofs for at in (proof.start, proof.end))})
    parts: list[str] = []
    for begin, end in pairwise(edges):
        piece = escape(text[begin:end])
        here = [proof for proof in proofs if proof.start <= begin and proof.end >= end]
        if not here:
            parts.append(piece)
            continue
        strongest = max(proof.weight for proof in here)
        level = 3 if strongest >= 0.6 else 2 if strongest >= 0.3 else 1
        broad = all(proof.detector in ("classifier", "behaviour") for proof in here)
        names = "; ".join(f"{p.detector} {p.name} {p.weight:.2f}" for p in here)
        kind = "broad" if broad else f"w{level}"
        parts.append(f'<mark class={kind} title="{escape(names)}">{piece}</mark>')
    return "".join(parts)
