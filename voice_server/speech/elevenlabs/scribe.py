"""The messages of the realtime recogniser (`/v1/speech-to-text/realtime`)."""

from __future__ import annotations

import base64
from collections import deque
from enum import Enum
from typing import TypeAlias

import msgspec

from voice_server.errors import ServiceUnavailable
from voice_server.speech.elevenlabs.config import CommitStrategy, EarsConfig
from voice_server.speech.elevenlabs.failures import SERVICE, of_id

PATH = ("v1", "speech-to-text", "realtime")

_AUDIO = (
    '{"message_type":"input_audio_chunk","audio_base_64":"%s","commit":false,"sample_rate":8000'
)
COMMIT = _AUDIO.replace("false", "true") % "" + "}"
KEEP_ALIVE = _AUDIO % "" + "}"

_PREVIOUS_CHARACTERS = 50  # more is refused


class Signal(Enum):
    """Messages that say nothing beyond themselves."""

    IGNORED = "ignored"
    NOT_HEARD = "not heard"  # the commit was refused; the session goes on


class Hypothesis(msgspec.Struct, frozen=True):
    """What seems to be said."""

    text: str


class Committed(msgspec.Struct, frozen=True):
    """What was said. `enriched` marks the copy with timestamps that may follow the plain one."""

    text: str
    enriched: bool


Heard: TypeAlias = Hypothesis | Committed | Signal


class _Message(msgspec.Struct):
    message_type: str
    text: str | None = None
    error: object = None


# The session goes on after these; every other error ends it.
_SOFT = frozenset({"commit_throttled", "insufficient_audio_activity"})
_decode = msgspec.json.Decoder(_Message).decode


def query(config: EarsConfig) -> list[tuple[str, str]]:
    """The parameters of a session."""
    fields = [
        ("model_id", config.model_id),
        ("audio_format", "ulaw_8000"),
        ("commit_strategy", config.commit_strategy.value),
    ]
    if config.commit_strategy is CommitStrategy.VAD:
        fields.append(("vad_silence_threshold_secs", f"{config.vad_silence_s:g}"))
    if config.language:
        fields.append(("language_code", config.language))
    return fields + [("keyterms", term) for term in config.keyterms]


def audio(mulaw: bytes) -> str:
    """A portion of audio."""
    return f"{_AUDIO % base64.b64encode(mulaw).decode()}}}"


def first_audio(mulaw: bytes, previous_text: str) -> str:
    """The first portion of a session that goes on where another one ended."""
    context = previous_text[-_PREVIOUS_CHARACTERS:]
    encoded = msgspec.json.encode(context).decode()
    return f'{_AUDIO % base64.b64encode(mulaw).decode()},"previous_text":{encoded}}}'


def parse(message: str | bytes) -> Heard:
    """Read one message; raises the `ServiceError` it stands for, and for garbage."""
    try:
        said = _decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ServiceUnavailable(SERVICE, "sent something that is no message") from None
    text = (said.text or "").strip()
    match said.message_type:
        case "partial_transcript":
            return Hypothesis(text)
        case "committed_transcript":
            return Committed(text, enriched=False)
        case "committed_transcript_with_timestamps":
            return Committed(text, enriched=True)
        case other if other in _SOFT:
            return Signal.NOT_HEARD
    if said.error is not None:
        raise of_id(said.message_type)
    return Signal.IGNORED


class Twins:
    """Tells the second copy of a commit from a new one.

    With timestamps or language detection on, every commit comes twice: plain, then enriched.
    The first copy counts, whichever it is.
    """

    __slots__ = ("_single",)

    def __init__(self) -> None:
        self._single: deque[tuple[str, bool]] = deque(maxlen=8)  # whose other copy is to come

    def is_second(self, committed: Committed) -> bool:
        """Whether this commit was seen before; to be asked once for each."""
        letters = "".join(filter(str.isalnum, committed.text.casefold()))
        if (twin := (letters, not committed.enriched)) in self._single:
            while self._single.popleft() != twin:
                pass
            return True
        self._single.append((letters, committed.enriched))
        return False
