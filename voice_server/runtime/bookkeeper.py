"""Turns the commands of a call into the rows that the database keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from db.rows import (
    CallRow,
    CostBooked,
    LineSaid,
    ScamDetected,
    SessionEnded,
    StatusChanged,
    TurnMeasured,
)
from detectors.assessment import Assessment, Finding
from voice_server.call import Call, Disposition
from voice_server.call import commands as c
from voice_server.ports import CallFacts

_json = msgspec.json.Encoder()


class Bookkeeper:
    """Numbers and writes the rows of one call; `put` takes them and never blocks."""

    __slots__ = ("_epoch_ms", "_facts", "_put", "_sequence")

    def __init__(self, facts: CallFacts, put: Callable[[CallRow], None], epoch_ms: int) -> None:
        """`epoch_ms` is the instant of the call's 0 ms, in ms since the Unix epoch."""
        self._facts = facts
        self._put = put
        self._epoch_ms = epoch_ms
        self._sequence = 0

    def answered(self, now: int) -> None:
        """The media stream is open."""
        at = self._epoch_ms + now
        self._put(StatusChanged(self._facts.call_id, "answered", "in-progress", at))

    def write(self, command: c.Record | c.RecordRisk | c.Book | c.Measure, now: int) -> None:
        """Write the row of one command."""
        self._sequence += 1
        call_id, sequence = self._facts.call_id, self._sequence
        match command:
            case c.Record():
                self._put(
                    LineSaid(
                        call_id,
                        sequence,
                        command.speaker,
                        command.text,
                        command.unheard,
                        command.started_ms,
                        command.ended_ms,
                    )
                )
            case c.Book():
                at = self._epoch_ms + now
                self._put(
                    CostBooked(
                        call_id, sequence, command.item, command.quantity, command.micro_usd, at
                    )
                )
            case c.Measure():
                self._put(
                    TurnMeasured(
                        call_id,
                        sequence,
                        command.turn,
                        command.transcript_ms,
                        command.first_text_ms,
                        command.first_audio_ms,
                    )
                )
            case c.RecordRisk():
                self._put(self._detection(command, now))

    def _detection(self, command: c.RecordRisk, now: int) -> ScamDetected:
        view = command.assessment
        return ScamDetected(
            call_id=self._facts.call_id,
            sequence=self._sequence,
            user_id=self._facts.agent.user_id,
            risk=view.risk,
            severity=view.severity.value,
            confidence=view.confidence,
            patterns_json=_findings(view.findings, "pattern"),
            predictions_json=_predictions(view),
            keywords=_keywords(view.findings),
            behaviour_json=_findings(view.findings, "behaviour", "crosscall"),
            segments_json=_json.encode(
                [
                    {
                        "number": s.number,
                        "speaker": s.speaker,
                        "text": s.text,
                        "started_ms": s.started_ms,
                        "ended_ms": s.ended_ms,
                    }
                    for s in command.segments
                ]
            ).decode(),
            model_version=view.model_version,
            processing_us=view.processing_us,
            final=command.final,
            at=self._epoch_ms + now,
        )

    def ended(self, call: Call, *, answered_at: int, now: int, journal: str) -> None:
        """The last row: how the call ended. `answered_at` is ms of the call, -1 = never."""
        assert call.outcome is not None
        failed = call.outcome.disposition is Disposition.FAILED
        risk = call.record.risk
        self._put(
            SessionEnded(
                call_id=self._facts.call_id,
                user_id=self._facts.agent.user_id,
                status="failed" if failed or answered_at < 0 else "completed",
                outcome=call.outcome.disposition.value,
                reason=call.outcome.reason.value,
                duration_ms=now - answered_at if answered_at >= 0 else 0,
                cost_micro_usd=call.record.meter.micro_usd,
                severity=risk.worst.value,
                risk=risk.newest.risk if risk.newest else 0.0,
                turns=call.agent.number,
                journal=journal,
                answered_at=self._epoch_ms + answered_at if answered_at >= 0 else 0,
                at=self._epoch_ms + now,
                conversation_id=call.record.conversation_id,
            )
        )


def _findings(findings: Iterable[Finding], *detectors: str) -> str:
    return _json.encode(
        [
            {
                "name": f.name,
                "weight": f.weight,
                "segment": f.segment,
                "start": f.start,
                "end": f.end,
                "excerpt": f.excerpt,
            }
            for f in findings
            if f.detector in detectors
        ]
    ).decode()


def _predictions(view: Assessment) -> str:
    """What the models said, and which kind of scam with which tactics it looks like."""
    said: list[dict[str, object]] = [
        {"model": p.model, "label": p.label, "probability": p.probability} for p in view.predictions
    ]
    if view.scam_type or view.tactics:
        said.append({"model": "kinds", "label": view.scam_type, "tactics": view.tactics})
    return _json.encode(said).decode()


def _keywords(findings: Iterable[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f.excerpt for f in findings if f.detector == "keyword"))
