"""Several mirrors behind one port."""

from __future__ import annotations

from voice_server.call.live import LiveState
from voice_server.ports import CallId, StateMirror


class MirrorFan:
    """Gives each state to all mirrors, in order."""

    __slots__ = ("_mirrors",)

    def __init__(self, *mirrors: StateMirror) -> None:
        self._mirrors = mirrors

    def put(self, call_id: CallId, state: LiveState) -> None:
        """Take a call's newest state."""
        for mirror in self._mirrors:
            mirror.put(call_id, state)
