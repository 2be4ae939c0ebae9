"""Exact replay: a journal through the core must give the recorded commands, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec

from voice_server.call import Call, Outcome, Phase, Policy
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.history import History, ToolUsed
from voice_server.runtime.journal import Essence, Journal, essences


class Difference(msgspec.Struct, frozen=True):
    """The first place where the core no longer does what it did."""

    entry: int  # counted from 1
    at_ms: int
    event: str  # its kind: the content may be private
    recorded: tuple[Essence, ...]
    replayed: tuple[Essence, ...]


class ReplayedCall(msgspec.Struct, frozen=True):
    """A call as its journal tells it."""

    call_id: str
    outcome: str  # a Disposition value, "" for a journal that was cut short
    reason: str  # an EndReason value
    phase: str
    severity: str  # the worst band
    risk: float  # the last risk
    turns: int
    duration_ms: int
    cost_micro_usd: int
    lines: tuple[c.Record, ...]
    history: History
    latencies_ms: tuple[int, ...]
    events: int
    cut_short: bool
    difference: Difference | None

    @property
    def order_id(self) -> str:
        """The order booked in the call, "" if none."""
        return booked_order(self.history)

    def said(self, speaker: str) -> str:
        """All that one side said (and, for the agent, that was heard), in one string."""
        return " ".join(line.text for line in self.lines if line.speaker == speaker)


_NAMES = {kind.__struct_config__.tag: kind.__name__ for kind in get_args(c.Command)}


class _Booked(msgspec.Struct):
    order_id: str = ""


def booked_order(history: History) -> str:
    """The newest order id among the tool results, "" if none."""
    for entry in reversed(history):
        if isinstance(entry, ToolUsed) and entry.name == "book_order" and entry.result:
            try:
                order_id = msgspec.json.decode(entry.result, type=_Booked).order_id
            except msgspec.MsgspecError:
                continue
            if order_id:  # else a refusal, which does not undo an earlier booking
                return order_id
    return ""


def replay(path: Path, *, policy: Policy | None = None) -> ReplayedCall:
    """Run a journal through the core; stops comparing at the first difference.

    With another `policy` differences are the point: read `difference` and the outcome.
    Raises `JournalError`.
    """
    journal = Journal(path)
    call = Call(policy or journal.header.policy)
    witness = Witness()
    difference: Difference | None = None
    now = count = 0
    for entry in journal:
        count += 1
        now += entry.after_ms
        commands = call.handle(entry.event, now)
        if not entry.commands and type(entry.event) is e.AudioHeard and len(commands) == 1:
            continue
        witness.see(commands)
        if difference is None:
            replayed = essences(entry.event, commands)
            if replayed != _as_stored(entry.commands):
                kind = type(entry.event).__name__
                difference = Difference(count, now, kind, entry.commands, replayed)
    return witness.report(
        journal.header.facts.call_id,
        call,
        duration_ms=now,
        events=count,
        cut_short=journal.cut_short,
        difference=difference,
    )


def describe(commands: Sequence[Essence]) -> str:
    """Recorded commands in words, for people who look at a difference."""
    return ", ".join(
        f"{_NAMES.get(tag, tag)}({', '.join(map(repr, rest))})" for tag, *rest in commands
    )


def _as_stored(commands: tuple[Essence, ...]) -> tuple[Essence, ...]:
    return tuple(tuple(command) for command in commands)


class Witness:
    """Watches the commands of a call and tells it as a `ReplayedCall`."""

    __slots__ = ("_latencies", "_lines")

    def __init__(self) -> None:
        self._lines: list[c.Record] = []
        self._latencies: list[int] = []

    def see(self, commands: Sequence[c.Command]) -> None:
        """Take the commands of one event."""
        for command in commands:
            if isinstance(command, c.Record):
                self._lines.append(command)
            elif isinstance(command, c.Measure):
                self._latencies.append(command.first_audio_ms)

    def report(
        self,
        call_id: str,
        call: Call,
        *,
        duration_ms: int,
        events: int,
        cut_short: bool,
        difference: Difference | None = None,
    ) -> ReplayedCall:
        """The call so far."""
        outcome: Outcome | None = call.outcome if call.phase is Phase.ENDED else None
        return ReplayedCall(
            call_id=call_id,
            outcome=outcome.disposition.value if outcome else "",
            reason=outcome.reason.value if outcome else "",
            phase=call.phase.value,
            severity=call.record.risk.worst.value,
            risk=call.record.risk.newest.risk if call.record.risk.newest else 0.0,
            turns=call.agent.number,
            duration_ms=duration_ms,
            cost_micro_usd=call.record.meter.micro_usd,
            lines=tuple(self._lines),
            history=call.dialogue.history,
            latencies_ms=tuple(self._latencies),
            events=events,
            cut_short=cut_short,
            difference=difference,
        )
