"""What a call is driven with: its collaborators and the log that notes all it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.ports import (
    Guardian,
    LanguageModel,
    Phrases,
    RiskScorer,
    SpeechToText,
    StateMirror,
    TextToSpeech,
    Toolbox,
    VoiceActivity,
)


class Services(msgspec.Struct, frozen=True):
    """The collaborators of a call, chosen for it beforehand."""

    speech_to_text: SpeechToText
    voice_activity: VoiceActivity
    language_model: LanguageModel
    text_to_speech: TextToSpeech
    phrases: Phrases
    risk: RiskScorer
    toolbox: Toolbox
    guardian: Guardian
    mirror: StateMirror


class CallLog(Protocol):
    """Takes note of everything that happens to a call; `JournalWriter` is one."""

    @property
    def name(self) -> str:
        """Where the log can be found, "" if nowhere."""

    def append(self, now: int, event: e.Event, commands: Sequence[c.Command]) -> None: ...

    def close(self) -> None: ...
