"""What all processes know of callers who are being put through, and who goes on for a dead one.

Whoever began an attempt looks after it; its webhooks may reach any process, also one that was
started later. Each word about an attempt is noted with a time by which the process that had the
call has acted on it. Where nobody has, the sweep of any process does: nobody is left on hold, and
the call gets its last row.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from db.errors import StoreError
from db.transfers import TransferRow
from voice_server.call import Disposition, EndReason, Outcome
from voice_server.errors import ServiceError
from voice_server.late_costs import LateCosts
from voice_server.ports import CallFacts, CallId
from voice_server.twilio import twiml
from voice_server.twilio.desk import Attempt, Seat, Standing, StatusChange

WORD_S: Final = 80.0  # for the first: by then the human of a warm one was given up
ACT_S: Final = 10.0  # between a word and what the process that has the call does
BACK_S: Final = 100.0  # until a caller whom nobody took is back, the carrier's pauses included
_CLAIM_S: Final = 30.0
_BATCH: Final = 50
_SWEEP_S: Final = 5.0

_TAKEN: Final = Outcome(Disposition.HANDED_OVER, EndReason.TRANSFER)
_GONE: Final = Outcome(Disposition.ABANDONED, EndReason.CARRIER_ENDED)
_LOST: Final = Outcome(Disposition.FAILED, EndReason.PART_FAILED)

T = TypeVar("T")

log = logging.getLogger(__name__)


class TransferStore(Protocol):
    """Where attempts are kept; `db.PostgresTransfers`."""

    async def begin(self, row: TransferRow, *, due_s: float) -> None: ...
    async def rung(self, call_id: str, attempt: int, human_id: str) -> None: ...
    async def get(self, call_id: str) -> TransferRow | None: ...
    async def move(self, call_id: str, attempt: int, state: str, *, due_s: float) -> str | None: ...
    async def over(
        self, carrier_call_id: str, ended_s: int, *, due_s: float
    ) -> TransferRow | None: ...
    async def settle(self, call_id: str, attempt: int) -> None: ...
    async def book(self, call_id: str, booked_ms: int) -> None: ...
    async def claim_due(self, *, claim_s: float, limit: int) -> tuple[TransferRow, ...]: ...
    async def close(self, call_id: str, *, status: str, outcome: str, reason: str) -> bool: ...


class Carrier(Protocol):
    """Who ends calls; `TwilioRest`."""

    async def hang_up(self, call_sid: str) -> bool: ...
    async def run(self, call_sid: str, twiml: str) -> bool: ...


class TransferBook:
    """The attempts of all processes; without a store this one is alone.

    A database that is down costs what others would have known. Only a `carrier` reaches callers
    on hold.
    """

    def __init__(
        self,
        costs: LateCosts,
        store: TransferStore | None = None,
        carrier: Carrier | None = None,
    ) -> None:
        self._costs = costs
        self._store = store
        self._carrier = carrier
        self._notes: set[asyncio.Task[None]] = set()

    async def begun(self, seat: Seat, facts: CallFacts, *, warm: bool, whisper: str) -> None:
        """A caller is being put through; a warm transfer lets them wait in `seat`."""
        row = TransferRow(
            call_id=seat.attempt.call_id,
            attempt=seat.attempt.number,
            carrier_call_id=facts.carrier_call_id,
            direction=facts.direction,
            held_since_ms=seat.since_ms if warm else None,
            whisper=whisper,
        )
        await self._ask(lambda store: store.begin(row, due_s=WORD_S), None)

    async def rung(self, attempt: Attempt, human_id: str) -> None:
        """The human's leg is known."""
        await self._ask(lambda store: store.rung(attempt.call_id, attempt.number, human_id), None)

    async def get(self, attempt: Attempt) -> TransferRow | None:
        """An attempt, unless a newer one has taken its place."""
        row = await self._ask(lambda store: store.get(attempt.call_id), None)
        return row if row is not None and row.attempt == attempt.number else None

    async def standing(self, attempt: Attempt) -> Standing:
        """What others know; `RINGING` where they know nothing."""
        row = await self.get(attempt)
        return Standing.RINGING if row is None else Standing(row.state)

    async def moved(self, attempt: Attempt, to: Standing, *, otherwise: Standing) -> Standing:
        """Note what has become of an attempt, for the process that has the call to act on.

        Returns what stands, `otherwise` where nobody knows the attempt.
        """
        return await self._moved(attempt, to, otherwise, ACT_S)

    async def missed(self, attempt: Attempt) -> Standing:
        """Nobody took the call, says the process that has it and now brings the caller back."""
        return await self._moved(attempt, Standing.MISSED, Standing.MISSED, BACK_S)

    async def settled(self, attempt: Attempt) -> None:
        """The caller is back with the agent."""
        await self._ask(lambda store: store.settle(attempt.call_id, attempt.number), None)

    def booked(self, call_id: CallId, booked_ms: int) -> None:
        """So much of the caller's line was booked when the agent's part ended."""
        self._note(self._ask(lambda store: store.book(call_id, booked_ms), None))

    def over(self, change: StatusChange) -> None:
        """The carrier's last word on a caller's leg that this process does not know."""
        self._note(self._take_over(change))

    def _note(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def flush(self) -> None:
        """Wait until everything so far is noted."""
        while self._notes:
            await asyncio.wait(self._notes)

    async def run(self, *, every_s: float = _SWEEP_S) -> None:
        """Look after what others have left, until cancelled."""
        while True:
            await self.sweep()
            await asyncio.sleep(every_s)

    async def sweep(self) -> None:
        """See to what is due."""
        if self._store is None:
            return
        nothing: tuple[TransferRow, ...] = ()
        due = await self._ask(
            lambda store: store.claim_due(claim_s=_CLAIM_S, limit=_BATCH), nothing
        )
        for row in due:
            try:
                await self._wind_up(self._store, row)
            except (ServiceError, StoreError) as error:  # it is claimed again
                problem = {"call": row.call_id, "problem": str(error)}
                log.warning("a transfer that was left is not wound up", extra=problem)

    async def _wind_up(self, store: TransferStore, row: TransferRow) -> None:
        standing = Standing(row.state)
        if standing is not Standing.TAKEN and self._carrier is not None:
            on_hold = await self._dismiss(self._carrier, row)
            if standing is Standing.RINGING and row.warm and not on_hold:
                standing = Standing.GONE
        end = _end(standing, warm=row.warm)
        status = "failed" if end.disposition is Disposition.FAILED else "completed"
        orphan = await store.close(
            row.call_id, status=status, outcome=end.disposition.value, reason=end.reason.value
        )
        if orphan and row.ended_s is not None:
            self._book_line(row, 0, row.ended_s)
        await store.settle(row.call_id, row.attempt)

    async def _dismiss(self, carrier: Carrier, row: TransferRow) -> bool:
        """End the call of a caller on hold with a word, and the human's; False = they are not."""
        if row.held_since_ms is None:
            return False
        on_hold = await carrier.run(row.carrier_call_id, twiml.hang_up(twiml.NOBODY))
        if on_hold:
            seat = Seat(Attempt(row.call_id, row.attempt), row.held_since_ms)
            self._costs.book_stay(seat, row.carrier_call_id)
        if row.human_id:
            await carrier.hang_up(row.human_id)
        return on_hold

    async def _take_over(self, change: StatusChange) -> None:
        sid, ended_s = change.carrier_call_id, max(change.duration_s, 0)
        row = await self._ask(lambda store: store.over(sid, ended_s, due_s=ACT_S), None)
        if row is not None and row.booked_ms is not None:
            self._book_line(row, row.booked_ms, ended_s)

    def _book_line(self, row: TransferRow, booked_ms: int, ended_s: int) -> None:
        self._costs.book_line(row.call_id, row.direction, booked_ms, ended_s, row.carrier_call_id)

    async def _moved(
        self, attempt: Attempt, to: Standing, otherwise: Standing, due_s: float
    ) -> Standing:
        told = await self._ask(
            lambda store: store.move(attempt.call_id, attempt.number, to.value, due_s=due_s), None
        )
        return otherwise if told is None else Standing(told)

    async def _ask(self, deed: Callable[[TransferStore], Awaitable[T]], otherwise: T) -> T:
        if self._store is None:
            return otherwise
        try:
            return await deed(self._store)
        except StoreError as error:
            log.warning("other processes do not hear of a transfer", extra={"problem": str(error)})
            return otherwise


def _end(standing: Standing, *, warm: bool) -> Outcome:
    """How a call ended that nobody held when its transfer was decided."""
    match standing:
        case Standing.TAKEN:
            return _TAKEN
        case Standing.GONE:
            return _GONE
        case Standing.MISSED:
            return _LOST
        case Standing.RINGING:  # bad news of a blind one would have come by now
            return _LOST if warm else _TAKEN
