"""Master keys, tenants' keys and settings to test with; none is real."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import SecretStr

from voice_server.provider_settings import Provider, ProviderSettings
from voice_server.vault import KeyRing

SECRETS = {
    Provider.ELEVENLABS: "xi-ELEVEN-secret-0001",
    Provider.TWILIO: f"AC{'0f' * 16}:twilio-SECRET-token-01",
    Provider.OPENAI: "sk-OPENAI-secret-0001",
    Provider.ANTHROPIC: "sk-ant-SECRET-0001",
    Provider.GOOGLE: "AIza-GOOGLE-secret-01",
    Provider.GROK: "xai-GROK-secret-00001",
    Provider.SERPAPI: "5e4a-SERP-secret-0001",
}
_CLEAN: dict[str, Any] = {
    "TWILIO_ACCOUNT_SID": "",
    "TWILIO_AUTH_TOKEN": None,
    "ELEVENLABS_API_KEY": None,
    "OPENAI_API_KEY": None,
    "ANTHROPIC_API_KEY": None,
    "GEMINI_API_KEY": None,
    "XAI_API_KEY": None,
    "SERPAPI_API_KEY": None,
    "vault_keys": None,
}


def secret(provider: Provider) -> SecretStr:
    return SecretStr(SECRETS[provider])


def entry(name: str) -> str:
    """One entry of a ring; the same name gives the same key."""
    return f"{name}:{base64.b64encode(name.encode().ljust(32, b'.')[:32]).decode()}"


def ring(*names: str) -> KeyRing:
    return KeyRing.parse(SecretStr(",".join(map(entry, names))))


def settings(url: str = "http://127.0.0.1:9", **changes: Any) -> ProviderSettings:
    """Settings of which nothing comes from the machine; every provider is at `url`."""
    urls = {f"{provider.value}_api_url": url for provider in Provider}
    return ProviderSettings(**(_CLEAN | urls | changes))
