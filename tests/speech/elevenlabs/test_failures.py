from __future__ import annotations

import httpx
import pytest
from pydantic import SecretStr
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from voice_server.errors import KeyRefused, ServiceRejected, ServiceUnavailable
from voice_server.speech.elevenlabs import Access, failures


@pytest.mark.parametrize(
    ("status", "body", "kind", "word"),
    [
        (400, b"", ServiceRejected, "refused"),
        (401, b'{"detail":{"status":"invalid_api_key","message":"m"}}', KeyRefused, "key"),
        (401, b"not json", KeyRefused, "key"),
        (403, b"", KeyRefused, "key"),
        (401, b'{"detail":{"status":"missing_permissions"}}', ServiceRejected, "permission"),
        (401, b'{"detail":{"status":"quota_exceeded","message":"m"}}', ServiceRejected, "quota"),
        (404, b'{"detail":{"status":"voice_not_found"}}', ServiceRejected, "voice_id"),
        (422, b'{"detail":[{"loc":["body"]}]}', ServiceRejected, "voice_config"),
        (402, b"not json", ServiceRejected, "quota"),
        (403, b'{"detail":{"status":"only_for_creator+"}}', ServiceRejected, "plan"),
        (408, b"", ServiceUnavailable, "408"),
        (429, b'{"detail":{"status":"system_busy"}}', ServiceUnavailable, "429"),
        (500, b"", ServiceUnavailable, "500"),
    ],
)
def test_an_http_answer_becomes_an_error_that_says_what_to_do(status, body, kind, word):
    error = failures.of_status(status, body)
    assert type(error) is kind
    assert word in str(error)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (1008, "quota_exceeded", ServiceRejected),
        (1008, "something else", ServiceUnavailable),
        (1011, "", ServiceUnavailable),
        (None, "", ServiceUnavailable),
    ],
)
def test_a_close_reason_may_name_what_is_wrong(code, reason, kind):
    error = failures.of_close(code, reason)
    assert type(error) is kind
    assert "something else" not in str(error)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ConnectionClosedError(None, None), ServiceUnavailable),
        (ConnectionClosedError(Close(1008, "invalid_api_key"), None), KeyRefused),
        (TimeoutError(), ServiceUnavailable),
        (ConnectionRefusedError(), ServiceUnavailable),
        (httpx.ReadError("sk-secret"), ServiceUnavailable),
        (httpx.RemoteProtocolError("sk-secret"), ServiceUnavailable),
    ],
)
def test_what_the_libraries_raise_is_mapped_without_its_text(raised, kind):
    with pytest.raises(kind) as error, failures.mapped():
        raise raised
    assert "sk-secret" not in str(error.value)
    assert error.value.__cause__ is None


def test_our_own_errors_and_bugs_pass_through():
    for error in (ServiceRejected("x", "y"), ZeroDivisionError()):
        with pytest.raises(type(error)), failures.mapped():
            raise error


def test_addresses_are_quoted_and_keep_the_path_of_the_region():
    access = Access(SecretStr("k"), "https://eu.example.com/base/")
    assert access.url("v1", "a b/c", query=[("q", "x y")]) == (
        "https://eu.example.com/base/v1/a%20b%2Fc?q=x%20y"
    )
    assert access.headers == {"xi-api-key": "k"}
    assert "SecretStr('k')" not in repr(access)
