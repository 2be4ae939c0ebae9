"""Everything that can happen to a call. Plain facts, past tense, no behaviour.

Events are msgspec structs rather than dataclasses: they cost a third to make, and the
journal's codec falls out of their types. Integer tags are the wire form of journals:
never reuse one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from detectors.assessment import Assessment, Segment

TurnId: TypeAlias = int


class Part(StrEnum):
    """The collaborators a call can lose."""

    TRANSCRIBER = "transcriber"
    LANGUAGE_MODEL = "language_model"
    VOICE = "voice"
    RISK = "risk"


class StopCause(StrEnum):
    """Why the media stream is gone."""

    CALLER_HUNG_UP = "caller_hung_up"  # the carrier said `stop`
    STREAM_LOST = "stream_lost"  # the socket closed without a word
    CARRIER_ENDED = "carrier_ended"  # a status callback said the call is over


class Expectation(StrEnum):
    """What kind of answer the agent's last words ask for; sets the endpointing patience."""

    ANYTHING = "anything"
    YES_NO = "yes_no"
    DIGITS = "digits"
    SPELLING = "spelling"
    ADDRESS = "address"


class AudioHeard(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    """One inbound frame: 8 kHz mu-law, usually 20 ms.

    `loudness` is `voice_activity.loudness(mulaw)`, measured by the shell so that a journal
    without media still replays exactly. `media_ms` is the carrier's clock: ms since the
    start of the stream.
    """

    mulaw: bytes
    loudness: int
    media_ms: int


class MediaStarted(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The media stream is open in both directions."""


class VoiceScored(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=3):
    """The voice activity model looked at one more 32 ms window; `percent` in 0..100."""

    percent: int


class PartialTranscript(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """What the caller seems to be saying; replaces the previous partial."""

    text: str


class FinalTranscript(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """What the caller said. `utterance` echoes `Commit.utterance`; 0 = the service's own cut.

    Empty text is an answer too: the committed audio held no words.
    """

    text: str
    utterance: int


class DigitPressed(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The caller pressed a key: one of 0-9, *, #, A-D."""

    digit: str


class MarkPlayed(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The carrier returned a mark: played, or thrown away by a clear (it does not tell)."""

    name: str


class MediaStopped(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """The media stream is over."""

    cause: StopCause


class ReplyText(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """The language model produced some more text of a turn, in any size of piece."""

    turn: TurnId
    text: str


class ToolRequested(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """The language model wants a tool. `arguments` is its JSON text, not yet validated."""

    turn: TurnId
    request_id: str
    name: str
    arguments: str


class ReplyEnded(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """The language model finished a turn.

    `note` is the model's own memo: it comes back with this turn in the history, and is
    forgotten when the caller heard nothing of the turn.
    """

    turn: TurnId
    expects: Expectation = Expectation.ANYTHING
    note: str = ""


class ToolReturned(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """A tool finished. `result` is JSON text; failures are results too (`{"error": ...}`)."""

    request_id: str
    result: str
    succeeded: bool


class SpeechReady(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """The voice produced audio (8 kHz mu-law) that says `text`; empty text continues a piece."""

    turn: TurnId
    mulaw: bytes
    text: str


class SpeechEnded(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """The voice has said all of a turn."""

    turn: TurnId


class RiskAssessed(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """The scam detector has a new view of the call.

    `tail` is the words in the making that the view took in beside the committed segments.
    """

    assessment: Assessment
    tail: Segment | None = None


class Consumed(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """Something that costs money was used; booked at the wire, cancelled work included.

    `item` names a row of the tariff, e.g. "local.tts.characters".
    """

    item: str
    quantity: int


class PartFailed(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """A collaborator gave up. `turn` 0 = not about a turn."""

    part: Part
    turn: TurnId
    retryable: bool


class ServerClosing(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """The server is shutting down and the grace period is over."""


class TimePassed(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """The deadline the call asked for has been reached."""


class ReplyOffered(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """A hosted agent has words, or a wish for a tool, that nobody has asked it for yet."""


class CallerInterrupted(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """A hosted agent was interrupted by the caller: it says no more of what is being said."""


class ConversationOpened(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """A hosted agent takes part in the call; the id is the one its service knows it by."""

    conversation_id: str


class InterjectionReady(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """The answer to `Interject`: audio (8 kHz mu-law) that says, or stands for, its text."""

    text: str
    mulaw: bytes


class TransferBegun(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """The carrier has the caller and rings a human."""


class TransferEnded(msgspec.Struct, frozen=True, array_like=True, tag=26):
    """A human has the line, or nobody took it: then the caller's media stream comes back."""

    reached: bool


Event: TypeAlias = (
    AudioHeard
    | MediaStarted
    | VoiceScored
    | PartialTranscript
    | FinalTranscript
    | DigitPressed
    | MarkPlayed
    | MediaStopped
    | ReplyText
    | ToolRequested
    | ReplyEnded
    | ToolReturned
    | SpeechReady
    | SpeechEnded
    | RiskAssessed
    | Consumed
    | PartFailed
    | ServerClosing
    | TimePassed
    | ReplyOffered
    | CallerInterrupted
    | ConversationOpened
    | InterjectionReady
    | TransferBegun
    | TransferEnded
)
