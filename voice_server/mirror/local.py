"""Live calls in this process's own memory: what the terminal shows."""

from __future__ import annotations

from collections.abc import Callable

from voice_server.call.live import LiveState
from voice_server.ports import CallId

Watcher = Callable[[CallId, LiveState], None]

_FINISHED_KEPT = 100


class LocalMirror:
    """Holds the newest state of every call and tells watchers of each change.

    Watchers run on the event loop, inside the call's own step: they must only take a note.
    """

    __slots__ = ("_states", "_watchers")

    def __init__(self) -> None:
        self._states: dict[CallId, LiveState] = {}
        self._watchers: list[Watcher] = []

    def put(self, call_id: CallId, state: LiveState) -> None:
        """Take a call's newest state."""
        self._states[call_id] = state
        if state.outcome:
            self._forget_oldest()
        for watcher in tuple(self._watchers):  # a watcher may take its leave
            watcher(call_id, state)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` with each new state; returns what ends the watching."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def state(self, call_id: CallId) -> LiveState | None:
        """The newest state of a call, None when it is not known (any more)."""
        return self._states.get(call_id)

    def live(self) -> dict[CallId, LiveState]:
        """All calls that have not ended."""
        return {call_id: state for call_id, state in self._states.items() if not state.outcome}

    def _forget_oldest(self) -> None:
        finished = [call_id for call_id, state in self._states.items() if state.outcome]
        for call_id in finished[:-_FINISHED_KEPT]:
            del self._states[call_id]
