"""The one place where a vendor's exception becomes one of ours.

Both SDKs shape their exceptions alike: `status_code`, `type`, `code`, `body`. Messages carry
none of the vendor's text but short identifiers: it may quote keys, prompts and callers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from voice_server.errors import KeyRefused, ServiceError, ServiceRejected, ServiceUnavailable

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_.]{0,59}")
_QUOTA = frozenset(
    {
        "insufficient_quota",
        "billing_error",
        "billing_hard_limit_reached",
        "enforced_spend_limit_reached",
        "organization_on_hold",
    }
)
_PASSING = frozenset(  # what may be better in a moment, whatever the status says
    {"overloaded_error", "api_error", "server_error", "timeout_error", "rate_limit_error"}
)
_BAD_KEY = re.compile(r"api[ _]key not valid|invalid api key|incorrect api key", re.I)
_PARAMETER = re.compile(r"^['\"]?(\w+)")


@contextmanager
def vendor_errors(service: str, kinds: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn `kinds`, and answers that are no JSON, into `ServiceError`s of this service."""
    try:
        yield
    except kinds as error:
        raise as_service_error(service, error) from None
    except ValueError:
        raise ServiceUnavailable(service, "garbled answer") from None


def as_service_error(service: str, error: Exception) -> ServiceError:
    """What a vendor's exception means for a call."""
    status = getattr(error, "status_code", None)
    causes = _causes(error)
    label = f"HTTP {status}" if isinstance(status, int) else type(error).__name__
    shown = ", ".join([label, *sorted(causes)])
    if causes & _QUOTA or status == 402:
        return ServiceRejected(service, f"{shown}: the account is used up; add credit")
    if status in (401, 403) or _BAD_KEY.search(str(error)):
        return KeyRefused(service, f"{shown}: the key is refused; check and replace it")
    if not isinstance(status, int) or status in (200, 408, 409, 429) or status >= 500:
        return ServiceUnavailable(service, shown)
    if causes & _PASSING:
        return ServiceUnavailable(service, shown)
    return ServiceRejected(service, f"{shown}: the request is refused; check the model's name")


def is_refusal(error: Exception) -> bool:
    """The provider answered with an error status instead of an answer."""
    status = getattr(error, "status_code", None)
    return isinstance(status, int) and status != 200  # 200: the answer had begun


def refused_parameter(error: Exception, optional: frozenset[str]) -> str:
    """The optional parameter that a request was refused for, "" if it was for something else."""
    if getattr(error, "status_code", None) not in (400, 422):
        return ""
    named = str(getattr(error, "param", None) or "").split(".")[0]
    if named in optional:
        return named
    body = getattr(error, "body", None)
    inner = body.get("error") if isinstance(body, dict) else None
    text = str(inner.get("message", "")) if isinstance(inner, dict) else str(error)
    found = _PARAMETER.match(text)
    if found and found.group(1) in optional:
        return found.group(1)
    return next((name for name in sorted(optional) if f"'{name}'" in text), "")


def _causes(error: Exception) -> set[str]:
    """The short identifiers a vendor gives for a failure."""
    named = {getattr(error, field, None) for field in ("type", "code", "error_code")}
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        inner = body.get("error")
        holder = inner if isinstance(inner, dict) else body
        named |= {holder.get("type"), holder.get("code")}
    return {str(name) for name in named if name and _IDENTIFIER.fullmatch(str(name))} - {
        "error",
        "none",
    }
