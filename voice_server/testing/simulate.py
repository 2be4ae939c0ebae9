"""Simulated replay: the recorded caller meets the present agent, in virtual time.

Nothing of the caller's side is computed anew: frames, voice scores, transcripts and keys come
when they came. The agent is alive: the policy, the language model, a voice of the usual pace
and the scam shield answer as they would answer now. The caller cannot react to it, so the
further the call leaves the recorded one, the less the rest says. Tools are not run: a request
gets the recorded result of the same tool, or an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from detectors import ScamModel
from voice_server.call import Call, Policy
from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call.live import LiveState
from voice_server.engines.phrases import PhraseBook, Phrases
from voice_server.guardian import SmsGuardian
from voice_server.llm.receptionist import Receptionist
from voice_server.ports import CallFacts, LanguageModel
from voice_server.runtime.bookkeeper import Bookkeeper
from voice_server.runtime.driver import Driver
from voice_server.runtime.journal import Entry, Journal
from voice_server.runtime.replay import ReplayedCall, Witness
from voice_server.runtime.services import Services
from voice_server.shield import ScamShield
from voice_server.testing.carrier import CarrierBuffer
from voice_server.testing.virtual import run
from voice_server.testing.wav import SAMPLE_RATE, SILENCE

_MS_PER_CHARACTER: Final = 62  # the local voice reads 16 characters a second
_FIRST_AUDIO_S: Final = 0.3  # what the local voice needs for its first clause
_FRAME_S: Final = 0.02
_AFTERMATH_S: Final = 20.0  # for the agent to finish when the recording is over
_ALL: Final = 1 << 30  # a transcript that answers every commit so far

_FROM_THE_CALLER = (
    e.AudioHeard,
    e.VoiceScored,
    e.PartialTranscript,
    e.FinalTranscript,
    e.DigitPressed,
    e.MediaStarted,
)


def simulate(
    path: Path,
    changes: Mapping[str, Any] | None = None,
    *,
    language_model: LanguageModel | None = None,
) -> ReplayedCall:
    """Re-run a journal with policy fields changed, or with another language model.

    Raises `JournalError`, and `msgspec.ValidationError` for a field the policy does not have.
    """
    journal = Journal(path)
    policy = msgspec.convert(
        msgspec.to_builtins(journal.header.policy) | dict(changes or {}), Policy
    )
    unknown = set(changes or {}) - set(Policy.__struct_fields__)
    if unknown:
        raise msgspec.ValidationError(f"the policy has no field {', '.join(sorted(unknown))}")
    return run(_simulate(journal, policy, language_model or Receptionist()))


async def _simulate(journal: Journal, policy: Policy, model: LanguageModel) -> ReplayedCall:
    entries = tuple(journal)
    facts = journal.header.facts
    witness = Witness()
    shield = ScamShield(ScamModel.load())
    line, voice = _Line(), _SilentVoice()
    services = Services(
        speech_to_text=_Ears(),
        voice_activity=_NoVoiceActivity(),
        language_model=model,
        text_to_speech=voice,
        phrases=Phrases(PhraseBook(voice)),
        risk=shield,
        toolbox=_RecordedTools(entries),
        guardian=SmsGuardian(None),
        mirror=_NoMirror(),
    )
    # Nobody rings a human here: handing over is the end, as it was for a server without one.
    call = Call(msgspec.structs.replace(policy, transfer_wait_ms=0))
    books = Bookkeeper(facts, lambda _row: None, facts.started_at)
    driver = Driver(call, facts, services, line, books, _Log(witness))
    line.feed = driver.feed
    loop = asyncio.get_running_loop()
    began = loop.time()
    life = asyncio.ensure_future(driver.run())
    try:
        events = await _play(entries, driver, line)
        await life
    finally:
        shield.close()
    return witness.report(
        facts.call_id,
        call,
        duration_ms=int((loop.time() - began) * 1000),
        events=events,
        cut_short=journal.cut_short,
    )


async def _play(entries: tuple[Entry, ...], driver: Driver, line: _Line) -> int:
    """Feed the caller's events at their times, then wait for the end."""
    loop = asyncio.get_running_loop()
    began, at, fed = loop.time(), 0, 0
    stop: e.MediaStopped | None = None
    for entry in entries:
        at += entry.after_ms
        if isinstance(entry.event, e.MediaStopped):
            stop = entry.event
        if not isinstance(entry.event, _FROM_THE_CALLER):
            continue
        await asyncio.sleep(began + at / 1000 - loop.time())
        if driver.ended.is_set():
            return fed
        fed += 1
        line.tick(loop.time() - began)
        event = entry.event
        if isinstance(event, e.FinalTranscript):
            event = e.FinalTranscript(event.text, _ALL)
        driver.feed(event)
    if stop is None:  # the agent had ended the call: give the new one time for its own end
        media_ms = at
        for _ in range(int(_AFTERMATH_S / _FRAME_S)):
            await asyncio.sleep(_FRAME_S)
            if driver.ended.is_set():
                return fed
            media_ms += 20
            line.tick(loop.time() - began)
            driver.feed(e.AudioHeard(b"", 0, media_ms))
    driver.feed(stop or e.MediaStopped(e.StopCause.CALLER_HUNG_UP))
    return fed


