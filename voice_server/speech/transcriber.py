"""Speech to text on this machine: finals always, partials when there is time for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeAlias

from voice_server.call.events import Consumed, FinalTranscript, PartialTranscript
from voice_server.errors import ServiceRejected
from voice_server.ports import CallFacts
from voice_server.speech import g711
from voice_server.speech.moonshine import RATE
from voice_server.speech.pool import InferencePool, Urgency
from voice_server.speech.resample import Samples, resample
from voice_server.speech.utterance import BYTES_PER_MS, Utterance

SERVICE = "local speech to text"
CONSUMED = "local.stt.milliseconds"

_PARTIAL_FRAMES = 25  # voiced frames between two partials: 500 ms of speech,
_PARTIAL_SHARE = 4  # or a quarter of a long utterance, for each run starts at its beginning
_PAUSE_FRAMES = 7  # after 140 ms of silence the words are probably complete
_MOST_WAITING = 8  # finals in line; beyond that the oldest loses its audio


class Recogniser(Protocol):
    """A model that hears words in 16 kHz audio."""

    def transcribe(self, samples: Samples, should_stop: Callable[[], bool]) -> str:
        """The words, "" for none; soon whatever there is once `should_stop()`. Any thread."""


Heard: TypeAlias = PartialTranscript | FinalTranscript | Consumed


class _Final:
    """A promised `FinalTranscript`; `text` is known already when a partial covered it."""

    __slots__ = ("audio", "text", "utterance")

    def __init__(self, audio: bytes, utterance: int, text: str | None) -> None:
        self.audio = audio
        self.utterance = utterance
        self.text = text


class _Run:
    """One run of the model over `voiced` frames of speech; `stopped` makes it end early."""

    __slots__ = ("final", "started", "stopped", "voiced")

    def __init__(self, voiced: int, final: _Final | None) -> None:
        self.voiced = voiced
        self.final = final
        self.started = False
        self.stopped = False

    def covers(self, voiced: int) -> bool:
        """Whether its text can serve as the final of so much speech."""
        return self.started and not self.stopped and self.final is None and self.voiced == voiced


class LocalTranscriber:
    """Speech to text for one call.

    At most one run is under way. A partial whose run has seen all speech up to a commit
    becomes that commit's final, so after a pause the answer is usually there already.
    """

    __slots__ = (
        "_closed", "_committed", "_covered", "_error", "_heard", "_load", "_pool", "_run", "_task",
        "_text", "_utterance", "_wake", "shed",
    )  # fmt: skip

    def __init__(self, load: Callable[[], Recogniser], pool: InferencePool) -> None:
        self._load = load
        self._pool = pool
        self._utterance = Utterance()
        self._committed: deque[_Final] = deque()
        self._run: _Run | None = None
        self._task: asyncio.Future[str] | None = None
        self._covered = 0  # voiced frames the newest partial has seen
        self._text = ""  # the newest partial
        self._heard: deque[Heard] = deque()
        self._wake = asyncio.Event()
        self._error: ServiceRejected | None = None
        self._closed = False
        self.shed = 0  # finals that lost their audio to overload

    def push(self, mulaw: bytes) -> None:
        """Take one frame; an utterance longer than 15 s is cut at a quiet place."""
        utterance = self._utterance
        utterance.push(mulaw)
        if utterance.is_full:
            self._promise(_Final(utterance.cut(), 0, None))
            self._text, self._covered = "", 0
        elif self._run is None and not self._committed and utterance.has_words:
            self._maybe_look(utterance)

    def commit(self, utterance: int) -> None:
        """Ask for a `FinalTranscript` (maybe empty) of all audio since the last commit."""
        voiced = self._utterance.voiced
        known = self._text if voiced and voiced == self._covered else None
        final = _Final(self._utterance.take(), utterance, known)
        run = self._run
        self._text, self._covered = "", 0
        if final.audio and run is not None and run.covers(voiced):
            run.final = final  # this very speech is being transcribed
            return
        self._promise(final)

    async def settled(self) -> list[Heard]:
        """Wait until the model has seen what there is to see; return all that was heard.

        For those who hold back the next frame meanwhile, instead of iterating.
        """
        while self._task is not None:
            await asyncio.wait((self._task,))
        if self._error is not None:
            raise self._error
        heard = list(self._heard)
        self._heard.clear()
        return heard

    def close(self) -> None:
        """Give everything up."""
        self._closed = True
        self._committed.clear()
        if self._run is not None:
            self._run.stopped = True
        if self._task is not None:
            self._task.cancel()
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Heard]:
        while True:
            while self._heard:
                yield self._heard.popleft()
            if self._error is not None:
                raise self._error
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()

    def _maybe_look(self, utterance: Utterance) -> None:
        """Start a run for a partial when enough is new, or the words seem complete."""
        fresh = utterance.voiced - self._covered
        if fresh and utterance.quiet_frames == _PAUSE_FRAMES:
            urgency = Urgency.LIKELY_FINAL
        elif fresh >= max(_PARTIAL_FRAMES, utterance.voiced // _PARTIAL_SHARE):
            urgency = Urgency.PARTIAL
        else:
            return
        self._start(_Run(utterance.voiced, None), utterance.audio(), urgency)

    def _promise(self, final: _Final) -> None:
        self._committed.append(final)
        if len(self._committed) > _MOST_WAITING:
            oldest = next(f for f in self._committed if f.audio or f is final)
            oldest.audio = b""
            self.shed += 1
        run = self._run
        if run is not None and run.final is None:
            run.stopped = True  # a partial: the final sees the same speech
            if not run.started and self._task is not None:
                self._task.cancel()  # out of the line of partials
        self._advance()

    def _advance(self) -> None:
        """Answer what needs no model; start the run of the next final."""
        while self._committed and self._run is None:
            final = self._committed.popleft()
            if final.text is not None or not final.audio:
                self._answer(final, final.text or "")
            else:
                self._start(_Run(0, final), final.audio, Urgency.FINAL)

    def _start(self, run: _Run, audio: bytes, urgency: Urgency) -> None:
        self._run = run

        def work() -> str:
            run.started = True
            samples = resample(g711.decode_float(audio), 8000, RATE)
            return self._load().transcribe(samples, lambda: run.stopped)

        self._task = self._pool.submit(urgency, work)
        self._task.add_done_callback(lambda done: self._finish(run, done))

    def _finish(self, run: _Run, done: asyncio.Future[str]) -> None:
        self._run = self._task = None
        if self._closed:
            return
        if done.cancelled():
            self._advance()
            return
        if error := done.exception():
            self._error = ServiceRejected(SERVICE, f"the model failed ({type(error).__name__})")
            self._error.__cause__ = error
            self._wake.set()
            return
        if run.final is not None:
            self._answer(run.final, done.result())
        elif not run.stopped:
            self._text, self._covered = done.result(), run.voiced
            if self._text:
                self._tell(PartialTranscript(self._text))
        self._advance()

    def _answer(self, final: _Final, text: str) -> None:
        self._tell(FinalTranscript(text, final.utterance))
        if final.audio:
            self._tell(Consumed(CONSUMED, len(final.audio) // BYTES_PER_MS))

    def _tell(self, heard: Heard) -> None:
        newest = self._heard[-1] if self._heard else None
        if isinstance(heard, PartialTranscript) and isinstance(newest, PartialTranscript):
            self._heard.pop()
        self._heard.append(heard)
        self._wake.set()


class LocalSpeechToText:
    """Opens transcribers that share one model and the inference threads."""

    __slots__ = ("_load", "_pool")

    def __init__(self, load: Callable[[], Recogniser], pool: InferencePool) -> None:
        self._load = load
        self._pool = pool

    def listen(self, facts: CallFacts) -> AbstractAsyncContextManager[LocalTranscriber]:  # noqa: ARG002
        """Open a transcriber for a call; nothing needs to be known of it."""
        return self.open()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[LocalTranscriber]:
        """Open a transcriber; leaving the context frees it at once."""
        transcriber = LocalTranscriber(self._load, self._pool)
        try:
            yield transcriber
        finally:
            transcriber.close()
