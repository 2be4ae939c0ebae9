"""The messages of the two multi-context voice sockets, in both of their spellings."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from voice_server.errors import ServiceError, ServiceUnavailable
from voice_server.speech.elevenlabs.config import VoiceConfig
from voice_server.speech.elevenlabs.failures import SERVICE, of_id

INACTIVITY_S = 180  # the longest the speech socket allows
CLOSE_SOCKET = '{"close_socket":true}'

Alignment: TypeAlias = Sequence[tuple[str, float]]  # characters, ms from the chunk's start to end


class Chunk(msgspec.Struct, frozen=True):
    """Audio of one context; `alignment` None = the service did not say what it says."""

    context: str
    mulaw: bytes
    alignment: Alignment | None


class Ended(msgspec.Struct, frozen=True):
    """A context is over."""

    context: str


class Broken(msgspec.Struct, frozen=True):
    """The socket is about to be closed."""

    error: ServiceError


class Aligned(msgspec.Struct):
    """All spellings: schema, documentation examples, dialogue, HTTP."""

    chars: list[str] | None = None
    charStartTimesMs: list[float] | None = None
    charsStartTimesMs: list[float] | None = None
    char_start_times_ms: list[float] | None = None
    charDurationsMs: list[float] | None = None
    charsDurationsMs: list[float] | None = None
    char_durations_ms: list[float] | None = None
    characters: list[str] | None = None
    character_end_times_seconds: list[float] | None = None

    def ends(self) -> Alignment | None:
        """Each character with its end in ms; times that do not fit the characters count as 0."""
        chars = self.chars or self.characters
        if not chars:
            return None
        if self.character_end_times_seconds is not None:
            times = [second * 1000 for second in self.character_end_times_seconds]
        else:
            starts = self.charStartTimesMs or self.charsStartTimesMs or self.char_start_times_ms
            lengths = self.charDurationsMs or self.charsDurationsMs or self.char_durations_ms
            times = [a + b for a, b in zip(starts or (), lengths or (), strict=False)]
        if len(times) != len(chars):
            times = [0.0] * len(chars)
        return list(zip(chars, times, strict=True))


class _Message(msgspec.Struct):
    audio: str | None = None
    audio_base64: str | None = None
    contextId: str | None = None
    context_id: str | None = None
    isFinal: bool | None = None
    is_final: bool | None = None
    alignment: Aligned | None = None
    error: str | None = None


_decode = msgspec.json.Decoder(_Message).decode


def parse(message: str | bytes) -> tuple[Chunk | Ended | Broken, ...]:
    """Read one message; raises `ServiceUnavailable` for garbage."""
    try:
        said = _decode(message)
        audio = said.audio or said.audio_base64
        mulaw = base64.b64decode(audio, validate=True) if audio else b""
    except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error):
        raise ServiceUnavailable(SERVICE, "sent something that is no message") from None
    if said.error is not None:
        return (Broken(of_id(said.error)),)
    context = said.contextId or said.context_id or ""
    told: list[Chunk | Ended | Broken] = []
    if mulaw:
        alignment = said.alignment.ends() if said.alignment is not None else None
        told.append(Chunk(context, mulaw, alignment))
    if said.isFinal or said.is_final:
        told.append(Ended(context))
    return tuple(told)


def _json(fields: dict[str, Any]) -> str:
    return msgspec.json.encode(fields).decode()


class Speech:
    """`/v1/text-to-speech/{voice}/multi-stream-input`: the voice is in the address."""

    idle_message: str | None = '{"text":""}'  # without a context, which it would spoil

    @staticmethod
    def path(voice: VoiceConfig) -> tuple[str, ...]:
        return "v1", "text-to-speech", voice.voice_id, "multi-stream-input"

    @staticmethod
    def query(voice: VoiceConfig) -> list[tuple[str, str]]:
        fields = [
            ("model_id", voice.model_id),
            ("output_format", "ulaw_8000"),
            ("auto_mode", "true"),  # pieces are clauses: speak each at once
            ("sync_alignment", "true"),
            ("inactivity_timeout", str(INACTIVITY_S)),
        ]
        if voice.language and voice.model_id.endswith("_v2_5"):  # the others refuse it
            fields.append(("language_code", voice.language))
        return fields

    @staticmethod
    def open(context: str, voice: VoiceConfig) -> str:
        """The settings are taken with the first message of a context only."""
        first: dict[str, Any] = {"text": " ", "context_id": context}
        if settings := msgspec.to_builtins(voice.settings):
            first["voice_settings"] = settings
        return _json(first)

    @staticmethod
    def say(context: str, text: str, voice: VoiceConfig) -> str:  # noqa: ARG004
        return _json({"text": text, "context_id": context})

    @staticmethod
    def keep_alive(context: str) -> str:
        return _json({"text": "", "context_id": context})


class Dialogue:
    """`/v1/text-to-dialogue/multi-stream-input`: the only way to the models v3 and v4."""

    idle_message: str | None = None  # a socket without a context cannot be kept alive

    @staticmethod
    def path(voice: VoiceConfig) -> tuple[str, ...]:  # noqa: ARG004
        return "v1", "text-to-dialogue", "multi-stream-input"

    @staticmethod
    def query(voice: VoiceConfig) -> list[tuple[str, str]]:
        fields = [
            ("model_id", voice.model_id),
            ("output_format", "ulaw_8000"),
            ("sync_alignment", "true"),
        ]
        return [*fields, ("language_code", voice.language)] if voice.language else fields

    @staticmethod
    def open(context: str, voice: VoiceConfig) -> str:
        first: dict[str, Any] = {"context_id": context, "voices": [voice.voice_id]}
        if voice.settings.stability is not None:  # the only setting that counts here
            first["voice_settings"] = {"stability": voice.settings.stability}
        return _json(first)

    @staticmethod
    def say(context: str, text: str, voice: VoiceConfig) -> str:
        line = {"text": text, "voice_id": voice.voice_id}
        return _json({"context_id": context, "inputs": [line], "flush": True})

    @staticmethod
    def keep_alive(context: str) -> str:
        return _json({"context_id": context, "keep_alive": True})


Dialect: TypeAlias = Speech | Dialogue


def dialect(voice: VoiceConfig) -> Dialect:
    """The language of the endpoint that a model speaks through."""
    return Dialogue() if voice.is_dialogue else Speech()


def flush(context: str) -> str:
    """Generate all text of a context."""
    return _json({"context_id": context, "flush": True})


def close(context: str) -> str:
    """End a context; what it was told to flush still comes."""
    return _json({"context_id": context, "close_context": True})
