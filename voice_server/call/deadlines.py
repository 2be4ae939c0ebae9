"""The named deadlines of a call and the next one due."""

from __future__ import annotations

from enum import Enum


class Deadline(Enum):
    """What may fall due, in the order in which simultaneous ones are served."""

    CLOSING = "closing"  # closing words took too long
    TRANSFER = "transfer"  # the carrier owes us news of a transfer
    MAX_CALL = "max_call"
    PLAYOUT = "playout"  # the carrier owes us a mark
    REPLY = "reply"  # the language model says nothing
    TRANSCRIPT = "transcript"  # the transcriber owes us a final
    DIGITS = "digits"  # no further key was pressed
    END_OF_TURN = "end_of_turn"
    SILENCE = "silence"
    ASIDE = "aside"  # an interjection has been heard
    FILLER = "filler"  # silence that nothing explains


_ORDER = {name: place for place, name in enumerate(Deadline)}


class Deadlines:
    """Absolute times in ms since the call began. `next` is kept, not computed per frame."""

    __slots__ = ("_at", "next")

    def __init__(self) -> None:
        self._at: dict[Deadline, int] = {}
        self.next: int | None = None

    def set(self, name: Deadline, at: int) -> None:
        """Arm a deadline, replacing the time it had."""
        self._at[name] = at
        self.next = min(self._at.values())

    def clear(self, *names: Deadline) -> None:
        """Disarm; names that are not armed are fine."""
        for name in names:
            self._at.pop(name, None)
        self.next = min(self._at.values(), default=None)

    def clear_all(self) -> None:
        """Disarm everything."""
        self._at.clear()
        self.next = None

    def take_due(self, now: int) -> Deadline | None:
        """Disarm and return the first deadline due at `now`; call until it returns None."""
        if self.next is None or now < self.next:
            return None
        due = min((n for n, at in self._at.items() if at <= now), key=_ORDER.__getitem__)
        self.clear(due)
        return due
