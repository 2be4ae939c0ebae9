"""How the providers are reached, and with which keys where a tenant has none of its own."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "VOICE_SERVER_"
READING = SettingsConfigDict(
    env_prefix=PREFIX,
    env_ignore_empty=True,
    frozen=True,
    extra="ignore",
    hide_input_in_errors=True,
)
_URL = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"


class Provider(StrEnum):
    """Whose services a call may use; the values are those of `user_api_keys.provider`."""

    ELEVENLABS = "elevenlabs"
    TWILIO = "twilio"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"
    GROK = "grok"
    SERPAPI = "serpapi"


class ProviderSettings(BaseSettings):
    """Addresses and the server's own keys of all providers, and what seals the tenants' keys."""

    model_config = READING

    twilio_account_sid: str = Field(
        "",
        validation_alias="TWILIO_ACCOUNT_SID",
        description="The account that sends SMS (variable TWILIO_ACCOUNT_SID); empty = no SMS.",
    )
    twilio_auth_token: SecretStr | None = Field(
        None,
        validation_alias="TWILIO_AUTH_TOKEN",
        description="Checks Twilio's signatures (variable TWILIO_AUTH_TOKEN).",
    )
    elevenlabs_api_key: SecretStr | None = Field(
        None,
        validation_alias="ELEVENLABS_API_KEY",
        description="The server's own key of ElevenLabs "
        "(variable ELEVENLABS_API_KEY); empty = local speech.",
    )
    openai_api_key: SecretStr | None = Field(
        None,
        validation_alias="OPENAI_API_KEY",
        description="The server's own key of OpenAI (variable OPENAI_API_KEY).",
    )
    anthropic_api_key: SecretStr | None = Field(
        None,
        validation_alias="ANTHROPIC_API_KEY",
        description="The server's own key of Anthropic (variable ANTHROPIC_API_KEY).",
    )
    google_api_key: SecretStr | None = Field(
        None,
        validation_alias="GEMINI_API_KEY",
        description="The server's own key of Google's Gemini (variable GEMINI_API_KEY).",
    )
    grok_api_key: SecretStr | None = Field(
        None,
        validation_alias="XAI_API_KEY",
        description="The server's own key of xAI's Grok (variable XAI_API_KEY).",
    )
    serpapi_api_key: SecretStr | None = Field(
        None,
        validation_alias="SERPAPI_API_KEY",
        description="The server's own key of SerpApi "
        "(variable SERPAPI_API_KEY); empty = no web search.",
    )
    twilio_api_url: str = Field(
        "https://api.twilio.com",
        pattern=_URL,
        description="Where Twilio's REST API is reached.",
    )
    elevenlabs_api_url: str = Field(
        "https://api.elevenlabs.io",
        pattern=_URL,
        description="Where ElevenLabs is reached; its region is chosen by this.",
    )
    openai_api_url: str = Field(
        "https://api.openai.com/v1", pattern=_URL, description="Where OpenAI is reached."
    )
    anthropic_api_url: str = Field(
        "https://api.anthropic.com",
        pattern=_URL,
        description="Where Anthropic is reached, without /v1.",
    )
    google_api_url: str = Field(
        "https://generativelanguage.googleapis.com/v1beta/openai",
        pattern=_URL,
        description="Where Gemini's OpenAI-compatible API is reached.",
    )
    grok_api_url: str = Field(
        "https://api.x.ai/v1", pattern=_URL, description="Where xAI is reached."
    )
    serpapi_api_url: str = Field(
        "https://serpapi.com", pattern=_URL, description="Where SerpApi is reached."
    )
    vault_keys: SecretStr | None = Field(
        None,
        description="What seals the tenants' keys: `id:base64,...` of 32 bytes each, newest first.",
    )

    @field_validator("vault_keys")
    @classmethod
    def _ring_is_readable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            # A server without a vault need not load the cryptography.
            from voice_server.vault.ring import KeyRing

            KeyRing.parse(value)
        return value

    def url_of(self, provider: Provider) -> str:
        """Where a provider is reached, without a slash at the end."""
        url: str = getattr(self, f"{provider}_api_url")
        return url.rstrip("/")

    def key_of(self, provider: Provider) -> SecretStr | None:
        """The server's own key; Twilio's is written "ACCOUNT_SID:AUTH_TOKEN"."""
        if provider is Provider.TWILIO:
            if not self.twilio_account_sid or self.twilio_auth_token is None:
                return None
            token = self.twilio_auth_token.get_secret_value()
            return SecretStr(f"{self.twilio_account_sid}:{token}")
        key: SecretStr | None = getattr(self, f"{provider}_api_key")
        return key
