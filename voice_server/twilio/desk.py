"""What the Twilio edge needs from the rest of the server, in the edge's own words."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

import msgspec

from voice_server.call.events import Event
from voice_server.ports import CallId, PhoneLine


class Ringing(msgspec.Struct, frozen=True):
    """A call that waits for its first TwiML. Numbers are what Twilio said; never log them."""

    carrier_call_id: str  # Twilio's CallSid
    caller_number: str  # E.164, "client:x", or a word such as "anonymous"
    called_number: str
    direction: str  # "inbound" or "outbound"
    status: str  # Twilio's word: "ringing" inbound, "in-progress" outbound
    account: str  # Twilio's AccountSid
    call_id: CallId = ""  # our own, of a call that we placed


class CarrierStatus(StrEnum):
    """Twilio's word for how a call stands, in the order in which calls pass them."""

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    FAILED = "failed"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self not in _LIVE


_LIVE = frozenset(
    {
        CarrierStatus.QUEUED,
        CarrierStatus.INITIATED,
        CarrierStatus.RINGING,
        CarrierStatus.IN_PROGRESS,
    }
)


# The carrier's word -> the word of `call_sessions.status`.
SESSION_STATUS: Final = {
    "queued": "initiated",
    "initiated": "initiated",
    "ringing": "ringing",
    "in-progress": "answered",
    "completed": "completed",
    "busy": "failed",
    "no-answer": "failed",
    "failed": "failed",
    "canceled": "cancelled",
}


class StatusChange(msgspec.Struct, frozen=True):
    """A call moved on, says Twilio. Per call these never go back nor repeat."""

    carrier_call_id: str
    status: CarrierStatus
    duration_s: int  # seconds the call lasted; -1 where Twilio did not say
    call_id: CallId = ""  # our own, of a call that we placed


class MachineVerdict(msgspec.Struct, frozen=True):
    """Twilio has found out whether a person or a machine answered, while the call went on."""

    carrier_call_id: str
    call_id: CallId
    answered_by: str  # human, machine_start, machine_end_beep, ..., fax or unknown
    took_ms: int  # how long it listened

    @property
    def is_machine(self) -> bool:
        """Whether nobody listens."""
        return self.answered_by.startswith("machine") or self.answered_by == "fax"


class Recorded(msgspec.Struct, frozen=True):
    """Twilio has a recording ready, or says that there is nothing to be had."""

    carrier_call_id: str
    call_id: CallId
    recording_id: str
    status: str  # completed or absent; others are not final
    duration_s: int
    channels: int


class HangUp(msgspec.Struct, frozen=True):
    """Nothing is left to do: end the call."""


class Attempt(msgspec.Struct, frozen=True):
    """One attempt to put the caller of a call through; `number` counts from 1."""

    call_id: CallId
    number: int


class Standing(StrEnum):
    """What has become of an attempt; the first word that is not `RINGING` stands."""

    RINGING = "ringing"
    TAKEN = "taken"  # a human has the caller
    MISSED = "missed"  # nobody has
    GONE = "gone"  # the caller hung up meanwhile


class Seat(msgspec.Struct, frozen=True):
    """A place in the conference of an attempt, taken at `since_ms` (Unix)."""

    attempt: Attempt
    since_ms: int

    @property
    def room(self) -> str:
        """Conference names are shared by the whole account, so ours are unique per attempt."""
        return f"transfer-{self.attempt.call_id}-{self.attempt.number}"


class Dial(msgspec.Struct, frozen=True):
    """Hand the caller over to a human."""

    number: str  # E.164; never logged
    attempt: Attempt


class Hold(msgspec.Struct, frozen=True):
    """Let the caller wait until a human comes into the conference, or they are fetched back."""

    seat: Seat


class Reconnect(msgspec.Struct, frozen=True):
    """Open another media stream for the call, which goes on."""

    call_id: CallId


AfterStream: TypeAlias = HangUp | Dial | Hold | Reconnect


class Dialled(msgspec.Struct, frozen=True):
    """How a `Dial` or a `Hold` went. `human_id` is the carrier's id of the human's leg, if told."""

    answered: bool
    human_id: str = ""
    duration_s: int = -1  # of that leg; -1 where Twilio did not say


class CallLine(Protocol):
    """One live call, as the edge feeds it."""

    def feed(self, event: Event) -> None:
        """Take one event; synchronous, never blocks. After the end events are ignored."""

    @property
    def released(self) -> asyncio.Event:
        """Set once the call has no more use for this stream: it is over, or goes to a human.

        The edge then closes the stream and Twilio goes on. Read it once, when the stream opens.
        """


class Desk(Protocol):
    """Takes calls. Nothing here blocks the event loop; what is `async` may wait."""

    async def admit(self, ringing: Ringing) -> CallId:
        """Take a new call, or raise `Refused` (404 nobody answers it, 403 blocked, 503 full).

        The edge asks one at a time per `carrier_call_id` and remembers the answer. It gives
        up, by cancelling, after `webhook.ADMIT_LIMIT_S`.
        """

    def connect(self, call_id: CallId, line: PhoneLine) -> CallLine:
        """The caller's media stream is open; raises `Refused` when the call is gone.

        The edge feeds `MediaStarted` next, and exactly one `MediaStopped` at the end unless
        the stream was released before.
        """

    def status_changed(self, change: StatusChange) -> None:
        """Twilio reports on a call, perhaps one this process never saw."""

    def machine_detected(self, verdict: MachineVerdict) -> None:
        """Who answered a call that we placed."""

    def recorded(self, recorded: Recorded) -> None:
        """A recording of a call is ready, or failed."""

    async def after_stream(self, carrier_call_id: str) -> AfterStream:
        """What comes after the media stream. May be asked twice; must bound its reconnects."""

    async def after_dial(self, attempt: Attempt, dialled: Dialled) -> AfterStream:
        """What comes after a `Dial` or `Hold`; an unanswered caller hung up on hears why."""

    async def whisper(self, attempt: Attempt) -> str:
        """What a human who was rung is told; "" when it is too late."""

    async def accept(self, attempt: Attempt) -> Seat | None:
        """The human takes the call: their seat beside the caller, None when it is too late."""

    async def human_moved(self, attempt: Attempt, change: StatusChange) -> None:
        """Twilio reports on the leg of a human who was rung."""

    def left(self, seat: Seat, carrier_call_id: str) -> None:
        """The caller or the human has left the conference; may be told twice."""
