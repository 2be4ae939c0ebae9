"""What a call leaves behind: transcript, costs, assessments and the view others have of it."""

from __future__ import annotations

from detectors.assessment import Assessment, Segment
from voice_server.call import commands as c
from voice_server.call import outcome
from voice_server.call.agent_turn import AgentTurn
from voice_server.call.caller import CallerSide
from voice_server.call.meter import Meter, started_minutes
from voice_server.call.outcome import Outcome
from voice_server.call.phase import Phase
from voice_server.call.policy import Policy
from voice_server.call.risk import RiskStep, RiskWatch
from voice_server.call.view import LiveView


class CallRecord:
    """Keeps the books of one call; its methods return the commands that write them.

    `conversation_id` names the call at the service of a hosted agent, "" without one.
    """

    __slots__ = ("_policy", "conversation_id", "meter", "risk", "view")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.conversation_id = ""
        self.risk = RiskWatch(policy)
        self.meter = Meter(policy.tariff)
        self.view = LiveView()

    def line(
        self, speaker: str, text: str, unheard: str, started_ms: int, ended_ms: int
    ) -> list[c.Command]:
        """One line was said; only the heard part is shown to the scam detector."""
        self.view.line(speaker, text, unheard, started_ms)
        out: list[c.Command] = [c.Record(speaker, text, unheard, started_ms, ended_ms)]
        if text and self._policy.detect_scams:
            out.append(c.AssessRisk(self.risk.segment(speaker, text, started_ms, ended_ms)))
        return out

    def seems(self, text: str, started_ms: int, ended_ms: int, now: int) -> list[c.Command]:
        """The caller seems to be saying this: a scam need not wait for the end of a sentence."""
        if not self._policy.detect_scams:
            return []
        segment = self.risk.preview("caller", text, started_ms, ended_ms, now)
        return [] if segment is None else [c.PreviewRisk(segment)]

    def agent_line(self, turn: AgentTurn, heard: str, now: int) -> list[c.Command]:
        """The agent's line at the end of a turn, heard or cut; none when nothing was said."""
        unheard = turn.unheard(heard).strip()
        if not heard.strip() and not unheard:
            return []
        began = turn.speech_at if turn.speech_at >= 0 else now
        return self.line("agent", heard.strip(), unheard, began, now)

    def interjected(self, text: str, started_ms: int, ended_ms: int) -> c.Record:
        """An interjection was heard: part of the transcript, of no interest to the detector."""
        self.view.line("agent", text, "", started_ms)
        return c.Record("agent", text, "", started_ms, ended_ms)

    def keys(self, digits: str, at_ms: int) -> list[c.Command]:
        """The caller pressed keys: part of the transcript, of no interest to the detector."""
        self.view.line("caller", digits, "", at_ms)
        return [c.Record("caller", digits, "", at_ms, at_ms)]

    def assessed(
        self, assessment: Assessment, tail: Segment | None = None
    ) -> tuple[tuple[str, Outcome] | None, list[c.Command]]:
        """The scam detector spoke: the words and the outcome to close with, if it comes to that."""
        steps = self.risk.heed(assessment, tail)
        out: list[c.Command] = []
        if RiskStep.RECORD in steps:
            out.append(c.RecordRisk(assessment, self.risk.evidence(), final=False))
        if RiskStep.WARN in steps:
            out.append(c.Warn(assessment))
        if RiskStep.END in steps:
            return (self._policy.scam_closing, outcome.SCAM), out
        if RiskStep.HAND_OVER in steps:
            return (self._policy.scam_hand_over, outcome.SCAM_HAND_OVER), out
        return None, out

    def measured(self, turn: AgentTurn, transcript_at: int) -> c.Measure:
        """The turn's first audio is out: how long did each stage take?"""
        stages = (transcript_at, turn.text_at, turn.speech_at)
        waits = [at - turn.asked_at if at >= turn.asked_at else -1 for at in stages]
        self.view.latency_ms = waits[-1]
        return c.Measure(turn.number, *waits)

    def consumed(self, item: str, quantity: int) -> list[c.Command]:
        """Something that costs money was used."""
        return [c.Book(item, quantity, self.meter.book(item, quantity))]

    def streamed(self, streamed_ms: int) -> list[c.Command]:
        """A media stream is over: the carrier's minutes of it."""
        return self._minutes(self._policy.stream_items, streamed_ms)

    def closing(self, connected_ms: int) -> list[c.Command]:
        """The last entries: the carrier's minutes and the final assessment."""
        out = self._minutes(self._policy.carrier_items, connected_ms)
        if self.risk.newest is not None:
            out.append(c.RecordRisk(self.risk.newest, self.risk.evidence(), final=True))
        return out

    def _minutes(self, items: tuple[str, ...], ms: int) -> list[c.Command]:
        out: list[c.Command] = []
        for item in items if ms > 0 else ():
            out += self.consumed(item, started_minutes(ms))
        return out

    def publish(
        self, now: int, phase: Phase, caller: CallerSide, turn: int, outcome: Outcome | None
    ) -> c.Publish:
        """The call as it stands."""
        agent = "agent" if phase is Phase.SPEAKING else "nobody"
        return c.Publish(
            self.view.state(
                now=now,
                phase=phase.value,
                speaking="caller" if caller.speaking else agent,
                partial=caller.partial,
                turn=turn,
                assessment=self.risk.newest,
                cost_micro_usd=self.meter.micro_usd,
                outcome=outcome.disposition.value if outcome else "",
            )
        )
