"""Reads a history: the newest memo, and what happened since the caller last heard us.

The memo comes from the newest agent turn that left one. A turn that nobody heard leaves no
entry, so the caller's lines around it are read as one answer to the question before it. An
agent turn without a memo (a reply cut before it ended, "are you still there?") asked something
the receptionist does not know of: what was said before it fills slots, but a plain yes or no
after it answers nothing.
"""

from __future__ import annotations

import msgspec

from voice_server.call.history import AgentSaid, CallerPressed, CallerSaid, History, ToolUsed
from voice_server.llm.receptionist.state import Memo, read_note


class Said(msgspec.Struct, frozen=True):
    """What the caller said and pressed without hearing anything in between."""

    text: str
    keys: str
    doubtful: bool  # an unknown question was heard before it
    led_to_tool: bool  # the receptionist acted on it: the tool record follows
    tool_count: int  # tools asked for before it


class Scene(msgspec.Struct, frozen=True):
    """Everything a reply depends on."""

    memo: Memo
    said: tuple[Said, ...]
    tools: tuple[ToolUsed, ...]  # all of the call, oldest first
    heard: str  # the caller's share of the turn that left the memo
    interrupted: bool  # that turn was cut
    turn_count: int  # agent turns so far


def recall(history: History) -> Scene:
    """Find the newest memo and gather what came after it."""
    memo, heard, interrupted, start = Memo(), "", False, 0
    for index in range(len(history) - 1, -1, -1):
        entry = history[index]
        found = read_note(entry.note) if isinstance(entry, AgentSaid) else None
        if found is not None and isinstance(entry, AgentSaid):
            memo, heard, interrupted, start = found, entry.text, entry.interrupted, index + 1
            break
    tools = tuple(entry for entry in history if isinstance(entry, ToolUsed))
    earlier = sum(isinstance(entry, ToolUsed) for entry in history[:start])
    return Scene(
        memo=memo,
        said=_gather(history[start:], earlier, greeted=start > 0),
        tools=tools,
        heard=heard,
        interrupted=interrupted,
        turn_count=sum(isinstance(entry, AgentSaid) for entry in history),
    )


def _gather(rest: History, tool_count: int, *, greeted: bool) -> tuple[Said, ...]:
    groups: list[Said] = []
    texts: list[str] = []
    keys = ""
    doubtful = False

    def close(*, led_to_tool: bool) -> None:
        nonlocal keys
        if texts or keys:
            groups.append(Said(" ".join(texts), keys, doubtful, led_to_tool, tool_count))
        texts.clear()
        keys = ""

    for entry in rest:
        match entry:
            case CallerSaid(text):
                if not texts or texts[-1] != text:  # said again after "could you say that again?"
                    texts.append(text)
            case CallerPressed(digits):
                keys += digits
            case AgentSaid(text):
                close(led_to_tool=False)
                # Before the first memo the agent has only greeted: that question is known.
                doubtful = doubtful or (greeted and "?" in text)
            case ToolUsed():
                close(led_to_tool=True)
                tool_count += 1
    close(led_to_tool=False)
    return tuple(groups)
