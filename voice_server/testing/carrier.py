"""The carrier's side of a media stream: what it queues, plays, returns and drops.

Pure: the instant of each step is an argument. Instants are counted in samples since the
stream began (8000 a second), so that audio, marks and time never need rounding.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from voice_server.testing.wav import SAMPLE_RATE, SILENCE

Samples: TypeAlias = int

UNDECODABLE = 31950  # Twilio's warning for a binary frame
INVALID = 31951  # Twilio's warning for any other message it cannot use

_QUEUE_LIMIT = 3_600 * SAMPLE_RATE  # Twilio documents none; an hour ahead is a broken server
_MARK_LIMIT = 10_000


class CarrierBuffer:
    """Plays queued mu-law strictly in order at 8000 samples a second.

    The played track *is* the queue: audio is laid down at the instant at which it will sound,
    and `clear` cuts off what has not sounded yet. Instants must not go backwards.
    """

    __slots__ = ("_marks", "_segments", "_track", "clears", "dropped", "sent")

    def __init__(self) -> None:
        self._track = bytearray()
        self._segments: list[tuple[Samples, Samples]] = []
        self._marks: deque[tuple[Samples, str]] = deque()
        self.sent = 0  # samples
        self.dropped = 0  # samples cleared, cut off by the end, or beyond the queue's limit
        self.clears: list[Samples] = []

    def play(self, mulaw: bytes, at: Samples) -> None:
        """Queue audio of any length behind what is queued already."""
        begin = max(at, len(self._track))
        fits = mulaw[: max(0, at + _QUEUE_LIMIT - begin)]
        self.sent += len(mulaw)
        self.dropped += len(mulaw) - len(fits)
        if not fits:
            return
        self._track += SILENCE * (begin - len(self._track)) + fits
        if self._segments and self._segments[-1][1] == begin:
            begin = self._segments.pop()[0]
        self._segments.append((begin, len(self._track)))

    def mark(self, name: str, at: Samples) -> bool:
        """Queue a mark behind the audio; False when 10,000 wait already and it is lost."""
        if len(self._marks) >= _MARK_LIMIT:
            return False
        self._marks.append((max(at, len(self._track)), name))
        return True

    def clear(self, at: Samples) -> None:
        """Drop what has not sounded. Every waiting mark becomes due at once."""
        self.clears.append(at)
        self._cut(at)
        self._marks = deque((min(due, at), name) for due, name in self._marks)

    def stop(self, at: Samples) -> None:
        """The stream is over: nothing sounds from here on, and no mark is returned."""
        self._cut(at)
        self._marks.clear()

    def _cut(self, at: Samples) -> None:
        self.dropped += max(0, len(self._track) - at)
        del self._track[at:]
        while self._segments and self._segments[-1][1] > at:
            begin, _ = self._segments.pop()
            if begin < at:
                self._segments.append((begin, at))

    @property
    def next_mark(self) -> Samples | None:
        """When the next mark is due; None when none waits."""
        return self._marks[0][0] if self._marks else None

    def take_marks(self, at: Samples) -> list[str]:
        """The marks that are due, in the order in which they were set; each only once."""
        due = []
        while self._marks and self._marks[0][0] <= at:
            due.append(self._marks.popleft()[1])
        return due

    def heard(self, begin: Samples, end: Samples) -> bytes:
        """What sounds from `begin` to `end`, silence included."""
        return bytes(self._track[begin:end]).ljust(end - begin, SILENCE)

    def is_silent(self, at: Samples) -> bool:
        """Whether nothing is queued or playing."""
        return len(self._track) <= at

    @property
    def segments(self) -> tuple[tuple[Samples, Samples], ...]:
        """Begin and end of each stretch of played audio, those still queued included."""
        return tuple(self._segments)


class MediaPeer:
    """Takes the server's media-stream messages as Twilio does: never an error, only warnings.

    A message that cannot be used is dropped and counted; Twilio warns of it once per stream
    (31950, 31951) and says nothing to the server.
    """

    __slots__ = ("_stream_sid", "buffer", "problems", "received")

    def __init__(self, stream_sid: str) -> None:
        self._stream_sid = stream_sid
        self.buffer = CarrierBuffer()
        self.problems: Counter[tuple[int, str]] = Counter()  # (code, what was wrong)
        self.received = 0

    def receive(self, message: str | bytes, at: Samples) -> None:
        """Obey one WebSocket message that arrived at an instant."""
        self.received += 1
        if isinstance(message, bytes):
            self.problems[UNDECODABLE, "binary frame"] += 1
        elif (complaint := self._obey(message, at)) is not None:
            self.problems[INVALID, complaint] += 1

    def _obey(self, message: str, at: Samples) -> str | None:
        try:
            content = msgspec.json.decode(message)
        except msgspec.DecodeError:
            return "not JSON"
        if not isinstance(content, dict):
            return "not an object"
        if content.get("streamSid") != self._stream_sid:
            return "wrong streamSid" if "streamSid" in content else "no streamSid"
        match content.get("event"):
            case "media":
                return self._play(_part(content, "media"), at)
            case "mark":
                return self._mark(_part(content, "mark"), at)
            case "clear":
                self.buffer.clear(at)
                return None
        return "unknown event"

    def _play(self, media: Mapping[str, Any], at: Samples) -> str | None:
        payload = media.get("payload")
        if not isinstance(payload, str):
            return "media without payload"
        try:
            mulaw = base64.b64decode(payload, validate=True)
        except (binascii.Error, ValueError):
            return "payload is not base64"
        self.buffer.play(mulaw, at)
        return None

    def _mark(self, mark: Mapping[str, Any], at: Samples) -> str | None:
        name = mark.get("name")
        if not isinstance(name, str):
            return "mark without name"
        return None if self.buffer.mark(name, at) else "too many marks"


def _part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    return part if isinstance(part, dict) else {}
