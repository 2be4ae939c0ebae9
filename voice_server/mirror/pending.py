"""Which live calls are to be written next, and when: decided purely, with time as an argument."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum, auto

import msgspec

from voice_server.call.live import LiveState
from voice_server.mirror.node import SERVER_TIME, Leaves, changes, leaves_of, nested
from voice_server.ports import CallId

_RETRY_FIRST_S = 0.25
_RETRY_MOST_S = 5.0
_BATCH_MOST = 100  # nodes of one request; a node is 1 to 4 KB
_REFUSALS_MOST = 3  # nodes refused one after the other; then it is not the nodes
_CALLS_MOST = 2_000  # ten times what one process answers by default


class Pace(msgspec.Struct, frozen=True):
    """How often a node is written, and how long it is kept."""

    writes_per_s: float = 4.0
    gather_s: float = 0.05  # from one request to the next, so that calls travel together
    beat_s: float = 60.0  # a call of which there is no news is written so often
    lease_s: float = 240.0  # a live node not written for so long belongs to a dead process
    keep_s: float = 600.0  # how long the node of an ended call may be read


class Result(Enum):
    """What became of a batch."""

    WRITTEN = auto()
    REFUSED = auto()  # the database will not have it: wrong content, or wrong rights
    UNAVAILABLE = auto()  # nobody knows whether it was written


class Item(msgspec.Struct, frozen=True):
    """One node of a batch."""

    call_id: CallId
    sequence: int
    leaves: Leaves
    is_final: bool


class Batch(msgspec.Struct, frozen=True):
    """One multi-path write below the root of all live calls."""

    items: tuple[Item, ...]
    updates: Leaves


class _Call(msgspec.Struct):
    path: str
    state: LiveState
    base: Leaves | None = None  # what the database certainly holds
    written: int = -1  # the sequence number that it holds
    next_at: float = 0.0
    beat_at: float = 0.0
    refusals: int = 0  # of this node by itself: it travels alone until it is taken

    @property
    def dirty(self) -> bool:
        return self.state.sequence > self.written

    @property
    def due(self) -> float:
        return self.next_at if self.dirty else max(self.next_at, self.beat_at)


class Pending:
    """The latest state of every call, until it is written. One batch at a time is out.

    Not for several threads. Times are seconds of any steady clock. A newer state takes the
    place of an older one that was not written; a final state stays until it is.
    """

    def __init__(self, pace: Pace, jitter: Callable[[], float]) -> None:
        """`jitter` returns numbers in [0, 1): servers must not come back all at once."""
        self._pace = pace
        self._jitter = jitter
        self._calls: dict[CallId, _Call] = {}
        self._open_at = 0.0  # no request before
        self._failures = 0
        self._refused_in_a_row = 0
        self._batch_most = _BATCH_MOST

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def healthy(self) -> bool:
        """Whether the newest write went through."""
        return self._failures == 0

    @property
    def finals(self) -> int:
        """Ended calls whose last state is not in the database."""
        return sum(1 for call in self._calls.values() if call.state.outcome)

    def put(self, call_id: CallId, tenant_id: str, state: LiveState) -> bool:
        """Take a state; an older one than is known changes nothing. False = there is no room."""
        call = self._calls.get(call_id)
        if call is not None:
            if state.sequence > call.state.sequence:
                call.state = state
            return True
        if len(self._calls) >= _CALLS_MOST:
            return False
        self._calls[call_id] = _Call(f"{tenant_id}/{call_id}", state)
        return True

    def next_at(self) -> float | None:
        """When there will be something to write, None while nothing is known of any call."""
        if not self._calls:
            return None
        return max(self._open_at, min(call.due for call in self._calls.values()))

    def take(self, now: float, wall_ms: int) -> Batch | None:
        """What is to be written now. Report on it before taking the next."""
        if now < self._open_at:
            return None
        items: list[Item] = []
        updates: Leaves = {}
        for call_id, call in self._chosen(now):
            leaves = leaves_of(call.state)
            items.append(Item(call_id, call.state.sequence, leaves, bool(call.state.outcome)))
            kept_s = self._pace.keep_s if call.state.outcome else self._pace.lease_s
            times = {"updated_at": SERVER_TIME, "expires_at": wall_ms + round(kept_s * 1000)}
            if call.base is None:
                updates[call.path] = nested(leaves | times)
            else:
                for path, value in (changes(call.base, leaves) | times).items():
                    updates[f"{call.path}/{path}"] = value
            # Attempts count, not successes: a database in trouble gets no more than its share.
            call.next_at = now + 1 / self._pace.writes_per_s
            call.beat_at = now + self._pace.beat_s
        if not items:
            return None
        self._open_at = now + self._pace.gather_s
        return Batch(tuple(items), updates)

    def _chosen(self, now: float) -> Iterator[tuple[CallId, _Call]]:
        """Calls that are due, ended ones first, those that have waited longest before others."""
        due = [(key, call) for key, call in self._calls.items() if call.due <= now]
        due.sort(key=lambda item: (not item[1].state.outcome, item[1].due))
        if due and due[0][1].refusals:
            yield due[0]
            return
        yield from [item for item in due if not item[1].refusals][: self._batch_most]

    def settle(self, batch: Batch, result: Result, now: float) -> tuple[CallId, ...]:
        """Take note of what became of a batch; returns the calls that are over and done with."""
        if result is Result.WRITTEN:
            self._failures = self._refused_in_a_row = 0
            self._batch_most = min(_BATCH_MOST, self._batch_most * 2)
            return tuple(item.call_id for item in batch.items if self._written(item))
        for item in batch.items:
            call = self._calls[item.call_id]
            call.base, call.written = None, -1  # whatever is there, write it whole
        if result is Result.UNAVAILABLE or not self._suspected(batch, now):
            self._failures += 1
            self._open_at = now + self._wait(self._failures)
        return ()

    def _written(self, item: Item) -> bool:
        call = self._calls[item.call_id]
        call.base, call.written = item.leaves, item.sequence
        call.refusals = 0
        if item.is_final:
            del self._calls[item.call_id]
        return item.is_final

    def _suspected(self, batch: Batch, now: float) -> bool:
        """One bad node spoils a whole batch: narrow it down. False = all of them are refused."""
        if len(batch.items) > 1:
            self._batch_most = len(batch.items) // 2
            return True
        call = self._calls[batch.items[0].call_id]
        if not call.refusals:
            self._refused_in_a_row += 1
            if self._refused_in_a_row > _REFUSALS_MOST:
                return False
        call.refusals += 1
        call.next_at = call.beat_at = max(call.next_at, now + self._wait(call.refusals))
        return True

    def _wait(self, failures: int) -> float:
        longest = min(_RETRY_MOST_S, _RETRY_FIRST_S * 2.0 ** min(failures - 1, 10))
        return longest * (0.5 + self._jitter() / 2)
