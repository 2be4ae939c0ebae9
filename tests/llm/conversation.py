"""A caller on paper: says lines, hears replies, runs tools, keeps the history like a call does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from db.rows import AgentRow
from voice_server.call.events import Consumed, Expectation, ReplyEnded, ReplyText, ToolRequested
from voice_server.call.history import (
    AgentSaid,
    CallerPressed,
    CallerSaid,
    Entry,
    History,
    ToolUsed,
)
from voice_server.llm.receptionist import Receptionist
from voice_server.llm.receptionist.state import Memo, read_note
from voice_server.ports import CallFacts, ReplyRequest

GREETING = AgentSaid("Hello, how can I help you today?", False, "")
SUNDAY_NOON = 1_795_366_800_000  # 2026-11-22 12:00 in New York
TENANT = "00000000-0000-4000-8000-000000000001"


def agent(**changes: str) -> AgentRow:
    """The agent of a small firm in New York."""
    row = AgentRow(
        agent_id="front-desk",
        user_id=TENANT,
        tenant_name="Miller Home Services",
        name="Anna",
        status="active",
        phone_number="+12125550100",
        voice_config="{}",
        llm_config="{}",
        behavior_config='{"timezone": "America/New_York"}',
        elevenlabs_config="{}",
    )
    return msgspec.structs.replace(row, **changes)


def facts(caller: str = "+12125554217", **changes: str) -> CallFacts:
    """An inbound call on a Sunday at noon, New York time."""
    return CallFacts(
        call_id="call-1",
        agent=agent(**changes),
        carrier_call_id="CA1",
        caller_number=caller,
        called_number="+12125550100",
        direction="inbound",
        started_at=SUNDAY_NOON,
    )


Events = list[ReplyText | ToolRequested | ReplyEnded | Consumed]


def reply_to(history: History, about: CallFacts, *, can_transfer: bool = True) -> Events:
    """All events of one reply."""

    async def collect() -> Events:
        request = ReplyRequest(1, history, about)
        desk = Receptionist(can_transfer=can_transfer)
        return [event async for event in desk.reply(request)]

    return asyncio.run(collect())


def words(events: Events) -> str:
    return "".join(event.text for event in events if isinstance(event, ReplyText)).strip()


def ending(events: Events) -> ReplyEnded:
    last = events[-1]
    assert isinstance(last, ReplyEnded)
    return last


def tool(events: Events) -> ToolRequested | None:
    return next((event for event in events if isinstance(event, ToolRequested)), None)


def office(name: str, arguments: str) -> str:
    """Answers the order tools as a working order book would."""
    order = {
        "order_id": "ORD-7F3K9Q",
        "service_type": "plumbing",
        "status": "accepted",
        "scheduled_text": "tomorrow at ten",
    }
    results = {
        "book_order": {"order_id": "ORD-7F3K9Q"},
        "look_up_order": {"orders": [order]},
        "cancel_order": {"order_id": "ORD-7F3K9Q", "status": "cancelled"},
        "take_message": {"status": "kept"},
    }
    return msgspec.json.encode(results[name]).decode()


class Conversation:
    """One call. `said` holds the agent's replies, `tools` what was asked for."""

    def __init__(
        self,
        caller: str = "+12125554217",
        *,
        can_transfer: bool = True,
        tools: Callable[[str, str], str] = office,
        **changes: str,
    ) -> None:
        self.facts = facts(caller, **changes)
        self.history: list[Entry] = [GREETING]
        self.said: list[str] = []
        self.tools: list[ToolRequested] = []
        self.expects = Expectation.ANYTHING
        self._can_transfer = can_transfer
        self._run = tools

    @property
    def memo(self) -> Memo:
        notes = (entry.note for entry in reversed(self.history) if isinstance(entry, AgentSaid))
        return next((memo for memo in map(read_note, notes) if memo is not None), Memo())

    @property
    def last(self) -> str:
        return self.said[-1]

    @property
    def order(self) -> dict[str, str]:
        """The arguments of the one booking."""
        (booking,) = [used for used in self.tools if used.name == "book_order"]
        decoded: dict[str, str] = msgspec.json.decode(booking.arguments)
        return decoded

    @property
    def ended(self) -> bool:
        return any(used.name in {"end_call", "transfer_call"} for used in self.tools)

    def say(self, *lines: str) -> str:
        """Say lines, each after the agent has finished; "#..." presses keys."""
        for line in lines:
            self.take(CallerPressed(line[1:]) if line.startswith("#") else CallerSaid(line))
        return self.last

    def take(self, *entries: Entry, heard: int | None = None) -> str:
        """Add entries and hear the reply, or only its first `heard` characters."""
        self.history.extend(entries)
        spoken, note = self._speak()
        if heard is None:
            self.history.append(AgentSaid(spoken, False, note))
        elif heard > 0:
            self.history.append(AgentSaid(spoken[:heard], True, note))
        return spoken

    def _speak(self) -> tuple[str, str]:
        spoken: list[str] = []
        while True:
            events = reply_to(tuple(self.history), self.facts, can_transfer=self._can_transfer)
            spoken.append(words(events))
            end = ending(events)
            self.expects = end.expects
            wanted = tool(events)
            if wanted is not None:
                self.tools.append(wanted)
            if wanted is None or wanted.name in {"end_call", "transfer_call"}:
                self.said.append(" ".join(filter(None, spoken)))
                return self.last, end.note
            result = self._run(wanted.name, wanted.arguments)
            self.history.append(ToolUsed(wanted.request_id, wanted.name, wanted.arguments, result))
