"""The dialects of all providers, by the provider's name."""

from __future__ import annotations

from voice_server.llm.remote.anthropic_chat import MESSAGES
from voice_server.llm.remote.dialect import Dialect
from voice_server.llm.remote.openai_chat import compatible

DIALECTS: dict[str, Dialect] = {
    "anthropic": MESSAGES,
    "openai": compatible("openai"),
    "google": compatible("google"),
    "grok": compatible("grok"),
}
