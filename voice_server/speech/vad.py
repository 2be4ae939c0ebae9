"""Voice activity of all live calls, scored by one Silero session in shared batches.

A window costs 100 µs alone and a third of that in company, so windows that become ready
within one tick run together. A few run on the event loop itself, for handing them to a thread
costs more than they do; more run in a thread of their own, which no transcription holds up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voice_server.call.voice_activity import loudness
from voice_server.speech import g711
from voice_server.speech.sessions import open_session

log = logging.getLogger(__name__)

WINDOW = 256  # samples the model judges at once: 32 ms
_CONTEXT = 32  # samples before them that it also wants to see
_STATE = 128
_RATE = np.array(8000, np.int64)
_TICK_S = 0.012  # how long a window may wait for company
_BACKLOG = 8  # windows of one call: 256 ms
_ON_LOOP = 8  # windows of one run that may hold up the event loop: 0.35 ms
_BATCH = 128  # windows of one run: about 4 ms
# After a window scored below 5 %, one quieter than this needs no model: saves 30 % of the runs
# on 31 recorded calls and changes 0.7 % of the decisions. The state rests meanwhile: starting
# afresh would change half as many again.
_SILENT = 1
_SURELY_NOT_VOICE = 5

State: TypeAlias = npt.NDArray[np.float32]
Score: TypeAlias = Callable[[Sequence[bytes], State], tuple[list[int], State]]
"""Percent of voice for each window (32 + 256 mu-law bytes), states [2, N, 128] before and after."""


class SileroModel:
    """The network: windows and states in, probabilities and new states out."""

    __slots__ = ("_session",)

    def __init__(self, model: Path) -> None:
        self._session = open_session(model)

    def score(self, windows: Sequence[bytes], state: State) -> tuple[list[int], State]:
        """A `Score`; each row is judged as if it were alone."""
        samples = g711.decode_float(b"".join(windows)).reshape(len(windows), -1)
        scores, after = self._session.run(None, {"input": samples, "state": state, "sr": _RATE})
        return np.rint(scores[:, 0] * 100).astype(int).tolist(), after


class SileroTrack:
    """The windows of one call."""

    __slots__ = ("_engine", "_on_score", "_pending", "busy", "closed", "percent", "slot", "waiting")

    def __init__(
        self, engine: SileroVoiceActivity, slot: int, on_score: Callable[[int], None]
    ) -> None:
        self._engine = engine
        self._on_score = on_score
        self._pending = bytearray(g711.SILENCE * _CONTEXT)
        self.slot = slot
        self.waiting: deque[bytes] = deque()
        self.percent = 0  # the newest score
        self.busy = False
        self.closed = False

    def push(self, mulaw: bytes) -> None:
        """Take one frame of any size; windows beyond 256 ms of backlog push out the oldest."""
        if self.closed:
            return
        pending = self._pending
        pending += mulaw
        while len(pending) >= _CONTEXT + WINDOW:
            self._engine.enqueue(self, bytes(pending[: _CONTEXT + WINDOW]))
            del pending[:WINDOW]

    def close(self) -> None:
        """Stop; no callback comes afterwards."""
        if not self.closed:
            self.closed = True
            self._engine.leave(self)

    def tell(self, percent: int) -> None:
        """Hand a score to the call; its trouble must not reach the other calls' scores."""
        if self.closed:
            return
        self.percent = percent
        try:
            self._on_score(percent)
        except Exception:
            log.exception("voice score not taken")


