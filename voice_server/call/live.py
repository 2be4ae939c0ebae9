"""The state of a call as others may watch it: small, complete, safe to drop and resend."""

from __future__ import annotations

import msgspec

from detectors.assessment import Severity


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One line of the transcript; `unheard` is what the agent had planned but nobody heard."""

    speaker: str  # "caller" or "agent"
    text: str
    unheard: str
    at_ms: int


class LiveState(msgspec.Struct, frozen=True):
    """One snapshot. `sequence` grows with each; a watcher keeps the highest it has seen."""

    sequence: int
    at_ms: int
    phase: str  # a Phase value
    speaking: str  # "caller", "agent" or "nobody"
    turn: int
    partial: str  # what the caller seems to be saying, "" between utterances
    lines: tuple[Line, ...]  # the newest lines, oldest first
    line_count: int  # all lines so far
    severity: Severity
    risk: float
    evidence: tuple[str, ...]  # names of the strongest findings
    latency_ms: int  # of the newest turn: end of speech to first audio; 0 = none yet
    cost_micro_usd: int
    outcome: str  # a Disposition value once the call has ended
