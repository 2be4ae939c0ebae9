"""Calls for the mirror's soak: the real core with everything around it simulated, and its rows."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator
from typing import Any

import msgspec

import db
from db.rows import AgentRow, CallRow, SessionBegun
from detectors.assessment import Assessment, Finding, Severity
from voice_server.call import Call, Phase, Policy, Rate
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.live import LiveState
from voice_server.ports import CallFacts
from voice_server.runtime.bookkeeper import Bookkeeper

_FRAME_MS = 100
_TARIFF = (Rate("llm", 400, 1_000), Rate("tts", 50, 1_000), Rate("line", 8_500, 1))
_POLICY = Policy(
    end_on_silence=False,
    max_call_ms=4 * 3_600_000,
    hand_over_at=None,
    end_at=None,
    tariff=_TARIFF,
    carrier_items=("line",),
)
_UTTERANCES = ("My tap leaks.", "Yes, please.", "Number fourteen, Elm Street.", "Tomorrow at nine.")
_REPLIES = ("Of course. ", "We can fix that. ", "When would it suit you? ", "Anything else? ")
_MS_PER_CHARACTER = 55
_BANDS = tuple(Severity)


class MirrorCall:
    """One call in its own time: `states` are what it publishes, `rows` what it writes down."""

    def __init__(self, facts: CallFacts, chance: random.Random, length_s: float) -> None:
        self.facts = facts
        self.rows: list[CallRow] = [_begun(facts)]
        self._books = Bookkeeper(facts, self.rows.append, facts.started_at)
        self._call = Call(_POLICY)
        self._chance = chance
        self._end = int(length_s * 1000)
        self._now = self._played_until = 0
        self._due: list[tuple[int, int, e.Event]] = []
        self._serial = itertools.count()
        self._risk = 0.02

    def states(self) -> Iterator[tuple[float, LiveState]]:
        """The states and the seconds before each, the last with an outcome."""
        shown_at = 0
        self._later(0, e.MediaStarted())
        self._later(self._end, e.MediaStopped(e.StopCause.CALLER_HUNG_UP))
        self._speak()
        while self._call.phase is not Phase.ENDED:
            for state in self._step():
                yield (self._now - shown_at) / 1000, state
                shown_at = self._now

    def _step(self) -> Iterator[LiveState]:
        deadline, (at, _, event) = self._call.deadline, self._due[0]
        if deadline is not None and deadline <= at:
            at, event = deadline, e.TimePassed()
        else:
            heapq.heappop(self._due)
        self._now = max(self._now, at)
        commands = self._call.handle(event, self._now)
        if type(event) is e.MediaStarted:
            self._books.answered(self._now)
        for command in commands:
            if isinstance(command, c.Publish):
                yield command.state
            else:
                self._obey(command)

    def _later(self, ms: int, event: e.Event) -> None:
        heapq.heappush(self._due, (self._now + ms, next(self._serial), event))

    def _speak(self) -> None:
        """The caller talks and is silent by turns, over the agent now and then."""
        at = 0
        while at < self._end:
            spoken, pause = self._chance.randrange(500, 3_000), self._chance.randrange(2_000, 8_000)
            for ms in range(0, spoken + pause, _FRAME_MS):
                loudness = 60 if ms < spoken else 0
                self._later(at + ms, e.AudioHeard(b"", loudness, at + ms))
            for ms in range(300, spoken, 300):
                self._later(at + ms, e.PartialTranscript(" ".join(["I"] * (ms // 300))))
            at += spoken + pause

    def _obey(self, command: c.Command) -> None:  # noqa: C901 - one flat table
        match command:
            case c.Commit(utterance=utterance):
                words = self._chance.choice(_UTTERANCES)
                self._later(200, e.FinalTranscript(words, utterance))
            case c.Think(turn=turn):
                self._later(300, e.ReplyText(turn, self._chance.choice(_REPLIES)))
                self._later(350, e.Consumed("llm", self._chance.randrange(100, 2_000)))
                self._later(400, e.ReplyText(turn, self._chance.choice(_REPLIES)))
                self._later(450, e.ReplyEnded(turn))
            case c.Say(turn=turn, text=text):
                self._later(
                    150, e.SpeechReady(turn, bytes(8 * _MS_PER_CHARACTER * len(text)), text)
                )
                self._later(150, e.Consumed("tts", len(text)))
            case c.FinishSaying(turn=turn):
                self._later(160, e.SpeechEnded(turn))
            case c.Play(mulaw=mulaw):
                self._played_until = max(self._played_until, self._now) + len(mulaw) // 8
            case c.PlaceMark(name=name):
                self._later(self._played_until - self._now, e.MarkPlayed(name))
            case c.StopPlaying():
                self._played_until = self._now
            case c.AssessRisk(segment=segment):
                self._later(30, e.RiskAssessed(self._view(segment.number)))
            case c.Record() | c.RecordRisk() | c.Book() | c.Measure():
                self._books.write(command, self._now)
            case c.HangUp():
                self._books.ended(self._call, answered_at=0, now=self._now, journal="")
            case _:
                pass  # nothing that is shown or stored

    def _view(self, through: int) -> Assessment:
        self._risk = min(0.99, max(0.0, self._risk + self._chance.choice((-0.02, 0.0, 0.03))))
        severity = _BANDS[min(4, int(self._risk * 5))]
        found = (Finding("pattern", "gift_card", self._risk, through, 0, 3, "tap"),)
        return Assessment(
            risk=self._risk,
            confidence=0.8,
            severity=severity,
            through=through,
            scam_type="",
            detectors=("pattern",),
            findings=found if self._risk > 0.1 else (),
        )


def facts_of(number: int, tenant_id: str, epoch_ms: int) -> CallFacts:
    """The facts of a call of one of the soak's tenants."""
    return CallFacts(
        call_id=f"soak-{tenant_id[:8]}-{number:04}",
        agent=AgentRow(f"soak-{tenant_id}", tenant_id, "Soak", "Ann", "active", "", "", "", "", ""),
        carrier_call_id=f"CA-soak-{tenant_id[:8]}-{number}",
        caller_number="+12025550143",
        called_number="+12025550100",
        direction="inbound",
        started_at=epoch_ms,
    )


