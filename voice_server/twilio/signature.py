"""Decides whether a request really comes from Twilio."""

from __future__ import annotations

import logging
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import FormData
from starlette.types import Scope
from twilio.request_validator import RequestValidator

from voice_server.twilio.address import Address

_SIGNATURE: Final = b"x-twilio-signature"
_PROXY_TRACES: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip"})

log = logging.getLogger(__name__)


class Gate:
    """Checks `X-Twilio-Signature` over the URL that Twilio was given.

    Always HMAC-SHA1 with the account's auth token: a header that names another algorithm
    must not choose how we verify. With `insecure`, unsigned requests pass if they come
    straight from this machine; behind a proxy or a tunnel they do not.
    """

    __slots__ = ("_address", "_insecure", "_validator")

    def __init__(self, address: Address, auth_token: str | None, *, insecure: bool) -> None:
        self._address = address
        self._insecure = insecure
        self._validator = RequestValidator(auth_token) if auth_token else None
        if insecure:
            log.warning(
                "TWILIO SIGNATURE CHECKS ARE OFF for clients on this machine; "
                "unset VOICE_SERVER_INSECURE_WEBHOOKS before going live"
            )

    def admits_webhook(self, scope: Scope, path: str, body: FormData | str | None) -> bool:
        """Check a webhook: `body` is the form, the text of a JSON body, or None for a GET."""
        query = scope["query_string"].decode("latin-1")
        url = self._address.http(scope, path) + (f"?{query}" if query else "")
        if isinstance(body, str) and "bodySHA256" not in parse_qs(query):
            return self._waves_through(scope)  # nothing would bind this body to a signature
        return self._waves_through(scope) or self._signed(scope, url, body)

    def admits_socket(self, scope: Scope, path: str) -> bool:
        """Check a WebSocket handshake, which is signed over its wss URL and nothing else."""
        url = self._address.socket(scope, path)
        return (
            self._waves_through(scope)
            or self._signed(scope, url, None)
            # One field report has Twilio signing with a slash at the end.
            or self._signed(scope, url + "/", None)
        )

    def _signed(self, scope: Scope, url: str, body: FormData | str | None) -> bool:
        signature = _header(scope, _SIGNATURE)
        if signature is None or self._validator is None:
            return False
        return bool(self._validator.validate(url, body, signature))

    def _waves_through(self, scope: Scope) -> bool:
        return self._insecure and _is_from_this_machine(scope)


def _header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def _is_from_this_machine(scope: Scope) -> bool:
    if scope.get("client") is None or any(key in _PROXY_TRACES for key, _ in scope["headers"]):
        return False
    try:
        address = ip_address(scope["client"][0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
