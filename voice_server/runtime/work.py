"""What a call does beside hearing: its tasks, from their start to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from voice_server.call.events import Part, TurnId

# Called only once its task runs: a task cancelled before that leaves no coroutine behind.
Effect: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_LATE_WORK_S = 10.0  # tools and detections may finish for so long after the call
_CANCEL_S = 1.0  # what does not end by itself when cancelled is left behind


class Work:
    """Owns the tasks of one call; none outlives `finish`.

    Those of a turn are abandoned with it, the others, of turn 0, go on until they are done.
    `lost` is told of each that fails, with the part of the call and the turn that it was for.
    """

    __slots__ = ("_call_id", "_lost", "_tasks", "_turns")

    def __init__(self, call_id: str, lost: Callable[[Part, TurnId, Exception], None]) -> None:
        self._call_id = call_id
        self._lost = lost
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: dict[TurnId, list[asyncio.Task[None]]] = {}

    def start(self, part: Part, turn: TurnId, effect: Effect) -> asyncio.Task[None]:
        """Begin an effect; the task never raises but what cancels it."""
        name = f"{self._call_id} {part.value}"
        task = asyncio.get_running_loop().create_task(self._guard(part, turn, effect), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if turn:
            self._turns.setdefault(turn, []).append(task)
        return task

    async def _guard(self, part: Part, turn: TurnId, effect: Effect) -> None:
        try:
            await effect()
        except Exception as error:  # noqa: BLE001 - a bug takes its call down, never the server
            self._lost(part, turn, error)

    def release(self, turn: TurnId) -> None:
        """The turn needs no cancelling any more: what is left of its tasks ends by itself."""
        self._turns.pop(turn, None)

    def abandon(self, turn: TurnId) -> None:
        """Cancellation is thrift: the core already ignores what this turn still yields."""
        for task in self._turns.pop(turn, ()):
            task.cancel()

    def cancel(self) -> None:
        """Nothing is worth finishing."""
        for task in self._tasks:
            task.cancel()

    async def finish(self) -> None:
        """Abandon all turns, wait some time for what goes on, then cancel that too."""
        for turn in tuple(self._turns):
            self.abandon(turn)
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_LATE_WORK_S)
        finally:
            late = tuple(self._tasks)
            self.cancel()
        if late:
            await asyncio.wait(late, timeout=_CANCEL_S)
