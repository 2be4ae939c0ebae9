"""Drives one call: feeds the core inline, obeys its commands, keeps its one timer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import assert_never

import msgspec

from detectors.assessment import Assessment
from voice_server.call import Call, Phase
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.errors import ServiceError, place_of
from voice_server.ports import CallFacts, PhoneLine, ReplyRequest, Transcriber
from voice_server.runtime.bookkeeper import Bookkeeper
from voice_server.runtime.hearing import Hearing
from voice_server.runtime.lookout import Lookout
from voice_server.runtime.services import CallLog, Services
from voice_server.runtime.work import Work

log = logging.getLogger(__name__)

_REFUSED = (
    '{"error": {"problem": "not available in this call", '
    '"fix": "offer to have a colleague call back on the number on file"}}'
)
_SERVICE_DOWN = '{"error": {"problem": "the service is down", "fix": "try again later"}}'


class _Failure(msgspec.Struct):
    error: object = None


class Driver:
    """One call in motion. `feed` is synchronous and may be called before `run` has begun.

    No task of the call outlives `run`. `ended` is set once the call is over; `released` once it
    has no more use for its present media stream.
    """

    def __init__(
        self,
        call: Call,
        facts: CallFacts,
        services: Services,
        line: PhoneLine,
        books: Bookkeeper,
        journal: CallLog | None,
    ) -> None:
        self.call = call
        self.facts = facts
        self.ended = asyncio.Event()
        self.released = asyncio.Event()
        self._services = services
        self._line = line
        self._books = books
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._now = 0
        self._answered_at = -1
        self._pending: deque[e.Event] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._due: int | None = None
        self._hearing = Hearing(services.voice_activity.watch(self._on_score))
        self._work = Work(facts.call_id, self._lost)
        track = services.risk.follow(facts)
        self._lookout = Lookout(track, partial(self._work.start, e.Part.RISK, 0), self.feed)
        self._speeches: dict[e.TurnId, asyncio.Queue[str | None]] = {}
        self._voice_is_free = asyncio.Event()  # the first words of the call have been said

    async def run(self) -> None:
        """Live through the call; returns when all its work is done or given up."""
        preparing = self._work.start(e.Part.VOICE, 0, self._prepare)
        try:
            await self._live()
        except asyncio.CancelledError:
            self.feed(e.MediaStopped(e.StopCause.STREAM_LOST))  # every call gets its last row,
            self.feed(e.ServerClosing())  # and so does one whose caller is with the carrier
            self._work.cancel()
            raise
        finally:
            preparing.cancel()
            await self._wind_down()

    async def _live(self) -> None:
        try:
            async with self._services.speech_to_text.listen(self.facts) as transcriber:
                self._hearing.open(transcriber)
                listen = partial(self._listen, transcriber)
                listening = self._work.start(e.Part.TRANSCRIBER, 0, listen)
                try:
                    await self.ended.wait()
                finally:
                    listening.cancel()
        except Exception as error:  # noqa: BLE001 - a bug takes its call down, never the server
            self._lost(e.Part.TRANSCRIBER, 0, error)
            await self.ended.wait()

    async def _wind_down(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._hearing.close()
        try:
            await self._work.finish()
        finally:
            self._lookout.end()
            if self._journal is not None:
                self._close_journal(self._journal)

    @property
    def connected_ms(self) -> int:
        """How long the caller has been, or was, connected."""
        return self._now - self._answered_at if self._answered_at >= 0 else 0

    def attach(self, line: PhoneLine) -> None:
        """Go on with another media stream: the caller comes back from a transfer."""
        self._line, self.released = line, asyncio.Event()

    def feed(self, event: e.Event) -> None:
        """Give the core one event and obey what it says, at once and in order."""
        self._pending.append(event)
        if self._busy:  # an obeyed command fed us back: keep order, do not recurse
            return
        self._busy = True
        try:
            while self._pending:
                self._step(self._pending.popleft())
        except Exception as error:  # noqa: BLE001 - a bug takes its call down, never the server
            self._pending.clear()
            self._crash(error)
        finally:
            self._busy = False
        if self.call.deadline != self._due:
            self._rearm()

    def _step(self, event: e.Event) -> None:
        if self.call.phase is Phase.ENDED:
            self._after_the_end(event)
            return
        self._now = now = max(self._now, int((self._loop.time() - self._began) * 1000))
        if type(event) is e.TimePassed and self._due is not None:
            self._now = now = max(now, self._due)  # timers may fire a hair early
        commands = self.call.handle(event, now)
        if self._journal is not None:
            self._keep(self._journal, now, event, commands)
        if type(event) is e.MediaStarted and self._answered_at < 0:
            self._answered_at = now
            self._books.answered(now)
        for command in commands:
            self._obey(command)

    def _keep(
        self, journal: CallLog, now: int, event: e.Event, commands: Sequence[c.Command]
    ) -> None:
        try:
            journal.append(now, event, commands)
        except OSError as error:  # a full disk costs the journal, not the call
            log.error("a journal is lost", extra={"problem": error.strerror})
            self._close_journal(journal)
            self._journal = None

    def _close_journal(self, journal: CallLog) -> None:
        try:
            journal.close()
        except OSError as error:
            log.error("a journal has no end", extra={"problem": error.strerror})

    def _crash(self, error: Exception) -> None:
        """A bug met while obeying: the core hears that it is deaf and mute, and ends the call."""
        _log_bug("call", error)
        for part in (e.Part.TRANSCRIBER, e.Part.VOICE):
            try:
                self._step(e.PartFailed(part, 0, False))
            except Exception as another:  # noqa: BLE001 - the same bug, most likely
                _log_bug("call", another)
        if not self.ended.is_set():  # nothing can be relied on but that it is over
            self.call.give_up()
            self._finish()

    def _finish(self) -> None:
        journal = self._journal.name if self._journal is not None else ""
        self._books.ended(self.call, answered_at=self._answered_at, now=self._now, journal=journal)
        self.ended.set()
        self.released.set()

    def _after_the_end(self, event: e.Event) -> None:
        """Work cancelled by the end reports what it used: that is owed all the same."""
        if type(event) is e.Consumed:
            for command in self.call.record.consumed(event.item, event.quantity):
                self._obey(command)

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due = self.call.deadline
        if due is None:
            self._timer = None
        else:
            self._timer = self._loop.call_at(self._began + due / 1000, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.feed(e.TimePassed())

    def _obey(self, command: c.Command) -> None:  # noqa: C901 - one flat table
        match command:
            case c.Transcribe():
                self._hearing.hear(command)
            case c.Commit():
                self._hearing.commit(command)
            case c.Think(turn=turn):
                self._work.start(e.Part.LANGUAGE_MODEL, turn, partial(self._think, command))
            case c.Say(turn=turn, text=text):
                self._speech_of(turn).put_nowait(text)
            case c.FinishSaying(turn=turn):
                self._speech_of(turn).put_nowait(None)
            case c.Abandon(turn=turn):
                self._speeches.pop(turn, None)
                self._work.abandon(turn)
            case c.Play(mulaw=mulaw):
                self._line.play(mulaw)
            case c.PlaceMark(name=name):
                self._line.mark(name)
            case c.StopPlaying():
                self._line.clear()
            case c.Interject(text=text):
                self.feed(e.InterjectionReady(text, self._services.phrases.audio(text)))
            case c.RunTool():
                self._work.start(e.Part.LANGUAGE_MODEL, 0, partial(self._run_tool, command))
            case c.RefuseTool(request_id=key):
                self.feed(e.ToolReturned(key, _REFUSED, succeeded=False))
            case c.Warn(assessment=assessment):
                self._work.start(e.Part.RISK, 0, partial(self._warn, assessment))
            case c.AssessRisk(segment=segment):
                self._lookout.show(segment)
            case c.PreviewRisk(segment=segment):
                self._lookout.preview(segment)
            case c.Record() | c.RecordRisk() | c.Book() | c.Measure():
                self._books.write(command, self._now)
            case c.Publish(state=state):
                self._services.mirror.put(self.facts.call_id, state)
            case c.Transfer():
                self.released.set()
            case c.HangUp():
                self._finish()
            case _:
                assert_never(command)

    # Work that takes time. Each piece ends in an event; its failure is an event too.

    def _lost(self, part: e.Part, turn: e.TurnId, error: Exception) -> None:
        """A collaborator gave up; the core decides what that means for the call."""
        if isinstance(error, ServiceError):
            log.warning("a service failed", extra={"part": part.value, "service": error.service})
            self.feed(e.PartFailed(part, turn, error.retryable))
        else:
            _log_bug(part.value, error)
            self.feed(e.PartFailed(part, turn, False))

    def _on_score(self, percent: int) -> None:
        self.feed(e.VoiceScored(percent))

    async def _listen(self, transcriber: Transcriber) -> None:
        async for heard in transcriber:
            self.feed(heard)

    async def _think(self, command: c.Think) -> None:
        request = ReplyRequest(command.turn, command.history, self.facts)
        ended = False
        async with aclosing(self._services.language_model.reply(request)) as pieces:
            async for piece in pieces:
                ended |= type(piece) is e.ReplyEnded
                self.feed(piece)
        if not ended:  # a second end could fall into the turn's next thought
            self.feed(e.ReplyEnded(command.turn))

    def _speech_of(self, turn: e.TurnId) -> asyncio.Queue[str | None]:
        speech = self._speeches.get(turn)
        if speech is None:
            speech = self._speeches[turn] = asyncio.Queue()
            self._work.start(e.Part.VOICE, turn, partial(self._speak, turn, speech))
        return speech

    async def _speak(self, turn: e.TurnId, texts: asyncio.Queue[str | None]) -> None:
        async def pieces() -> AsyncIterator[str]:
            while (text := await texts.get()) is not None:
                yield text

        speech = self._services.text_to_speech.speak(turn, pieces(), self.facts)
        async with aclosing(speech) as audio:
            async for heard in audio:
                self.feed(heard)
        self._work.release(turn)
        self._speeches.pop(turn, None)
        self._voice_is_free.set()
        self.feed(e.SpeechEnded(turn))

    async def _prepare(self) -> None:
        texts = self.call.policy.phrases
        phrases = self._services.phrases.prepare(texts, self.facts, self._voice_is_free)
        async with aclosing(phrases) as costs:
            async for consumed in costs:
                self.feed(consumed)

    async def _run_tool(self, command: c.RunTool) -> None:
        try:
            result = await self._services.toolbox.run(
                self.facts, command.request_id, command.name, command.arguments
            )
            succeeded = msgspec.json.decode(result, type=_Failure).error is None
        except ServiceError as error:
            log.warning("a tool failed", extra={"tool": command.name, "service": error.service})
            result, succeeded = _SERVICE_DOWN, False
        except Exception as error:  # noqa: BLE001 - a bug must not leave the model waiting
            _log_bug("tool", error)
            result, succeeded = _SERVICE_DOWN, False
        self.feed(e.ToolReturned(command.request_id, result, succeeded))

    async def _warn(self, assessment: Assessment) -> None:
        await self._services.guardian.warn(self.facts, assessment)


def _log_bug(part: str, error: Exception) -> None:
    bug = {"part": part, "kind": type(error).__name__, "at": place_of(error)}
    log.error("a bug in a call", extra=bug)
