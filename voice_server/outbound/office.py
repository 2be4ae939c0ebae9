"""What the front desk needs of outbound calls: who was called, and that their ends are noted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import msgspec

from db.dials import DialRow
from db.errors import StoreError
from db.rows import AgentRow, CallRow, StatusChanged
from voice_server.errors import ServiceError
from voice_server.outbound.dialler import Dialler, DialStore
from voice_server.outbound.recordings import Recorder
from voice_server.ports import CallId
from voice_server.twilio.desk import (
    SESSION_STATUS,
    CarrierStatus,
    MachineVerdict,
    Recorded,
    StatusChange,
)

_RESUME_S: Final = 300.0
_NOTES_MOST: Final = 1_000  # beyond that the sweep finds out by itself

log = logging.getLogger(__name__)


class Arrival(msgspec.Struct, frozen=True):
    """A call of ours that was answered and wants to go on."""

    dial: DialRow
    agent: AgentRow


class AgentsById(Protocol):
    """Finds the agent of a dialled call; `db.PostgresAgentDirectory`."""

    async def by_id(self, agent_id: str) -> AgentRow | None: ...


class OutboundOffice:
    """Knows the intents behind outbound calls; `run` looks after them until it is cancelled.

    `rows` takes the rows of all calls.

    Without a dialler (no carrier account) nothing is placed or looked up, but calls that
    another process has placed are admitted. `answered`, `reported` and `recorded` never block:
    the work goes on in tasks that `run` owns, and what is lost with them the sweep repeats.
    """

    def __init__(
        self,
        store: DialStore,
        agents: AgentsById,
        rows: Callable[[CallRow], None],
        dialler: Dialler | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.dialler = dialler
        self._store = store
        self._agents = agents
        self._rows = rows
        self._recorder = recorder
        self._notes: set[asyncio.Task[None]] = set()

    async def arrived(self, call_id: CallId, carrier_call_id: str) -> Arrival | None:
        """Bind the carrier's call to its intent; None when it has none, or another call.

        The webhook may come before the carrier's reply to the request. Raises
        `StoreUnavailable`.
        """
        dial = await self._store.place(call_id, carrier_call_id)
        if dial is None or dial.is_over:
            return None
        agent = await self._agents.by_id(dial.agent_id)
        return None if agent is None else Arrival(dial, agent)

    def reported(self, change: StatusChange) -> None:
        """The carrier reports on a dialled call that is not held here; it may be elsewhere."""
        self._note(self._take_note(change))

    def hang_up(self, verdict: MachineVerdict) -> None:
        """End a call that a machine has answered."""
        if self.dialler is not None:
            self._note(self.dialler.hang_up(verdict.carrier_call_id))

    def recorded(self, call_id: CallId, recorded: Recorded) -> None:
        """Fetch a recording."""
        if self._recorder is not None:
            self._note(self._fetch(self._recorder, call_id, recorded))

    async def run(self) -> None:
        """Recover what earlier processes left, then look after calls until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                if self._recorder is not None:
                    group.create_task(self._fetch_missing(self._recorder))
                if self.dialler is not None:
                    group.create_task(self.dialler.watch())
                await asyncio.Event().wait()
        finally:
            for note in tuple(self._notes):
                note.cancel()
            if self._notes:
                await asyncio.wait(self._notes)

    async def flush(self) -> None:
        """Wait until what was reported so far is noted."""
        while self._notes:
            await asyncio.wait(self._notes)

    def _note(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._notes) >= _NOTES_MOST:
            work.close()
            return
        task = asyncio.ensure_future(_told_of_failure(work))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _take_note(self, change: StatusChange) -> None:
        dial = await self._store.place(change.call_id, change.carrier_call_id)
        if dial is None:
            return  # not the call that we meant by this id
        raw, at = change.status.value, int(time.time() * 1000)
        if change.status.is_final and change.status is not CarrierStatus.COMPLETED:
            await self._store.finish(change.call_id, SESSION_STATUS[raw], raw)
        else:  # who held an answered call has the last word; if nobody has, the sweep gives it
            self._rows(StatusChanged(change.call_id, SESSION_STATUS[raw], raw, at))

    async def _fetch(self, recorder: Recorder, call_id: CallId, recorded: Recorded) -> None:
        await recorder.fetch(call_id, recorded)

    async def _fetch_missing(self, recorder: Recorder) -> None:
        """What an earlier process did not fetch, and what nobody told us of; for ever."""
        while True:
            try:
                await recorder.resume()
            except StoreError as error:
                log.warning("recordings are not fetched", extra={"error": str(error)})
            await asyncio.sleep(_RESUME_S)


async def _told_of_failure(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (StoreError, ServiceError) as error:
        log.warning("news of a dialled call was not noted", extra={"error": type(error).__name__})