class SileroVoiceActivity:
    """Scores all live calls of one event loop in shared batches."""

    __slots__ = (
        "_executor", "_free", "_loop", "_on_loop", "_ready", "_running", "_score", "_state",
        "_timer", "_tracks", "dropped", "runs", "scored", "skipped",
    )  # fmt: skip

    def __init__(self, score: Score, *, on_loop: int = _ON_LOOP) -> None:
        self._score = score
        self._on_loop = on_loop
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="vad")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: dict[SileroTrack, None] = {}  # ordered: who waits longest goes first
        self._state: State = np.zeros((2, 16, _STATE), np.float32)
        self._free = list(range(16))
        self._tracks = 0
        self._timer: asyncio.Handle | None = None
        self._running = False
        self.dropped = 0  # windows lost to lag
        self.scored = 0  # windows the model saw
        self.skipped = 0  # windows too quiet to ask it
        self.runs = 0

    def watch(self, on_score: Callable[[int], None]) -> SileroTrack:
        """`on_score(percent)` is called on the event loop, once per 32 ms window."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._running, self._timer = loop, False, None
            self._ready.clear()
        if not self._free:
            size = self._state.shape[1]
            self._state = np.concatenate((self._state, np.zeros_like(self._state)), axis=1)
            self._free = list(range(size, 2 * size))
        slot = self._free.pop()
        self._state[:, slot] = 0
        self._tracks += 1
        return SileroTrack(self, slot, on_score)

    def close(self) -> None:
        """Let the thread go; windows still waiting are forgotten."""
        if self._timer is not None:
            self._timer.cancel()
        self._ready.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def enqueue(self, track: SileroTrack, window: bytes) -> None:
        """A track has 256 more samples (and 32 before them)."""
        if len(track.waiting) >= _BACKLOG:
            track.waiting.popleft()
            self.dropped += 1
        track.waiting.append(window)
        if not track.busy:
            self._ready[track] = None
        if self._timer is None and not self._running:
            assert self._loop is not None
            wait = _TICK_S if self._tracks > 1 else 0.0
            self._timer = self._loop.call_later(wait, self._tick)

    def leave(self, track: SileroTrack) -> None:
        """A track closed; its slot is free once no run uses it."""
        self._tracks -= 1
        self._ready.pop(track, None)
        if not track.busy:
            self._free.append(track.slot)

    def _tick(self) -> None:
        self._timer = None
        batch: list[tuple[SileroTrack, bytes]] = []
        for track in list(self._ready)[:_BATCH]:
            window = self._next_loud(track)
            if window is not None:
                track.busy = True
                batch.append((track, window))
            self._ready.pop(track, None)
        if not batch or self._loop is None:
            return
        slots = [track.slot for track, _ in batch]
        self._running = True
        self.runs += 1
        windows, state = [window for _, window in batch], self._state[:, slots]
        if len(batch) <= self._on_loop:
            done: asyncio.Future[tuple[list[int], State]] = self._loop.create_future()
            try:
                done.set_result(self._score(windows, state))
            except Exception as error:  # noqa: BLE001  # as a thread would hand it over
                done.set_exception(error)
            self._deliver(done, batch)
            return
        self._loop.run_in_executor(self._executor, self._score, windows, state).add_done_callback(
            lambda done: self._deliver(done, batch)
        )

    def _next_loud(self, track: SileroTrack) -> bytes | None:
        """The track's next window worth a model run; quiet ones score 0 right here."""
        while track.waiting:
            window = track.waiting.popleft()
            if track.percent >= _SURELY_NOT_VOICE or loudness(window) >= _SILENT:
                return window
            self.skipped += 1
            track.tell(0)
        return None

    def _deliver(
        self,
        done: asyncio.Future[tuple[list[int], State]],
        batch: Sequence[tuple[SileroTrack, bytes]],
    ) -> None:
        self._running = False
        for track, _ in batch:
            track.busy = False
            if track.closed:
                self._free.append(track.slot)
            elif track.waiting:
                self._ready[track] = None
        if done.cancelled():
            return
        if error := done.exception():
            log.error("voice activity model failed", extra={"error": type(error).__name__})
        else:
            scores, after = done.result()
            for row, ((track, _), percent) in enumerate(zip(batch, scores, strict=True)):
                if not track.closed:
                    self._state[:, track.slot] = after[:, row]
                    self.scored += 1
                    track.tell(percent)
        if self._ready and self._timer is None and self._loop is not None:
            self._timer = self._loop.call_soon(self._tick)
