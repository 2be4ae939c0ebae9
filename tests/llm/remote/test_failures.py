"""What vendors' exceptions mean for a call."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import openai
import pytest

from voice_server.errors import KeyRefused, ServiceRejected, ServiceUnavailable
from voice_server.llm.remote.failures import (
    as_service_error,
    is_refusal,
    refused_parameter,
    vendor_errors,
)

SECRET = "sk-1234 said the caller"


def status(kind: Any, code: int, body: Any) -> Exception:
    request = httpx2.Request("POST", "http://127.0.0.1/x")
    made: Exception = kind(SECRET, response=httpx2.Response(code, request=request), body=body)
    return made


def openai_error(number: int, **inner: object) -> Exception:
    return status(openai.APIStatusError, number, {"message": SECRET, **inner})


def anthropic_error(code: int, kind: str) -> Exception:
    body = {"type": "error", "error": {"type": kind, "message": SECRET}}
    return status(anthropic.APIStatusError, code, body)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (openai_error(401, code="invalid_api_key"), KeyRefused),
        (openai_error(403), KeyRefused),
        (openai_error(404, code="model_not_found"), ServiceRejected),
        (openai_error(400), ServiceRejected),
        (openai_error(422), ServiceRejected),
        (openai_error(429, code="rate_limit_exceeded"), ServiceUnavailable),
        (openai_error(429, code="insufficient_quota"), ServiceRejected),
        (openai_error(408), ServiceUnavailable),
        (openai_error(409), ServiceUnavailable),
        (openai_error(500), ServiceUnavailable),
        (openai_error(503), ServiceUnavailable),
        (anthropic_error(529, "overloaded_error"), ServiceUnavailable),
        (anthropic_error(200, "overloaded_error"), ServiceUnavailable),
        (anthropic_error(402, "billing_error"), ServiceRejected),
        (anthropic_error(200, "billing_error"), ServiceRejected),
        (anthropic_error(429, "rate_limit_error"), ServiceUnavailable),
        (anthropic_error(429, "enforced_spend_limit_reached"), ServiceRejected),
        (anthropic_error(400, "invalid_request_error"), ServiceRejected),
    ],
)
def test_status_and_type_decide_and_no_text_is_passed_on(error, kind):
    told = as_service_error("provider", error)
    assert type(told) is kind
    assert SECRET not in str(told)
    assert "caller" not in str(told)
    assert str(told).startswith("provider: ")


def test_google_says_400_for_a_wrong_key():
    error = status(openai.APIStatusError, 400, {"message": "API key not valid. Please"})
    error.message = "API key not valid"  # type: ignore[attr-defined]
    error.args = ("API key not valid",)
    assert "key is refused" in str(as_service_error("google", error))


def test_the_network_failing_is_an_outage():
    request = httpx2.Request("POST", "http://127.0.0.1/x")
    for error in (openai.APIConnectionError(request=request), openai.APITimeoutError(request)):
        told = as_service_error("openai", error)
        assert told.retryable
        assert type(error).__name__ in str(told)


def test_vendor_errors_and_garbage_are_mapped_and_bugs_are_not():
    def raise_in(error: Exception) -> None:
        with vendor_errors("openai", (openai.OpenAIError,)):
            raise error

    with pytest.raises(ServiceRejected):
        raise_in(openai_error(401))
    with pytest.raises(ServiceUnavailable, match="garbled"):
        raise_in(ValueError(SECRET))
    with pytest.raises(KeyError):
        raise_in(KeyError("a bug"))


def test_a_refusal_is_an_error_status_instead_of_an_answer():
    assert is_refusal(openai_error(500))
    assert not is_refusal(anthropic_error(200, "overloaded_error"))
    request = httpx2.Request("POST", "http://127.0.0.1/x")
    assert not is_refusal(openai.APIConnectionError(request=request))


OPTIONAL = frozenset({"temperature", "thinking"})


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (openai_error(400, param="temperature"), "temperature"),
        (openai_error(400, param="model"), ""),
        (openai_error(500, param="temperature"), ""),
        (
            status(
                anthropic.APIStatusError,
                400,
                {"type": "error", "error": {"message": "thinking.type: cannot be disabled"}},
            ),
            "thinking",
        ),
        (
            status(
                openai.APIStatusError,
                400,
                {"error": {"message": "Unknown name 'temperature': cannot find field."}},
            ),
            "temperature",
        ),
        (anthropic_error(400, "invalid_request_error"), ""),
    ],
)
def test_the_parameter_a_request_was_refused_for(error, name):
    assert refused_parameter(error, OPTIONAL) == name
