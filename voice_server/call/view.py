"""Composes the snapshots that others watch."""

from __future__ import annotations

from collections import deque

from detectors.assessment import Assessment, Severity
from voice_server.call.live import Line, LiveState

_LINES_SHOWN = 12
_EVIDENCE_SHOWN = 5


class LiveView:
    """Remembers the few things a watcher wants that the call itself has no use for."""

    __slots__ = ("_count", "_lines", "_sequence", "latency_ms")

    def __init__(self) -> None:
        self._sequence = 0
        self._lines: deque[Line] = deque(maxlen=_LINES_SHOWN)
        self._count = 0
        self.latency_ms = 0

    def line(self, speaker: str, text: str, unheard: str, at_ms: int) -> None:
        """Remember one line of the transcript."""
        self._lines.append(Line(speaker, text, unheard, at_ms))
        self._count += 1

    def state(
        self,
        *,
        now: int,
        phase: str,
        speaking: str,
        partial: str,
        turn: int,
        assessment: Assessment | None,
        cost_micro_usd: int,
        outcome: str,
    ) -> LiveState:
        """The next snapshot."""
        self._sequence += 1
        findings = sorted(assessment.findings, key=lambda f: -f.weight) if assessment else ()
        return LiveState(
            sequence=self._sequence,
            at_ms=now,
            phase=phase,
            speaking=speaking,
            turn=turn,
            partial=partial,
            lines=tuple(self._lines),
            line_count=self._count,
            severity=assessment.severity if assessment else Severity.MINIMAL,
            risk=assessment.risk if assessment else 0.0,
            evidence=tuple(finding.name for finding in findings[:_EVIDENCE_SHOWN]),
            latency_ms=self.latency_ms,
            cost_micro_usd=cost_micro_usd,
            outcome=outcome,
        )
