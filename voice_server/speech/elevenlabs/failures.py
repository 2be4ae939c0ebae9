"""The one place where what ElevenLabs answers becomes an error of ours.

Their texts may quote what a caller said, so none of them is repeated: only ids of this table
and status numbers appear in a message.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from voice_server.errors import KeyRefused, ServiceError, ServiceRejected, ServiceUnavailable

SERVICE = "ElevenLabs"

_KEY = "the API key is refused; check ELEVENLABS_API_KEY or the tenant's key"
_FORBIDDEN = "the plan or the key does not allow this; check both in the ElevenLabs console"
_QUOTA = "the quota is used up; add credits to the ElevenLabs account"
_REQUEST = "the request is refused; check the agent's voice_config"

# Ids that no second attempt changes, with what to do. From the error page of the HTTP API and
# from the error messages of the realtime recogniser.
_REJECTIONS = {
    "auth_error": _KEY,
    "authentication_required": _KEY,
    "detected_unusual_activity": _KEY,
    "input_error": _REQUEST,
    "invalid_api_key": _KEY,
    "invalid_request": _REQUEST,
    "max_character_limit_exceeded": "the text is too long for the model",
    "missing_permissions": "the API key lacks a permission; allow it speech to text and to speech",
    "model_not_found": "the model does not exist; check model_id in the agent's voice_config",
    "needs_authorization": _KEY,
    "only_for_creator+": "the plan does not allow this; check voice_id and the ElevenLabs plan",
    "quota_exceeded": _QUOTA,
    "unaccepted_terms": "the terms of service wait to be accepted in the ElevenLabs console",
    "unsupported_model": "the model cannot do this; check model_id in the agent's voice_config",
    "voice_not_found": "the voice does not exist; check voice_id in the agent's voice_config",
}
_STATUS = {
    400: _REQUEST,
    401: _KEY,
    402: _QUOTA,
    403: _FORBIDDEN,
    404: "the voice or model does not exist; check the agent's voice_config",
    422: _REQUEST,
}


class _Detail(msgspec.Struct):
    status: str = ""


class _Body(msgspec.Struct):
    detail: _Detail


def of_id(error_id: str) -> ServiceError:
    """The error for an id of theirs; an unknown one may pass."""
    if advice := _REJECTIONS.get(error_id):
        return _rejection(advice, f"{advice} ({error_id})")
    return ServiceUnavailable(SERVICE, "reports trouble; it may pass")


def of_status(status: int, body: bytes = b"") -> ServiceError:
    """The error for an HTTP answer; their id, where the body names one, says more."""
    try:
        error_id = msgspec.json.decode(body, type=_Body).detail.status
    except msgspec.MsgspecError:
        error_id = ""
    if error_id in _REJECTIONS:
        return of_id(error_id)
    if advice := _STATUS.get(status):
        return _rejection(advice, f"{advice} (HTTP {status})")
    return ServiceUnavailable(SERVICE, f"answered HTTP {status}; it may pass")


def _rejection(advice: str, text: str) -> ServiceRejected:
    kind = KeyRefused if advice in (_KEY, _FORBIDDEN) else ServiceRejected
    return kind(SERVICE, text)


def of_close(code: int | None, reason: str) -> ServiceError:
    """The error for a socket closed by them; some of their ids come only as a close reason."""
    for error_id in _REJECTIONS:
        if error_id in reason:
            return of_id(error_id)
    return ServiceUnavailable(SERVICE, f"closed the connection (code {code})")


@contextmanager
def mapped() -> Iterator[None]:
    """Turn what `websockets` and `httpx` raise into our errors, without headers or texts."""
    try:
        yield
    except ConnectionClosed as closed:
        frame = closed.rcvd
        raise (of_close(frame.code, frame.reason) if frame else of_close(None, "")) from None
    except InvalidStatus as refused:
        answer = refused.response
        raise of_status(answer.status_code, bytes(answer.body or b"")) from None
    except TimeoutError:
        raise ServiceUnavailable(SERVICE, "does not answer in time") from None
    except (InvalidHandshake, OSError, httpx.HTTPError, EOFError) as error:
        raise ServiceUnavailable(SERVICE, f"unreachable ({type(error).__name__})") from None
