"""What the simulated models say: the receptionist, behind the messages of a wire.

Models have no memory, so neither has this: the conversation is rebuilt from the messages of
each request, and the receptionist's memos are found again by letting it think every earlier
turn once more. That works for conversations that another provider began, too.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from db.rows import AgentRow
from voice_server.call.events import ReplyEnded, ReplyText, ToolRequested
from voice_server.call.history import (
    AgentSaid,
    CallerPressed,
    CallerSaid,
    Entry,
    History,
    ToolUsed,
)
from voice_server.llm.receptionist import Receptionist
from voice_server.llm.remote.prompt import CONNECTED, CUT_OFF, PENDING, SILENT
from voice_server.llm.tools import TRANSFER_CALL
from voice_server.ports import CallFacts, ReplyRequest

_KEPT = 5_000
_PRESSED = re.compile(r"\[The caller pressed the keys (?P<keys>[0-9*#A-D]+)\]")
_FACTS = {
    "name": re.compile(r"You are (.+?), who answers the telephone for "),
    "tenant": re.compile(r"who answers the telephone for (.+)\."),
    "style": re.compile(r"Style: ([\w-]+)"),
    "began": re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?(?:[+-]\d\d:\d\d|Z))"),
    "zone": re.compile(r"\(([A-Za-z_+-]+/[A-Za-z0-9_/+-]+)\)"),
    "called": re.compile(r"line called is (\+\d+)"),
    "caller": re.compile(r"caller's number is (\+\d+)"),
    "direction": re.compile(r"This call: (inbound|outbound)"),
}


class Wanted(msgspec.Struct, frozen=True):
    """A tool the model wants; `arguments` is JSON text."""

    name: str
    arguments: str
    id: str = ""  # without the provider's prefix


class Said(msgspec.Struct, frozen=True):
    """One answer. `finish` "" = what follows from the rest."""

    text: str = ""
    tools: tuple[Wanted, ...] = ()
    finish: str = ""


class Asked(msgspec.Struct, frozen=True):
    """One request, whatever the provider: the rules, the conversation, the tools on offer."""

    system: str
    history: History
    tools: tuple[str, ...]


Mind: TypeAlias = Callable[[Asked], Awaitable[Said]]


def always(*answers: Said) -> Mind:
    """A mind that gives these answers in turn, the last one for ever."""
    left = list(answers)

    async def think(_: Asked) -> Said:
        return left.pop(0) if len(left) > 1 else left[0]

    return think


class ReceptionistMind:
    """Thinks as the local receptionist does. Callable as a `Mind`."""

    def __init__(self) -> None:
        self._thoughts: OrderedDict[tuple[CallFacts, bool, History], tuple[Said, str]]
        self._thoughts = OrderedDict()

    async def __call__(self, asked: Asked) -> Said:
        facts = facts_of(asked.system)
        can_transfer = TRANSFER_CALL in asked.tools
        history = await self._remembered(asked.history, facts, can_transfer)
        said, _ = await self._think(history, facts, can_transfer)
        fit = tuple(tool for tool in said.tools if tool.name in asked.tools)
        return msgspec.structs.replace(said, tools=fit)

    async def _remembered(self, history: History, facts: CallFacts, can_transfer: bool) -> History:
        """The history with the memos that the receptionist left in it."""
        known: list[Entry] = []
        before = ""  # what was said in this turn before a tool was used
        for entry in history:
            if isinstance(entry, ToolUsed):
                said, _ = await self._think(tuple(known), facts, can_transfer)
                before += said.text
            elif isinstance(entry, AgentSaid) and known:
                said, note = await self._think(tuple(known), facts, can_transfer)
                heard, whole = _plain(entry.text), _plain(before + said.text)
                if _plain(said.text) in heard or heard in whole:
                    entry = AgentSaid(entry.text, entry.interrupted, note)
                before = ""
            known.append(entry)
        return tuple(known)

    async def _think(
        self, history: History, facts: CallFacts, can_transfer: bool
    ) -> tuple[Said, str]:
        key = (facts, can_transfer, history)
        if key in self._thoughts:
            self._thoughts.move_to_end(key)
            return self._thoughts[key]
        text, note, tools = "", "", []
        desk = Receptionist(can_transfer=can_transfer)
        async for event in desk.reply(ReplyRequest(1, history, facts)):
            if isinstance(event, ReplyText):
                text += event.text
            elif isinstance(event, ToolRequested):
                tools.append(Wanted(event.name, event.arguments, event.request_id))
            elif isinstance(event, ReplyEnded):
                note = event.note
        self._thoughts[key] = thought = (Said(text, tuple(tools)), note)
        while len(self._thoughts) > _KEPT:
            self._thoughts.popitem(last=False)
        return thought


def _plain(text: str) -> str:
    return " ".join(text.split())


def facts_of(system: str) -> CallFacts:
    """What a system prompt tells of the call; a neutral office where it tells nothing."""
    found = {name: pattern.search(system) for name, pattern in _FACTS.items()}
    told = {name: match.group(1) if match else "" for name, match in found.items()}
    behaviour = {"timezone": told["zone"], "conversation_style": told["style"]}
    began = datetime.fromisoformat(told["began"] or "2026-11-22T12:00:00+00:00")
    called = told["called"] or "+12025550100"
    agent = AgentRow(
        agent_id="agent",
        user_id="tenant",
        tenant_name=told["tenant"],
        name=told["name"],
        status="active",
        phone_number=called,
        voice_config="{}",
        llm_config="{}",
        behavior_config=msgspec.json.encode(behaviour).decode(),
        elevenlabs_config="{}",
    )
    return CallFacts(
        call_id="call",
        agent=agent,
        carrier_call_id="",
        caller_number=told["caller"] or "anonymous",
        called_number=called,
        direction=told["direction"] or "inbound",
        started_at=int(began.timestamp() * 1000),
    )


class Rebuilt:
    """Collects a conversation from the messages of a wire."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    @property
    def history(self) -> History:
        """The conversation so far."""
        return tuple(self._entries)

    def caller(self, text: str) -> None:
        """A user's message; each line is an utterance, or a note of the telephone system."""
        for line in text.splitlines():
            if pressed := _PRESSED.fullmatch(line):
                self._entries.append(CallerPressed(pressed.group("keys")))
            elif line == CUT_OFF:
                self._interrupt()
            elif line.strip() and line not in (CONNECTED, SILENT):
                self._entries.append(CallerSaid(line))

    def agent(self, text: str) -> None:
        """An assistant's words."""
        if text.strip():
            self._entries.append(AgentSaid(text, False, ""))

    def tool(self, key: str, name: str, arguments: str) -> None:
        """An assistant's tool call."""
        self._entries.append(ToolUsed(key, name, arguments, None))

    def result(self, key: str, result: str) -> bool:
        """The result of a tool call; False when nobody asked for it."""
        for place, entry in enumerate(self._entries):
            if isinstance(entry, ToolUsed) and entry.request_id == key:
                told = None if result == PENDING else result
                self._entries[place] = ToolUsed(key, entry.name, entry.arguments, told)
                return True
        return False

    def _interrupt(self) -> None:
        for place in range(len(self._entries) - 1, -1, -1):
            entry = self._entries[place]
            if isinstance(entry, AgentSaid):
                self._entries[place] = AgentSaid(entry.text, True, "")
                return


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or blocks."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        texts = [block.get("text", "") for block in content if isinstance(block, dict)]
        return "\n".join(text for text in texts if isinstance(text, str) and text)
    return ""
