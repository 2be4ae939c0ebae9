"""What a simulated phone can get wrong on purpose."""

from __future__ import annotations

import msgspec

from voice_server.testing.webhook import Signing


class Faults(msgspec.Struct, frozen=True):
    """Faults of one call; the default has none. Times in seconds of the media stream."""

    webhook_signing: Signing = Signing.CORRECT
    media_signing: Signing = Signing.CORRECT
    status_signing: Signing = Signing.CORRECT
    drop_at_s: float | None = None  # the socket dies (1006) without `stop`
    drop_ends_call: bool = True  # else the carrier goes on with the TwiML after <Connect>
    raw_messages: tuple[tuple[float, str | bytes], ...] = ()  # sent as they are, at a time
    parameters: dict[str, str] | None = None  # instead of those of the TwiML (a stolen token)
    stream_call_sid: str = ""  # the CallSid that `start` and `stop` claim
    skip_start: bool = False  # media without a `start`
    skip_stop: bool = False  # a hang-up closes the socket without `stop`


class StatusCallbacks(msgspec.Struct, frozen=True):
    """Where the carrier reports the progress of a call, and how unreliably."""

    url: str
    events: tuple[str, ...] = ("completed",)  # of initiated, ringing, answered, completed
    delay_s: float = 0.0  # each callback comes so late
    copies: int = 1
    reversed: bool = False  # all of them after the end, the last one first


class DialResult(msgspec.Struct, frozen=True):
    """How a `<Dial>` goes: `completed`, `busy`, `no-answer`, `failed`, `canceled`.

    `duration_s` is also how long the host of a conference stays in it.
    """

    status: str = "completed"
    duration_s: float = 1.0


class Pickup(msgspec.Struct, frozen=True):
    """How the phone that a server calls reacts."""

    status: str = "answered"  # or busy, no-answer, failed
    after_s: float = 2.0  # of ringing
    answered_by: str = "human"  # the verdict of answering-machine detection
    verdict_after_s: float = 1.5  # from the answer
    presses: str = ""  # the key, when one is asked for
