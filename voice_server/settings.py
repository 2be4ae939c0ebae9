"""Settings, read from the environment once, checked all at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings

from voice_server.errors import ConfigurationError
from voice_server.provider_settings import PREFIX as PREFIX
from voice_server.provider_settings import READING, ProviderSettings

_Part = TypeVar("_Part", bound=BaseSettings)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _state_home() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


class Storage(BaseSettings):
    """Where things are kept: all that the database commands need."""

    model_config = READING

    data_dir: Path = Field(
        default_factory=lambda: _state_home() / "voice-server",
        description="Journals, spill files and the embedded database.",
    )
    database_url: SecretStr | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="Postgres to use (variable DATABASE_URL); empty = the embedded one.",
    )
    database_pool: int = Field(8, ge=1, le=100, description="Connections to Postgres.")
    database_statement_cache: int | None = Field(
        None,
        ge=0,
        description="Prepared statements per connection; default 0 on port 6543, else 256.",
    )


class Settings(Storage, ProviderSettings):
    """One server's settings. Every field is a variable `VOICE_SERVER_<NAME>`."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 = any free one.")
    public_url: str = Field(
        "", description="The URL Twilio reaches us at, e.g. https://voice.example.com."
    )
    models_dir: Path | None = Field(
        None, description="Where the third-party weights lie; default: the user's cache."
    )
    insecure_webhooks: bool = Field(
        False, description="Accept unsigned webhooks; development only, loopback only."
    )
    max_calls: int = Field(200, ge=1, description="Live calls one process accepts.")
    token_ttl_s: int = Field(60, ge=1, description="Life of a media stream token.")
    drain_s: int = Field(30, ge=0, description="Grace for live calls at shutdown.")
    journal: bool = Field(True, description="Write a journal of every call.")
    journal_media: bool = Field(True, description="Keep the audio in the journals.")
    inference_threads: int = Field(2, ge=1, le=64, description="Threads for local engines.")
    human_number: str = Field(
        "",
        pattern=r"^(\+[1-9][0-9]{6,14})?$",
        description="E.164 number that takes calls handed over.",
    )
    firebase_database_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#@]+/?(\?ns=[\w-]+)?)?$",
        description="Realtime Database that shows live calls; empty = none.",
    )
    firebase_credentials: Path | None = Field(
        None, description="Key file of the service account that writes live calls to Firebase."
    )
    firebase_writes_per_s: float = Field(
        4.0, ge=0.2, le=20, description="Most writes a second for one live call."
    )
    jwt_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Supabase's JWT secret, to admit tenants' web clients; empty = none.",
    )
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Log level.")

    @model_validator(mode="after")
    def _webhooks_are_signed(self) -> Settings:
        problems = []
        if self.insecure_webhooks and self.host not in _LOOPBACK:
            problems.append(
                "VOICE_SERVER_INSECURE_WEBHOOKS: only on loopback; "
                "set VOICE_SERVER_HOST=127.0.0.1 or configure TWILIO_AUTH_TOKEN"
            )
        if not self.insecure_webhooks and not self.twilio_auth_token:
            problems.append(
                "TWILIO_AUTH_TOKEN: missing, so no webhook could be trusted; "
                "set it, or VOICE_SERVER_INSECURE_WEBHOOKS=1 for development"
            )
        if not self.insecure_webhooks and not self.public_url:
            problems.append(
                "VOICE_SERVER_PUBLIC_URL: missing; signatures are made over the URL "
                "that Twilio was given, e.g. https://voice.example.com"
            )
        if self.firebase_database_url.startswith("https://") and not self.firebase_credentials:
            problems.append(
                "VOICE_SERVER_FIREBASE_CREDENTIALS: missing; a database at https:// needs the "
                "key file of a service account"
            )
        if problems:
            raise ValueError("\n  ".join(problems))
        return self


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read and check the settings; raises ConfigurationError that lists every problem."""
    given = dict(overrides or {})
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = _explain(error)
        ill = {str(item["loc"][0]) for item in error.errors(include_input=False) if item["loc"]}
    # Rules between settings are checked only where every single one is well: ask again without.
    try:
        Settings(**given | {name: _default(name) for name in ill})
    except ValidationError as error:
        wrong += "\n" + _explain(error) if ill else ""
    raise ConfigurationError(f"These settings need attention:\n{wrong}")


def load_storage() -> Storage:
    """Read where things are kept, for commands that take no calls; raises as `load` does."""
    return _load_part(Storage)


def load_providers() -> ProviderSettings:
    """Read how providers are reached, for commands that take no calls; raises as `load` does."""
    return _load_part(ProviderSettings)


def _load_part(part: type[_Part]) -> _Part:
    try:
        return part(**dict[str, Any]())
    except ValidationError as error:
        raise ConfigurationError(f"These settings need attention:\n{_explain(error)}") from None


def _default(name: str) -> Any:
    """The default of a setting, by its field name or its variable."""
    fields = Settings.model_fields
    found = next(f for n, f in fields.items() if name in (n, f.validation_alias))
    return found.get_default(call_default_factory=True)


def _explain(error: ValidationError) -> str:
    problems = []
    for item in error.errors(include_input=False, include_url=False):
        field = str(item["loc"][0]) if item["loc"] else ""
        name = field if field.isupper() else f"{PREFIX}{field.upper()}" if field else ""
        message = str(item["msg"]).removeprefix("Value error, ")
        problems.append(f"  {name}: {message}" if name else f"  {message}")
    return "\n".join(problems)
