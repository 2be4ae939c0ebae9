"""A live call as a node of a Realtime Database: small, flat, and only as new as it must be."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from voice_server.call.live import LiveState

# Paths inside the node and what lies there; a path is one level deep or two.
Leaves: TypeAlias = dict[str, Any]

_TEXT_MOST = 600  # characters of a line that are shown; the whole transcript is in Postgres
_LINE_DIGITS = 6
SERVER_TIME = {".sv": "timestamp"}


def leaves_of(state: LiveState) -> Leaves:
    """What a node says of a state, without its times. Names, never numbers of telephones.

    Nothing is None, empty lists are left out: the database would drop them anyway.
    """
    leaves: Leaves = {
        "status": "ended" if state.outcome else "live",
        "phase": state.phase,
        "speaking": state.speaking,
        "turn": state.turn,
        "partial": _shown(state.partial),
        "line_count": state.line_count,
        "risk/severity": state.severity.value,
        "risk/score": round(state.risk, 4) if math.isfinite(state.risk) else 0.0,
        "latency_ms": state.latency_ms,
        "cost_micro_usd": state.cost_micro_usd,
        "seq": state.sequence,
        "at_ms": state.at_ms,
        "outcome": state.outcome,
    }
    if state.evidence:
        leaves["risk/evidence"] = list(state.evidence)
    first = state.line_count - len(state.lines)
    for number, line in enumerate(state.lines, first):
        shown = {"by": line.speaker, "heard": _shown(line.text), "at_ms": line.at_ms}
        if line.unheard:
            shown["unheard"] = _shown(line.unheard)
        leaves[f"lines/{number:0{_LINE_DIGITS}}"] = shown
    return leaves


def nested(leaves: Leaves) -> dict[str, Any]:
    """The whole node, to be written in place of whatever is there."""
    node: dict[str, Any] = {}
    for path, value in leaves.items():
        branch, _, leaf = path.rpartition("/")
        (node.setdefault(branch, {}) if branch else node)[leaf] = value
    return node


def changes(old: Leaves, new: Leaves) -> Leaves:
    """What to write so that a node of `old` becomes one of `new`; None deletes a path."""
    changed: Leaves = {path: value for path, value in new.items() if old.get(path) != value}
    changed.update({path: None for path in old if path not in new})
    return changed


def _shown(text: str) -> str:
    return text if len(text) <= _TEXT_MOST else f"{text[: _TEXT_MOST - 1]}…"
