"""The URLs Twilio knows us by, from configuration and never from a Host header."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.types import Scope

from voice_server.errors import ConfigurationError
from voice_server.twilio.desk import Attempt, Seat

VOICE_PATH: Final = "/twilio/voice"
AFTER_PATH: Final = "/twilio/after"
STATUS_PATH: Final = "/twilio/status"
MEDIA_PATH: Final = "/twilio/media"
AMD_PATH: Final = "/twilio/amd"
RECORDING_PATH: Final = "/twilio/recording"
HUMAN_PATH: Final = "/twilio/human"  # who is rung for a caller
HUMAN_STATUS_PATH: Final = "/twilio/human-status"
BACK_PATH: Final = "/twilio/back"  # a caller whom nobody took

# Of a webhook's query:
CALL_FIELD: Final = "call"  # our own id of the call
ATTEMPT_FIELD: Final = "attempt"  # which attempt to put its caller through
SINCE_FIELD: Final = "since"  # when whoever it is about took their seat, Unix ms

_DEFAULT_PORTS: Final = {"https": ":443", "http": ":80"}


def of_attempt(url: str, attempt: Attempt) -> str:
    """The URL of a webhook, for news of an attempt."""
    query = {CALL_FIELD: attempt.call_id, ATTEMPT_FIELD: attempt.number}
    return f"{url}?{urlencode(query)}"


def of_seat(url: str, seat: Seat) -> str:
    """The URL of a webhook, for who leaves a seat."""
    return f"{of_attempt(url, seat.attempt)}&{urlencode({SINCE_FIELD: seat.since_ms})}"


class Address:
    """Builds absolute URLs for paths of ours.

    Without a public URL (development) the address is the socket the request came in on.
    """

    __slots__ = ("_base",)

    def __init__(self, public_url: str) -> None:
        self._base = _checked(public_url) if public_url else ""

    def http(self, scope: Scope, path: str) -> str:
        """The http(s) URL of a path."""
        return (self._base or _listening(scope)) + path

    def socket(self, scope: Scope, path: str) -> str:
        """The ws(s) URL of a path, written as it appears in the TwiML."""
        return "ws" + self.http(scope, path).removeprefix("http")


def _checked(public_url: str) -> str:
    parts = urlsplit(public_url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(
            "VOICE_SERVER_PUBLIC_URL: must look like https://voice.example.com, "
            "without a query; set it to the URL that Twilio was given"
        )
    # Twilio leaves the default port out of the URL it signs, and its own library adds
    # :80 to wss URLs, so a written-out :443 would never verify.
    host = parts.netloc.removesuffix(_DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def _listening(scope: Scope) -> str:
    host, port = scope["server"]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
