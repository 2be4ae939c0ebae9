"""ElevenLabs Agents: ears, mind and voice of a call in one conversation at the service."""

from voice_server.hosted.bills import HostedBills
from voice_server.hosted.config import HostedConfig, Override, parse_hosted
from voice_server.hosted.conversation import HostedConversation, Opening
from voice_server.hosted.door import Door
from voice_server.hosted.ears import HostedEars
from voice_server.hosted.mind import HostedMind
from voice_server.hosted.voice import HostedVoice

__all__ = [
    "Door",
    "HostedBills",
    "HostedConfig",
    "HostedConversation",
    "HostedEars",
    "HostedMind",
    "HostedVoice",
    "Opening",
    "Override",
    "parse_hosted",
]
