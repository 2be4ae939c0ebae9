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
    """Owns the history and knows whether somebody waits for the agent's word."""

    __slots__ = ("_asked", "_entries", "_fresh", "_tools")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._tools: dict[str, int] = {}
        self._fresh = False  # the model has not seen the newest words
        self._asked = False  # it has, and its answer was not heard so far

    @property
    def unanswered(self) -> bool:
        """The caller, or a tool, has said something that no heard turn has answered."""
        return self._fresh or self._asked

    @property
    def history(self) -> History:
        """The history so far, as a value."""
        return tuple(self._entries)

    def ask(self) -> History:
        """The history so far, for the model to answer."""
        self._asked, self._fresh = self.unanswered, False
        return self.history

    def forget_question(self) -> None:
        """The caller is asked to say it again."""
        self._asked = self._fresh = False

    def caller_said(self, text: str) -> None:
        self._entries.append(CallerSaid(text))
        self._fresh = True

    def caller_pressed(self, digits: str) -> None:
        self._entries.append(CallerPressed(digits))
        self._fresh = True

    def offered(self) -> None:
        """A hosted agent has something to say: to be asked for, though nobody has spoken."""
        self._fresh = True

    def agent_said(self, text: str, *, interrupted: bool, note: str) -> None:
        """Add what was heard of an agent turn; nothing heard and nothing noted adds nothing."""
        if text or (note and not interrupted):
            self._entries.append(AgentSaid(text, interrupted, note))
        if text or not interrupted:
            self._asked = False

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
        self._fresh = True
        return closed
