"""What the call needs from the world. Adapters satisfy these by shape alone.

No method blocks the event loop; `push`, `play` and their like never wait at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

import msgspec

from db.rows import AgentRow, CallRow
from detectors.assessment import Assessment, Segment
from voice_server.call.events import (
    CallerInterrupted,
    Consumed,
    ConversationOpened,
    FinalTranscript,
    PartialTranscript,
    ReplyEnded,
    ReplyOffered,
    ReplyText,
    SpeechReady,
    ToolRequested,
    TurnId,
)
from voice_server.call.history import History
from voice_server.call.live import LiveState

CallId: TypeAlias = str

# What a recogniser tells. One that belongs to a hosted agent also tells what the agent does.
Heard: TypeAlias = (
    PartialTranscript
    | FinalTranscript
    | Consumed
    | ReplyOffered
    | CallerInterrupted
    | ConversationOpened
)


class CallFacts(msgspec.Struct, frozen=True):
    """What is known of a call before anybody speaks."""

    call_id: CallId
    agent: AgentRow
    carrier_call_id: str
    caller_number: str  # E.164, or what the carrier said ("anonymous"); never logged
    called_number: str
    direction: str  # "inbound" or "outbound"
    started_at: int  # ms since the Unix epoch


class ReplyRequest(msgspec.Struct, frozen=True):
    """One turn to think about."""

    turn: TurnId
    history: History
    facts: CallFacts


class Transcriber(Protocol):
    """Speech to text for one call. Iterate it for what was heard, until it is closed."""

    def push(self, mulaw: bytes) -> None:
        """Take 20 ms of audio; drops the oldest when more than 2 s wait."""

    def commit(self, utterance: int) -> None:
        """Ask for a `FinalTranscript` (maybe empty) of all audio since the last commit."""

    def __aiter__(self) -> AsyncIterator[Heard]: ...


class SpeechToText(Protocol):
    """Opens a transcriber per call; leaving the context frees it at once.

    Iterating raises `ServiceError` when the service is lost for good.
    """

    def listen(self, facts: CallFacts) -> AbstractAsyncContextManager[Transcriber]: ...


class VoiceTrack(Protocol):
    """Voice activity for one call."""

    def push(self, mulaw: bytes) -> None:
        """Take one frame; scores come to the callback given to `watch`."""

    def close(self) -> None:
        """Stop; no callback comes afterwards."""


class VoiceActivity(Protocol):
    """Scores all live calls in shared batches."""

    def watch(self, on_score: Callable[[int], None]) -> VoiceTrack:
        """`on_score(percent)` is called on the event loop, once per 32 ms window."""


class LanguageModel(Protocol):
    """Writes the agent's part of the conversation."""

    def reply(
        self, request: ReplyRequest
    ) -> AsyncGenerator[ReplyText | ToolRequested | ReplyEnded | Consumed, None]:
        """Yield pieces as they come, `ReplyEnded` last.

        After `ToolRequested` the reply ends; the core asks again when the result is in the
        history. Raises `ServiceError`.
        """


class TextToSpeech(Protocol):
    """Speaks."""

    def speak(
        self, turn: TurnId, pieces: AsyncIterator[str], facts: CallFacts
    ) -> AsyncGenerator[SpeechReady | Consumed, None]:
        """Yield mu-law audio in order, first audio as early as possible. Raises `ServiceError`."""


class Phrases(Protocol):
    """Short phrases of one call that are at hand before they are needed."""

    def audio(self, text: str) -> bytes:
        """Mu-law that says the phrase or stands for it, at once; never empty."""

    def prepare(
        self, texts: Sequence[str], facts: CallFacts, after: asyncio.Event
    ) -> AsyncGenerator[Consumed, None]:
        """Have phrases said ahead of need; `after` is set when the call's voice has time for it.

        Yields what that costs; never raises `ServiceError`.
        """


class PhoneLine(Protocol):
    """One media stream, towards the caller."""

    def play(self, mulaw: bytes) -> None: ...

    def mark(self, name: str) -> None: ...

    def clear(self) -> None:
        """Drop what waits here and at the carrier."""


class RiskTrack(Protocol):
    """The scam detector's memory of one call."""

    async def assess(self, segments: Sequence[Segment]) -> Assessment:
        """Take new segments (at least one), return the view after the last."""

    async def preview(self, segment: Segment) -> Assessment:
        """Return the view that one more segment would give, without taking it in."""

    def end(self) -> None:
        """The call is over: what it taught may serve others. Does not wait."""


class RiskScorer(Protocol):
    """Starts a risk track per call."""

    def follow(self, facts: CallFacts) -> RiskTrack: ...


class Guardian(Protocol):
    """Reaches the person an agent protects, outside the call."""

    async def warn(self, facts: CallFacts, assessment: Assessment) -> None:
        """Tell that a call looks like a scam. Raises `ServiceError`."""


class Toolbox(Protocol):
    """Runs what the language model asks for."""

    async def run(self, facts: CallFacts, request_id: str, name: str, arguments: str) -> str:
        """Run a tool once per (call, request_id); return JSON text, `{"error": ...}` included."""


class StateMirror(Protocol):
    """Shows live calls to people. Never blocks, may drop any state but the last."""

    def put(self, call_id: CallId, state: LiveState) -> None: ...


class CallStore(Protocol):
    """Keeps calls. Raises `StoreUnavailable` (of `db`) when nothing was written."""

    async def write(self, rows: Sequence[CallRow]) -> None:
        """Write all rows or none; writing rows again changes nothing."""


class AgentDirectory(Protocol):
    """Knows who answers which number."""

    async def for_number(self, number: str) -> AgentRow | None:
        """The active agent of an E.164 number, None when nobody answers it."""
