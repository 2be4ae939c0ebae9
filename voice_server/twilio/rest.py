"""What we ask of Twilio over its REST API."""

from __future__ import annotations

from typing import TypeVar

import httpx
import msgspec

from voice_server.errors import ServiceRejected, ServiceUnavailable

_SERVICE = "twilio"
_TIMEOUT_S = 10.0
_TOO_MANY = 429

T = TypeVar("T", bound=msgspec.Struct)


class _Created(msgspec.Struct):
    sid: str = ""


class _Problem(msgspec.Struct):
    code: int = 0


class TwilioRest:
    """A client on one account. Plain asynchronous HTTP: the SDK's own async client ignores its
    timeout, and its sync one wants a thread per request. `close` it in the end.
    """

    def __init__(self, account_sid: str, auth_token: str, base_url: str) -> None:
        self._account = f"/2010-04-01/Accounts/{account_sid}"
        self._http = httpx.AsyncClient(
            base_url=base_url, auth=(account_sid, auth_token), timeout=_TIMEOUT_S
        )

    async def send_message(self, *, to: str, sender: str, body: str) -> str:
        """Send an SMS; returns its SID.

        Never repeats a request by itself: one that timed out may have been sent. Raises
        `ServiceUnavailable` and `ServiceRejected`; their text names Twilio's error code only.
        """
        return await self._create("Messages.json", {"To": to, "From": sender, "Body": body})

    async def _create(self, resource: str, form: dict[str, str]) -> str:
        try:
            response = await self._http.post(f"{self._account}/{resource}", data=form)
        except httpx.HTTPError as error:
            raise ServiceUnavailable(_SERVICE, type(error).__name__) from None
        if response.is_success:
            return _decoded(response.content, _Created()).sid
        code = _decoded(response.content, _Problem()).code
        text = f"HTTP {response.status_code}, error {code} (see twilio.com/docs/errors/{code})"
        if response.status_code == _TOO_MANY or response.is_server_error:
            raise ServiceUnavailable(_SERVICE, text)
        raise ServiceRejected(_SERVICE, text)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _decoded(content: bytes, fallback: T) -> T:
    try:
        return msgspec.json.decode(content, type=type(fallback))
    except msgspec.MsgspecError:
        return fallback
