"""The Media Streams wire: Twilio's JSON text frames to events of ours, and back.

Nothing a peer sends raises out of here; what cannot be used is named by a `Problem`.
"""

from __future__ import annotations

from binascii import b2a_base64
from enum import StrEnum
from typing import Annotated, Final, TypeAlias

import msgspec

from voice_server.call.events import (
    AudioHeard,
    DigitPressed,
    MarkPlayed,
    MediaStopped,
    StopCause,
)
from voice_server.call.voice_activity import loudness

MAX_MESSAGE: Final = 65_536  # characters; Twilio's longest, a `start`, stays far below
_MAX_AUDIO: Final = 8_000  # bytes: one second, where Twilio sends 20 ms
_DIGITS: Final = frozenset("0123456789*#ABCD")

# Twilio writes numbers as strings. A call lasts a day at most; this is eleven.
_Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class Problem(StrEnum):
    """What can be wrong with a message; each is counted under its name."""

    NOT_TEXT = "not_text"
    OVERSIZE = "oversize"
    NOT_JSON = "not_json"
    UNKNOWN_EVENT = "unknown_event"
    BAD_FIELD = "bad_field"  # missing, or of the wrong type
    BAD_AUDIO = "bad_audio"  # not base64, empty, or too long
    BAD_DIGIT = "bad_digit"
    WRONG_STREAM = "wrong_stream"
    WRONG_TRACK = "wrong_track"
    WRONG_ORDER = "wrong_order"


class Connected(msgspec.Struct, frozen=True, tag_field="event", tag="connected"):
    """The peer speaks the protocol; carries nothing we need."""


class MediaFormat(msgspec.Struct, frozen=True, rename="camel"):
    """How the audio is coded."""

    encoding: str
    sample_rate: int
    channels: int = 1


class StartDetails(msgspec.Struct, frozen=True, rename="camel"):
    """Which call this stream belongs to."""

    call_sid: str
    media_format: MediaFormat
    custom_parameters: dict[str, str] = {}


class Start(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="start"):
    """The stream begins. Every later message repeats its `streamSid`."""

    stream_sid: str
    start: StartDetails

    @property
    def is_mulaw(self) -> bool:
        """Whether the audio is what phones send: mu-law, 8 kHz, mono."""
        coded = self.start.media_format
        return (coded.encoding, coded.sample_rate, coded.channels) == ("audio/x-mulaw", 8000, 1)


class MediaDetails(msgspec.Struct, frozen=True, gc=False):
    """One frame of audio; msgspec undoes the base64."""

    payload: bytes
    timestamp: _Milliseconds
    track: str = "inbound"


class Media(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="event", tag="media"):
    """Audio of the caller."""

    stream_sid: str
    media: MediaDetails


class DtmfDetails(msgspec.Struct, frozen=True):
    """One key. Its track is called `inbound_track`, unlike that of media."""

    digit: str
    track: str = "inbound_track"


class Dtmf(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="dtmf"):
    """The caller pressed a key."""

    stream_sid: str
    dtmf: DtmfDetails


class MarkDetails(msgspec.Struct, frozen=True):
    """The name we gave the mark."""

    name: str


class Mark(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="mark"):
    """A mark of ours came back."""

    stream_sid: str
    mark: MarkDetails


class Stop(msgspec.Struct, frozen=True, rename="camel", tag_field="event", tag="stop"):
    """The caller hung up, or the call was taken elsewhere."""

    stream_sid: str


Message: TypeAlias = Media | Mark | Dtmf | Connected | Start | Stop


class _Envelope(msgspec.Struct, frozen=True):
    event: str = ""


class _MediaShape(msgspec.Struct, frozen=True):
    payload: str
    timestamp: _Milliseconds
    track: str = "inbound"


class _MediaMessage(msgspec.Struct, frozen=True):
    media: _MediaShape
    streamSid: str


_EVENTS: Final = frozenset({"connected", "start", "media", "dtmf", "mark", "stop"})
# strict=False lets "160" pass for 160.
_decoder: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message, strict=False)
_envelopes: Final = msgspec.json.Decoder(_Envelope)
_media_shapes: Final = msgspec.json.Decoder(_MediaMessage, strict=False)


def decode(text: str | None) -> Message | Problem:
    """Decode one text frame; None stands for a binary one."""
    if text is None:
        return Problem.NOT_TEXT
    if len(text) > MAX_MESSAGE:
        return Problem.OVERSIZE
    try:
        return _decoder.decode(text)
    except (ValueError, RecursionError):  # every msgspec error is a ValueError
        return _diagnose(text)


def _diagnose(text: str) -> Problem:
    try:
        event = _envelopes.decode(text).event
    except msgspec.ValidationError:
        return Problem.BAD_FIELD
    except (ValueError, RecursionError):
        return Problem.NOT_JSON
    if event not in _EVENTS:
        return Problem.UNKNOWN_EVENT
    if event == "media" and _is_whole_but_for_audio(text):
        return Problem.BAD_AUDIO
    return Problem.BAD_FIELD


def _is_whole_but_for_audio(text: str) -> bool:
    try:
        _media_shapes.decode(text)
    except ValueError:
        return False
    return True


def hear(
    text: str | None, stream_sid: str
) -> AudioHeard | MarkPlayed | DigitPressed | MediaStopped | Problem:
    """Turn one frame of the started stream `stream_sid` into an event."""
    message = decode(text)
    if type(message) is Media:  # nearly always
        return _audio(message.media) if message.stream_sid == stream_sid else Problem.WRONG_STREAM
    if isinstance(message, Problem):
        return message
    if isinstance(message, Connected | Start):
        return Problem.WRONG_ORDER  # one of each opens a stream, and that has happened
    if message.stream_sid != stream_sid:
        return Problem.WRONG_STREAM
    if isinstance(message, Mark):
        return MarkPlayed(message.mark.name)
    if isinstance(message, Dtmf):
        return _digit(message.dtmf)
    return MediaStopped(StopCause.CALLER_HUNG_UP)


def _audio(media: MediaDetails) -> AudioHeard | Problem:
    if media.track != "inbound":
        return Problem.WRONG_TRACK
    mulaw = media.payload
    if not 0 < len(mulaw) <= _MAX_AUDIO:
        return Problem.BAD_AUDIO
    return AudioHeard(mulaw, loudness(mulaw), media.timestamp)


def _digit(dtmf: DtmfDetails) -> DigitPressed | Problem:
    if dtmf.track not in {"inbound_track", "inbound"}:
        return Problem.WRONG_TRACK
    return DigitPressed(dtmf.digit) if dtmf.digit in _DIGITS else Problem.BAD_DIGIT


class FrameWriter:
    """Writes the frames of one stream; the unchanging text around the audio is made once."""

    __slots__ = ("_mark", "_media", "clear")

    def __init__(self, stream_sid: str) -> None:
        sid = msgspec.json.encode(stream_sid).decode()
        self._media = f'{{"event":"media","streamSid":{sid},"media":{{"payload":"'
        self._mark = f'{{"event":"mark","streamSid":{sid},"mark":{{"name":'
        self.clear = f'{{"event":"clear","streamSid":{sid}}}'

    def media(self, mulaw: bytes) -> str:
        """Audio for the caller, raw 8 kHz mu-law without any header."""
        return self._media + b2a_base64(mulaw, newline=False).decode("ascii") + '"}}'

    def mark(self, name: str) -> str:
        """A mark that comes back when all before it has been played."""
        return self._mark + msgspec.json.encode(name).decode() + "}}"
