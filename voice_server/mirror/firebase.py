"""Live calls in Firebase: one writer in a thread of its own, which the calls never wait for."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from voice_server.call.live import LiveState
from voice_server.errors import ServiceRejected, ServiceUnavailable
from voice_server.mirror.finals import Final, Finals
from voice_server.mirror.node import Leaves
from voice_server.mirror.pending import Batch, Pace, Pending, Result
from voice_server.ports import CallId
from voice_server.telemetry import Metrics, MirrorMetrics

log = logging.getLogger(__name__)

_SWEEP_EVERY_S = 300.0
_SWEEP_FIRST_S = 20.0  # the calls of a server that has just started go first
_INBOX_MOST = 5_000  # calls; ten times what any process holds between two rounds of the writer
_LAST_WAIT_S = 1.0
_RELOAD_MOST = 500  # finals read back from disk at once


class Database(Protocol):
    """Where nodes are written: blocking; raises `ServiceRejected` and `ServiceUnavailable`."""

    def write(self, updates: Leaves) -> None:
        """Many paths at once, all or none."""

    def sweep(self, now_ms: int) -> int:
        """Delete what has expired."""

    def close(self) -> None: ...


class FirebaseMirror:
    """Takes states on the event loop and writes them from its own thread.

    `put` replaces what was not written yet, so a dead database costs memory for one state per
    call and no time. The last state of a call is put on disk first and stays there until the
    database has it. The thread starts with the object; `close` ends it.
    """

    def __init__(
        self,
        database: Database,
        finals: Finals,
        tenant_of: Callable[[CallId], str | None],
        pace: Pace | None = None,
        *,
        jitter: Callable[[], float] = random.random,
        metrics: MirrorMetrics | None = None,
    ) -> None:
        """Owns the database and the finals from here on."""
        self._database = database
        self._finals = finals
        self._tenant_of = tenant_of
        self._pending = Pending(pace or Pace(), jitter)
        self._lock = threading.Lock()
        self._inbox: dict[CallId, tuple[str, LiveState]] = {}
        self._news = threading.Event()
        self._closing = False
        self._abandoned = False
        self._left_on_disk = len(finals) > 0
        self._sweep_at = time.monotonic() + _SWEEP_FIRST_S
        self._complained = False
        self._news_at: dict[CallId, float] = {}  # of the oldest news that is not shown yet
        self._metrics = metrics or Metrics().mirror
        self._metrics.calls_waiting.set_function(self._calls_waiting)
        self._metrics.finals_waiting.set_function(lambda: len(finals))
        self._thread = threading.Thread(target=self._run, name="firebase-mirror", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether the newest write went through."""
        return self._pending.healthy

    def _calls_waiting(self) -> int:
        return len(self._news_at.keys() | self._inbox.keys())

    def put(self, call_id: CallId, state: LiveState) -> None:
        """Take a call's newest state: a note for the thread, and for the last one a short write.

        A call whose tenant is not known is shown to nobody.
        """
        tenant_id = self._tenant_of(call_id)
        if tenant_id is None:
            return
        if state.outcome:
            self._keep(Final(call_id, tenant_id, state))
        with self._lock:
            if call_id in self._inbox or len(self._inbox) < _INBOX_MOST:
                self._inbox[call_id] = (tenant_id, state)
            else:
                self._metrics.dropped.inc()
                self._left_on_disk |= bool(state.outcome)
        self._news.set()

    def _keep(self, final: Final) -> None:
        try:
            self._finals.keep(final)
        except OSError as error:  # memory is all that is left
            log.error("a final state cannot be kept on disk", extra={"problem": error.strerror})

    async def close(self, limit_s: float = 5.0) -> None:
        """Write what waits, for so long at most; finals beyond that wait on disk."""
        self._closing = True
        self._news.set()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._thread.join, limit_s)
        if self._thread.is_alive():
            self._abandoned = True
            self._news.set()
            log.warning("firebase takes too long; final states wait on disk")
        self._finals.close()

    # From here on everything runs in the thread.

    def _run(self) -> None:
        try:
            while self._round():
                pass
        finally:
            self._database.close()

    def _round(self) -> bool:
        """Write what is due or wait for it; False at the end."""
        if self._abandoned:
            return False
        closing = self._closing  # before the last look at what came in
        self._collect()
        now = time.monotonic()
        batch = self._pending.take(now, time.time_ns() // 1_000_000)
        if batch is not None:
            self._write(batch)
            return True
        if closing and not self._may_still_deliver(now):
            return False
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_EVERY_S
            self._sweep()
        self._pause()
        return True

    def _may_still_deliver(self, now: float) -> bool:
        """Whether a final state waits for nothing but its turn."""
        pending = self._pending
        due = pending.next_at()
        return bool(pending.finals and pending.healthy and due and due < now + _LAST_WAIT_S)

    def _collect(self) -> None:
        self._news.clear()
        with self._lock:
            inbox, self._inbox = self._inbox, {}
        for call_id, (tenant_id, state) in inbox.items():
            self._offer(call_id, tenant_id, state)
        if self._left_on_disk and not self._pending.finals:
            self._left_on_disk = len(self._finals) > _RELOAD_MOST
            for final in self._finals.waiting(_RELOAD_MOST):
                if final.state is not None:
                    self._offer(final.call_id, final.tenant_id, final.state)
        try:
            self._finals.sync()
        except OSError as error:
            log.error("a final state may not be on disk", extra={"problem": error.strerror})

    def _offer(self, call_id: CallId, tenant_id: str, state: LiveState) -> None:
        if self._pending.put(call_id, tenant_id, state):
            self._news_at.setdefault(call_id, time.monotonic())
        else:
            self._metrics.dropped.inc()
            self._left_on_disk |= bool(state.outcome)

    def _write(self, batch: Batch) -> None:
        result = self._attempt(partial(self._database.write, batch.updates))
        now = time.monotonic()
        self._metrics.writes.labels(result.name.lower()).inc()
        if result is Result.WRITTEN:
            self._complained = False
            for item in batch.items:
                if (news_at := self._news_at.pop(item.call_id, None)) is not None:
                    self._metrics.lag_seconds.observe(now - news_at)
        for call_id in self._pending.settle(batch, result, now):
            self._forget(call_id)

    def _attempt(self, work: Callable[[], object]) -> Result:
        try:
            work()
        except ServiceRejected as error:
            problem, result = str(error), Result.REFUSED
        except ServiceUnavailable as error:
            problem, result = str(error), Result.UNAVAILABLE
        except Exception as error:  # noqa: BLE001 - whatever the bug, the next try may work
            problem, result = f"a bug: {type(error).__name__}", Result.UNAVAILABLE
        else:
            return Result.WRITTEN
        if not self._complained:
            log.warning("the live mirror lags", extra={"problem": problem})
        self._complained = True
        return result

    def _sweep(self) -> None:
        self._attempt(partial(self._database.sweep, time.time_ns() // 1_000_000))

    def _forget(self, call_id: CallId) -> None:
        try:
            self._finals.delivered(call_id)
        except OSError as error:  # it will be delivered twice, which changes nothing
            log.warning("a delivered state stays on disk", extra={"problem": error.strerror})

    def _pause(self) -> None:
        """Until there is news to take, or something known is due."""
        due = self._pending.next_at()
        until = self._sweep_at if due is None else min(due, self._sweep_at)
        while not self._news.is_set() and (left := until - time.monotonic()) > 0:
            self._news.wait(left)
