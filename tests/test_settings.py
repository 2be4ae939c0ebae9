"""Settings: read once, all problems at once, secrets nowhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from voice_server.errors import ConfigurationError
from voice_server.settings import Settings, Storage, load, load_storage

TOKEN = "0123456789abcdef-secret"
URL = "postgresql://user:hunter2@db.example.com/calls"
PRODUCTION = {"TWILIO_AUTH_TOKEN": TOKEN, "VOICE_SERVER_PUBLIC_URL": "https://voice.example.com"}
DEVELOPMENT = {"VOICE_SERVER_INSECURE_WEBHOOKS": "1"}


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of a process in which nothing is set."""
    others = {field.validation_alias for field in Settings.model_fields.values()}
    for name in os.environ:
        if name.startswith("VOICE_SERVER_") or name in others:
            monkeypatch.delenv(name)
    return monkeypatch


def given(environ: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        environ.setenv(name, value)


def problems(variables: dict[str, str], environ: pytest.MonkeyPatch) -> list[str]:
    """The variables named in the error, in order."""
    given(environ, variables)
    with pytest.raises(ConfigurationError) as error:
        load()
    first, *lines = str(error.value).splitlines()
    assert first == "These settings need attention:"
    return [line.split(":")[0].strip() for line in lines]


def test_production_needs_a_token_and_the_public_url(environ):
    given(environ, PRODUCTION)
    settings = load()
    assert settings.twilio_auth_token is not None
    assert settings.twilio_auth_token.get_secret_value() == TOKEN
    assert settings.public_url == "https://voice.example.com"
    assert not settings.insecure_webhooks
    assert settings.host == "127.0.0.1"


def test_development_needs_a_word_of_its_own(environ):
    given(environ, DEVELOPMENT)
    assert load().insecure_webhooks


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_unsigned_webhooks_are_fine_on_loopback(environ, host):
    given(environ, DEVELOPMENT | {"VOICE_SERVER_HOST": host})
    assert load().host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "voice.example.com", "127.0.0.2"])
def test_unsigned_webhooks_are_refused_elsewhere(environ, host):
    assert problems(DEVELOPMENT | {"VOICE_SERVER_HOST": host}, environ) == [
        "VOICE_SERVER_INSECURE_WEBHOOKS"
    ]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, {"TWILIO_AUTH_TOKEN", "VOICE_SERVER_PUBLIC_URL"}),
        ({"TWILIO_AUTH_TOKEN": TOKEN}, {"VOICE_SERVER_PUBLIC_URL"}),
        (PRODUCTION | {"TWILIO_AUTH_TOKEN": ""}, {"TWILIO_AUTH_TOKEN"}),
        (PRODUCTION | {"VOICE_SERVER_PORT": "abc"}, {"VOICE_SERVER_PORT"}),
        (PRODUCTION | {"VOICE_SERVER_PORT": "70000"}, {"VOICE_SERVER_PORT"}),
        (PRODUCTION | {"VOICE_SERVER_MAX_CALLS": "0"}, {"VOICE_SERVER_MAX_CALLS"}),
        (PRODUCTION | {"VOICE_SERVER_LOG_LEVEL": "loud"}, {"VOICE_SERVER_LOG_LEVEL"}),
        (PRODUCTION | {"VOICE_SERVER_HUMAN_NUMBER": "555-1234"}, {"VOICE_SERVER_HUMAN_NUMBER"}),
        (PRODUCTION | {"VOICE_SERVER_JOURNAL": "perhaps"}, {"VOICE_SERVER_JOURNAL"}),
        (
            {"VOICE_SERVER_PORT": "abc", "VOICE_SERVER_DRAIN_S": "-1", "TWILIO_AUTH_TOKEN": TOKEN},
            {"VOICE_SERVER_PORT", "VOICE_SERVER_DRAIN_S", "VOICE_SERVER_PUBLIC_URL"},
        ),
        (
            DEVELOPMENT | {"VOICE_SERVER_HOST": "0.0.0.0", "VOICE_SERVER_TOKEN_TTL_S": "soon"},
            {"VOICE_SERVER_INSECURE_WEBHOOKS", "VOICE_SERVER_TOKEN_TTL_S"},
        ),
    ],
)
def test_all_problems_are_listed_at_once_by_their_variable(environ, variables, named):
    found = problems(variables, environ)
    assert set(found) == named
    assert len(found) == len(named)


