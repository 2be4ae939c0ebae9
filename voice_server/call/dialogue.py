"""The history of the conversation while it grows."""

from __future__ import annotations

from voice_server.call.history import (
    AgentSaid,
    CallerPressed,
    CallerSaid,
    Entry,
    History,
    ToolUsed,
)


class Dialogue:
    """Owns the history. `unanswered`: the caller, or a tool, waits for the agent's word."""

    __slots__ = ("_entries", "_tools", "unanswered")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._tools: dict[str, int] = {}
        self.unanswered = False

    def snapshot(self) -> History:
        """The history so far, as a value."""
        return tuple(self._entries)

    def caller_said(self, text: str) -> None:
        self._entries.append(CallerSaid(text))
        self.unanswered = True

    def caller_pressed(self, digits: str) -> None:
        self._entries.append(CallerPressed(digits))
        self.unanswered = True

    def agent_said(self, text: str, *, interrupted: bool, note: str) -> None:
        """Add what was heard of an agent turn; nothing heard and nothing noted adds nothing."""
        if text or (note and not interrupted):
            self._entries.append(AgentSaid(text, interrupted, note))
        if text or not interrupted:
            self.unanswered = False

    def tool_requested(self, request_id: str, name: str, arguments: str) -> bool:
        """Open a tool record; False when this request is known already."""
        if request_id in self._tools:
            return False
        self._tools[request_id] = len(self._entries)
        self._entries.append(ToolUsed(request_id, name, arguments, None))
        return True

    def tool_returned(self, request_id: str, result: str) -> ToolUsed | None:
        """Close a tool record; None for a result nobody asked for or that came twice."""
        place = self._tools.get(request_id)
        if place is None:
            return None
        used = self._entries[place]
        if not isinstance(used, ToolUsed) or used.result is not None:
            return None
        self._entries[place] = closed = ToolUsed(request_id, used.name, used.arguments, result)
        self.unanswered = True
        return closed
