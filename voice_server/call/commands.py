"""Everything a call can ask the world to do. Imperative mood, no behaviour."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from detectors.assessment import Assessment, Segment
from voice_server.call.events import TurnId
from voice_server.call.history import History
from voice_server.call.live import LiveState
from voice_server.call.outcome import Outcome


class Transcribe(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Give this frame to the transcriber and the voice activity model."""

    mulaw: bytes


class Commit(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The caller paused: transcribe what was heard so far as utterance `utterance`."""

    utterance: int


class Think(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Ask the language model for the reply of `turn`."""

    turn: TurnId
    history: History


class Say(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Speak this piece of `turn`; pieces of a turn are spoken in order."""

    turn: TurnId
    text: str


class FinishSaying(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """No more pieces come for `turn`."""

    turn: TurnId


class Abandon(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Stop all work for a turn; anything it still yields will be ignored."""

    turn: TurnId


class Play(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Send this audio to the caller's ear."""

    mulaw: bytes


class PlaceMark(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """Ask the carrier to tell when everything sent so far has been played."""

    name: str


class StopPlaying(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """Throw away all audio sent but not yet played."""


class RunTool(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """Run a tool once; `request_id` is the idempotency key within the call."""

    request_id: str
    name: str
    arguments: str


class AssessRisk(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """Show the scam detector one more segment."""

    segment: Segment


class Record(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """Store one line of the transcript. Times are ms since the call began."""

    speaker: str
    text: str
    unheard: str
    started_ms: int
    ended_ms: int


class RecordRisk(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """Store an assessment; `final` marks the last one of the call."""

    assessment: Assessment
    segments: tuple[Segment, ...]
    final: bool


class Book(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """Store a cost: `quantity` units of a tariff item, worth `micro_usd`."""

    item: str
    quantity: int
    micro_usd: int


class Measure(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """Store how long the stages of one turn took, in ms from the end of the caller's speech.

    -1 where a stage did not happen (a greeting has no transcript).
    """

    turn: TurnId
    transcript_ms: int
    first_text_ms: int
    first_audio_ms: int


class Publish(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """Show the world how the call stands; a newer state replaces an older one."""

    state: LiveState


class HangUp(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """End the call. On `HANDED_OVER` the carrier goes on with the transfer instead."""

    outcome: Outcome


class RefuseTool(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """Answer a tool request with a refusal: the scam shield has blocked this tool."""

    request_id: str


class Warn(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """Tell the person the agent protects, outside the call, that it looks like a scam."""

    assessment: Assessment


class Interject(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """Have this phrase ready at once, as `InterjectionReady`: the silence lasts too long."""

    text: str


class PreviewRisk(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """Ask the scam detector for its view if the words in the making stayed as they are.

    It must not remember them: they come again, perhaps changed, as a segment of this number.
    """

    segment: Segment


class Transfer(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """Let go of the media stream: the carrier puts the caller through to a human."""


Command: TypeAlias = (
    Transcribe
    | Commit
    | Think
    | Say
    | FinishSaying
    | Abandon
    | Play
    | PlaceMark
    | StopPlaying
    | RunTool
    | AssessRisk
    | Record
    | RecordRisk
    | Book
    | Measure
    | Publish
    | HangUp
    | RefuseTool
    | Warn
    | Interject
    | PreviewRisk
    | Transfer
)