def _begun(facts: CallFacts) -> SessionBegun:
    return SessionBegun(
        call_id=facts.call_id,
        user_id=facts.agent.user_id,
        agent_id=facts.agent.agent_id,
        carrier_call_id=facts.carrier_call_id,
        from_number=facts.caller_number,
        to_number=facts.called_number,
        status="ringing",
        direction=facts.direction,
        at=facts.started_at,
    )


async def unlike_postgres(dsn: str, calls: list[MirrorCall], nodes: dict[str, Any]) -> list[str]:
    """Write the rows of the calls and read them back: the ids whose node says something else."""
    pool = await db.open_pool(dsn, size=2)
    try:
        async with pool.server() as connection:
            for facts in {call.facts.agent.user_id: call.facts for call in calls}.values():
                await _add_tenant(connection, facts)
        store, records = db.PostgresCallStore(pool), db.PostgresCallRecords(pool)
        odd = []
        for call in calls:
            await store.write(call.rows)
            record = await records.call(call.facts.call_id)
            assert record is not None
            if not _agree(record, nodes.get(call.facts.call_id) or {}):
                odd.append(call.facts.call_id)
        return odd
    finally:
        await pool.close()


async def _add_tenant(connection: Any, facts: CallFacts) -> None:
    user_id, agent_id = facts.agent.user_id, facts.agent.agent_id
    await connection.execute(
        "INSERT INTO user_profiles (id, role, full_name, email, phone) "
        "VALUES ($1, 'vendor', 'Soak', $2, '+12025550100') ON CONFLICT DO NOTHING",
        user_id,
        f"{user_id}@example.com",
    )
    await connection.execute(
        "INSERT INTO ai_agents (id, user_id, name) VALUES ($1, $2, 'Ann') ON CONFLICT DO NOTHING",
        agent_id,
        user_id,
    )


def _agree(record: db.CallRecord, node: dict[str, Any]) -> bool:
    """Whether a call's last node and its session say the same of all that both know."""
    told = msgspec.json.decode(record.metadata)
    data = msgspec.json.decode(record.conversation_data)
    lines = sorted(
        [*data["transcripts"], *data["agent_responses"]], key=lambda line: line["sequence"]
    )
    seen = node.get("lines", {})
    shown = [
        (line["by"], line["heard"], line.get("unheard", ""), line["at_ms"])
        for line in (seen[key] for key in sorted(seen))
    ]
    stored = [
        (line["speaker"], line["text"], line["unheard"], line["started_ms"])
        for line in lines[len(lines) - len(shown) :]
    ]
    return bool(shown) and (
        (node["status"], record.status) == ("ended", "completed")
        and shown == stored
        and node["line_count"] == len(lines)
        and node["outcome"] == told["outcome"]
        and node["turn"] == told["turns"]
        and node["risk"]["score"] == round(told["risk"], 4)
        and node["cost_micro_usd"] == told["metered_micro_usd"] == told["cost_micro_usd"]
    )