def test_what_a_caller_of_load_gives_goes_before_the_environment(environ):
    given(environ, PRODUCTION | {"VOICE_SERVER_PORT": "1", "VOICE_SERVER_HOST": "0.0.0.0"})
    settings = load({"port": 2, "DATABASE_URL": URL})
    assert (settings.port, settings.host) == (2, "0.0.0.0")
    assert settings.database_url is not None


@pytest.mark.parametrize("overrides", [{"port": -1}, {"DATABASE_URL": 5}, {"max_calls": "x"}])
def test_wrong_values_given_by_a_caller_are_named_too(environ, overrides):
    given(environ, PRODUCTION)
    with pytest.raises(ConfigurationError, match=r"PORT|DATABASE_URL|MAX_CALLS"):
        load(overrides)


def test_an_empty_variable_is_a_variable_not_set(environ):
    given(environ, PRODUCTION | {"DATABASE_URL": "", "VOICE_SERVER_PORT": ""})
    settings = load()
    assert settings.database_url is None
    assert settings.port == 8080


def test_secrets_are_in_no_text(environ):
    given(environ, PRODUCTION | {"DATABASE_URL": URL})
    settings = load()
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert TOKEN not in text
        assert "hunter2" not in text


def test_an_error_repeats_no_value(environ):
    wrong = PRODUCTION | {
        "DATABASE_URL": URL,
        "VOICE_SERVER_PORT": "my-password",
        "VOICE_SERVER_HUMAN_NUMBER": "+1202555x",
    }
    given(environ, wrong)
    with pytest.raises(ConfigurationError) as error:
        load()
    text = f"{error.value!r} {error.value}"
    for secret in (TOKEN, "hunter2", "my-password", "+1202555x"):
        assert secret not in text
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_settings_cannot_be_changed_afterwards(environ):
    given(environ, PRODUCTION)
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_says_what_it_is_for(name):
    field = Settings.model_fields[name]
    assert field.description
    assert field.description.endswith(".")
    if field.validation_alias is not None:
        by_its_name = field.validation_alias == name.upper()
        assert by_its_name or str(field.validation_alias) in field.description


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_has_a_default(name):
    assert not Settings.model_fields[name].is_required()


def test_what_is_kept_lies_in_the_users_state(environ, tmp_path):
    environ.setenv("XDG_STATE_HOME", str(tmp_path))
    assert load_storage().data_dir == tmp_path / "voice-server"
    environ.delenv("XDG_STATE_HOME")
    environ.setenv("HOME", str(tmp_path))
    assert load_storage().data_dir == tmp_path / ".local" / "state" / "voice-server"
    environ.setenv("VOICE_SERVER_DATA_DIR", "/var/lib/voice")
    assert load_storage().data_dir == Path("/var/lib/voice")


def test_the_database_commands_need_no_settings_of_the_telephone(environ):
    assert load_storage().database_pool == 8
    assert set(Storage.model_fields) < set(Settings.model_fields)


def test_wrong_settings_of_the_storage_are_named(environ):
    environ.setenv("VOICE_SERVER_DATABASE_POOL", "0")
    environ.setenv("VOICE_SERVER_DATABASE_STATEMENT_CACHE", "-1")
    with pytest.raises(ConfigurationError) as error:
        load_storage()
    names = re.findall(r"^  (\w+):", str(error.value), re.MULTILINE)
    assert names == ["VOICE_SERVER_DATABASE_POOL", "VOICE_SERVER_DATABASE_STATEMENT_CACHE"]
