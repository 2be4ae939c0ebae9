"""ElevenLabs: realtime recognition and streaming speech, in mu-law from end to end."""

from voice_server.speech.elevenlabs.access import Access
from voice_server.speech.elevenlabs.config import (
    CommitStrategy,
    EarsConfig,
    VoiceConfig,
    VoiceSettings,
    parse_ears,
    parse_voice,
)
from voice_server.speech.elevenlabs.sockets import VoiceSockets
from voice_server.speech.elevenlabs.stt import ElevenLabsSpeechToText
from voice_server.speech.elevenlabs.tts import ElevenLabsTextToSpeech

__all__ = [
    "Access",
    "CommitStrategy",
    "EarsConfig",
    "ElevenLabsSpeechToText",
    "ElevenLabsTextToSpeech",
    "VoiceConfig",
    "VoiceSettings",
    "VoiceSockets",
    "parse_ears",
    "parse_voice",
]
