"""States of calls for the tests of the mirror, as a call would publish them."""

from __future__ import annotations

from typing import Any

import msgspec

from detectors.assessment import Severity
from voice_server.call.live import LiveState
from voice_server.mirror.node import leaves_of, nested
from voice_server.testing.lab.firebase_tree import shown, stored

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