class _Line:
    """The carrier: plays in virtual time and returns marks when they have been played."""

    def __init__(self) -> None:
        self.feed: Callable[[e.Event], None] = lambda _event: None
        self._buffer = CarrierBuffer()
        self._at = 0

    def tick(self, seconds: float) -> None:
        """Let time pass; due marks come back."""
        self._at = int(seconds * SAMPLE_RATE)
        for name in self._buffer.take_marks(self._at):
            self.feed(e.MarkPlayed(name))

    def play(self, mulaw: bytes) -> None:
        self._buffer.play(mulaw, self._at)

    def mark(self, name: str) -> None:
        self._buffer.mark(name, self._at)

    def clear(self) -> None:
        self._buffer.clear(self._at)


class _Ears:
    """Transcripts are fed as events; nothing else is heard."""

    @asynccontextmanager
    async def listen(self, facts: CallFacts) -> AsyncIterator[_Ears]:  # noqa: ARG002
        yield self

    def push(self, mulaw: bytes) -> None: ...

    def commit(self, utterance: int) -> None: ...

    def __aiter__(self) -> AsyncIterator[e.FinalTranscript]:
        return _nothing()


async def _nothing() -> AsyncGenerator[e.FinalTranscript, None]:
    await asyncio.Event().wait()
    yield e.FinalTranscript("", 0)


class _NoVoiceActivity:
    """Scores are fed as events."""

    def watch(self, on_score: Callable[[int], None]) -> _NoVoiceActivity:  # noqa: ARG002
        return self

    def push(self, mulaw: bytes) -> None: ...

    def close(self) -> None: ...


class _SilentVoice:
    """Takes the time a voice takes, without a sound."""

    async def speak(
        self,
        turn: e.TurnId,
        pieces: AsyncIterator[str],
        facts: CallFacts,  # noqa: ARG002
    ) -> AsyncGenerator[e.SpeechReady | e.Consumed, None]:
        async for piece in pieces:
            await asyncio.sleep(_FIRST_AUDIO_S)
            mulaw = SILENCE * (len(piece) * _MS_PER_CHARACTER * SAMPLE_RATE // 1000)
            yield e.SpeechReady(turn, mulaw, piece)


class _RecordedTools:
    """Answers a tool request with the recorded result of the same tool, in order."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        names = {
            entry.event.request_id: entry.event.name
            for entry in entries
            if isinstance(entry.event, e.ToolRequested)
        }
        self._results: dict[str, list[str]] = {}
        for entry in entries:
            if isinstance(entry.event, e.ToolReturned):
                name = names.get(entry.event.request_id, "")
                self._results.setdefault(name, []).append(entry.event.result)

    async def run(self, facts: CallFacts, request_id: str, name: str, arguments: str) -> str:  # noqa: ARG002
        results = self._results.get(name)
        return results.pop(0) if results else '{"error": {"problem": "not run in a simulation"}}'


class _NoMirror:
    def put(self, call_id: str, state: LiveState) -> None: ...


class _Log:
    """Lets a witness see what the call does."""

    name = ""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def append(self, now: int, event: e.Event, commands: Sequence[c.Command]) -> None:  # noqa: ARG002
        self._witness.see(commands)

    def close(self) -> None: ...
