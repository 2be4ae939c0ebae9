"""States of calls for the tests of the mirror, as a call would publish them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec

from detectors.assessment import Severity
from voice_server.call.live import Line, LiveState
from voice_server.mirror.node import leaves_of, nested
from voice_server.testing.lab.firebase_tree import shown, stored

_LINES_SHOWN = 12

FIRST = LiveState(
    sequence=1,
    at_ms=0,
    phase="speaking",
    speaking="agent",
    turn=0,
    partial="",
    lines=(),
    line_count=0,
    severity=Severity.MINIMAL,
    risk=0.0,
    evidence=(),
    latency_ms=0,
    cost_micro_usd=0,
    outcome="",
)


def state(sequence: int, outcome: str = "", **more: Any) -> LiveState:
    """A state by its number."""
    return msgspec.structs.replace(FIRST, sequence=sequence, outcome=outcome, **more)


def told(live: LiveState) -> Any:
    """What a reader of the database sees of a state, its times aside."""
    return shown(stored(nested(leaves_of(live)), None, 0))


def without_times(node: Any) -> Any:
    """A node as it was read, its times aside."""
    return {key: value for key, value in node.items() if key not in ("updated_at", "expires_at")}


def conversation(chance: random.Random, length_s: float) -> Iterator[tuple[float, LiveState]]:
    """A call as a mirror sees it: states and the seconds before each, the last with an outcome.

    A caller's words come about three times a second while somebody speaks, so for most of its
    life the call has more news than it may show.
    """
    now, line_count = 0.0, 0
    live, lines = FIRST, list[Line]()
    while now < length_s:
        pause = chance.choice((0.02, 0.1, 0.3, 0.3, 0.5, 2.0))
        now += pause
        if chance.random() < 0.15:
            who = chance.choice(("caller", "agent"))
            unheard = "and so on" if who == "agent" and chance.random() < 0.3 else ""
            lines = [*lines, Line(who, f"line {line_count} of it", unheard, int(now * 1000))]
            lines, line_count = lines[-_LINES_SHOWN:], line_count + 1
        risk = min(1.0, live.risk + chance.choice((0.0, 0.0, 0.0, 0.01)))
        live = msgspec.structs.replace(
            live,
            sequence=live.sequence + 1,
            at_ms=int(now * 1000),
            speaking=chance.choice(("caller", "agent", "nobody")),
            partial=chance.choice(("", "I would", "I would like to")),
            lines=tuple(lines),
            line_count=line_count,
            risk=risk,
            evidence=("gift_card",) if risk > 0.1 else (),
            cost_micro_usd=live.cost_micro_usd + 7,
            outcome="booked" if now >= length_s else "",
        )
        yield pause, live
