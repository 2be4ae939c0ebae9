"""What an agent wants of its ears and voice, read from `ai_agents.voice_config`.

    {"voice_id": "...", "model_id": "...", "language": "en-US",
     "settings": {"stability": 0.5, "speed": 1.0},
     "stt": {"model_id": "...", "commit_strategy": "manual", "keyterms": ["..."]}}

A tenant wrote that JSON, and a call should not fail over it: what is wrong in it is left out
and named in a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

DEFAULT_VOICE = "JBFqnCBsd6RMkjVDRZzb"  # "George", of the public default voices
DEFAULT_VOICE_MODEL = "eleven_flash_v2_5"
DEFAULT_EARS_MODEL = "scribe_v2_realtime"

_MOST_KEYTERMS = 50
_LONGEST_KEYTERM = 20  # characters
_MOST_KEYTERM_WORDS = 5


class CommitStrategy(StrEnum):
    """Who decides where an utterance ends."""

    MANUAL = "manual"  # the call, by its own voice activity
    VAD = "vad"  # the service


class EarsConfig(msgspec.Struct, frozen=True):
    """How to listen. `language` is a bare ISO 639 code, "" = let the service find out."""

    model_id: str = DEFAULT_EARS_MODEL
    commit_strategy: CommitStrategy = CommitStrategy.MANUAL
    language: str = ""
    keyterms: tuple[str, ...] = ()
    vad_silence_s: float = 0.5  # 0.3 to 3; of the VAD strategy only


class VoiceSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """How to speak; None = as the voice was made. Ranges 0 to 1, `speed` 0.7 to 1.2."""

    stability: float | None = None
    similarity_boost: float | None = None
    style: float | None = None
    use_speaker_boost: bool | None = None
    speed: float | None = None


class VoiceConfig(msgspec.Struct, frozen=True):
    """Who speaks. `language` is a bare ISO 639 code, "" = what the text is written in."""

    voice_id: str = DEFAULT_VOICE
    model_id: str = DEFAULT_VOICE_MODEL
    settings: VoiceSettings = VoiceSettings()
    language: str = ""

    @property
    def is_dialogue(self) -> bool:
        """Whether the model speaks through the dialogue endpoint only."""
        return self.model_id.startswith(("eleven_v3", "eleven_v4"))


_RANGES = {
    "stability": (0.0, 1.0),
    "similarity_boost": (0.0, 1.0),
    "style": (0.0, 1.0),
    # The HTTP reference goes to 4.0, the WebSocket reference to 1.2: the narrower one is safe.
    "speed": (0.7, 1.2),
}


def bare_language(tag: str) -> str:
    """The language of a BCP 47 tag ("en-US" -> "en"): a region is refused by the service."""
    language = tag.replace("_", "-").split("-")[0].strip().lower()
    return language if 2 <= len(language) <= 3 and language.isalpha() else ""


def parse_voice(voice_config: str) -> tuple[VoiceConfig, tuple[str, ...]]:
    """The voice, and warnings that name what was left out; empty text is all defaults."""
    reader = _Reader(voice_config)
    given = reader.known(
        {"voice_id", "model_id", "language", "settings", "stt", "provider", "voice"}
    )
    settings = given.get("settings")
    language = reader.language(given)
    voice = VoiceConfig(
        voice_id=reader.text(given, "voice_id") or DEFAULT_VOICE,
        model_id=reader.text(given, "model_id") or DEFAULT_VOICE_MODEL,
        settings=_settings(reader, settings if settings is not None else {}),
        language=language,
    )
    return voice, tuple(reader.warnings)


def parse_ears(voice_config: str) -> tuple[EarsConfig, tuple[str, ...]]:
    """How to listen, and warnings that name what was left out."""
    reader = _Reader(voice_config)
    language = reader.language(reader.given)
    reader.enter("stt")
    given = reader.known({"model_id", "commit_strategy", "keyterms", "vad_silence_s", "language"})
    strategy = reader.text(given, "commit_strategy") or CommitStrategy.MANUAL.value
    if strategy not in tuple(CommitStrategy):
        reader.warn("commit_strategy", 'not "manual" or "vad"')
        strategy = CommitStrategy.MANUAL.value
    ears = EarsConfig(
        model_id=reader.text(given, "model_id") or DEFAULT_EARS_MODEL,
        commit_strategy=CommitStrategy(strategy),
        language=reader.language(given) or language,
        keyterms=_keyterms(reader, given.get("keyterms", [])),
        vad_silence_s=reader.number(given, "vad_silence_s", 0.3, 3.0) or 0.5,
    )
    return ears, tuple(reader.warnings)


def _settings(reader: _Reader, given: object) -> VoiceSettings:
    if not isinstance(given, dict):
        reader.warn("settings", "not an object")
        return VoiceSettings()
    reader.enter("settings")
    reader.known(set(VoiceSettings.__struct_fields__))
    boost = given.get("use_speaker_boost")
    if boost is not None and not isinstance(boost, bool):
        reader.warn("use_speaker_boost", "not true or false")
        boost = None
    numbers = {name: reader.number(given, name, *bounds) for name, bounds in _RANGES.items()}
    return VoiceSettings(use_speaker_boost=boost, **numbers)


def _keyterms(reader: _Reader, given: object) -> tuple[str, ...]:
    if not isinstance(given, list):
        reader.warn("keyterms", "not a list")
        return ()
    fitting = [
        term
        for term in given
        if isinstance(term, str)
        and 0 < len(term.strip()) <= _LONGEST_KEYTERM
        and len(term.split()) <= _MOST_KEYTERM_WORDS
    ]
    if len(fitting) < len(given) or len(fitting) > _MOST_KEYTERMS:
        reader.warn("keyterms", f"at most {_MOST_KEYTERMS} of {_LONGEST_KEYTERM} characters")
    return tuple(fitting[:_MOST_KEYTERMS])


class _Reader:
    """Reads one JSON object leniently and collects what was wrong."""

    def __init__(self, text: str) -> None:
        self.warnings: list[str] = []
        self._path = "voice_config"
        self.given: Mapping[str, Any] = {}
        try:
            given = msgspec.json.decode(text or "{}")
        except msgspec.DecodeError:
            self.warnings.append("voice_config: not JSON; the defaults are used")
            return
        if isinstance(given, dict):
            self.given = given
        elif given is not None:
            self.warnings.append("voice_config: not an object; the defaults are used")

    def warn(self, field: str, problem: str) -> None:
        self.warnings.append(f"{self._path}.{field}: {problem}; left out")

    def enter(self, field: str) -> None:
        """Go on inside an object of this one."""
        inner = self.given.get(field, {})
        if not isinstance(inner, dict):
            self.warn(field, "not an object")
            inner = {}
        self.given, self._path = inner, f"{self._path}.{field}"

    def known(self, names: set[str]) -> Mapping[str, Any]:
        for name in sorted(self.given.keys() - names):
            self.warn(name if name.isidentifier() else "(a field)", "unknown")
        return self.given

    def text(self, given: Mapping[str, Any], name: str) -> str:
        value = given.get(name, "")
        if isinstance(value, str):
            return value.strip()
        if value is not None:
            self.warn(name, "not a text")
        return ""

    def language(self, given: Mapping[str, Any]) -> str:
        tag = self.text(given, "language")
        language = bare_language(tag)
        if tag and not language:
            self.warn("language", "not a language code like en")
        return language

    def number(
        self, given: Mapping[str, Any], name: str, least: float, most: float
    ) -> float | None:
        value = given.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.warn(name, "not a number")
            return None
        if not least <= value <= most:
            self.warn(name, f"not within {least} to {most}, the nearest is taken")
        return min(most, max(least, float(value)))
