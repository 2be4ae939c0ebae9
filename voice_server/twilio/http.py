"""Requests to Twilio's REST API: one place for deadlines and for what errors mean."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import httpx
import msgspec

from voice_server.errors import ServiceRejected, ServiceUnavailable
from voice_server.limits import Limits

_SERVICE: Final = "twilio"
_TOO_MANY: Final = 429
LIMITS: Final = Limits(first_byte_s=10.0, between_s=10.0, total_s=15.0)
_CONNECTIONS: Final = 20
# Trouble before the request was on the wire: it cannot have been carried out.
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

T = TypeVar("T")
Fields = Sequence[tuple[str, str]]

log = logging.getLogger(__name__)


class TwilioUnavailable(ServiceUnavailable):
    """Worth another try, unless `sent`: then the request may have been carried out."""

    def __init__(self, message: str, *, sent: bool, code: int = 0) -> None:
        super().__init__(_SERVICE, message)
        self.sent = sent
        self.code = code


class TwilioRejected(ServiceRejected):
    """Twilio refused and did nothing; `code` is its error code, 0 where it gave none."""

    def __init__(self, message: str, *, status: int, code: int) -> None:
        super().__init__(_SERVICE, message)
        self.status = status
        self.code = code


class _Problem(msgspec.Struct):
    code: int = 0


class TwilioHttp:
    """One account's connections. `close` it in the end.

    Never repeats a request: one that timed out may have been carried out. Errors name Twilio's
    code and nothing of the request.
    """

    def __init__(
        self, account_sid: str, auth_token: str, base_url: str, *, limits: Limits = LIMITS
    ) -> None:
        self.account_sid = account_sid
        self._limits = limits
        self._account = f"/2010-04-01/Accounts/{account_sid}"
        timeout = httpx.Timeout(limits.between_s, read=limits.first_byte_s)
        self._http = httpx.AsyncClient(
            base_url=base_url,
            auth=(account_sid, auth_token),
            timeout=timeout,
            # Loading the certificate store takes 150 ms, so only where TLS is spoken.
            verify=base_url.startswith("https:"),
            limits=httpx.Limits(max_connections=_CONNECTIONS),
        )

    async def get(self, resource: str, shape: type[T], query: Fields = ()) -> T:
        """Read a resource of the account; "" is the account itself. Raises `ServiceError`."""
        return _decoded(await self._send("GET", resource, query=query), shape)

    async def post(self, resource: str, shape: type[T], form: Fields) -> T:
        """Create or change a resource. Raises `ServiceError`."""
        return _decoded(await self._send("POST", resource, form=form), shape)

    async def delete(self, resource: str) -> None:
        """Remove a resource. Raises `ServiceError`."""
        await self._send("DELETE", resource)

    @asynccontextmanager
    async def download(self, resource: str) -> AsyncGenerator[httpx.Response, None]:
        """The open answer to a GET of something large; read it with `aiter_bytes`."""
        request = self._http.build_request("GET", self._path(resource, ""))
        try:
            response = await self._http.send(request, stream=True, follow_redirects=True)
            try:
                if not response.is_success:
                    await response.aread()
                    raise _refusal(response)
                yield response
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise TwilioUnavailable(type(error).__name__, sent=False) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _path(self, resource: str, suffix: str = ".json") -> str:
        return f"{self._account}{f'/{resource}' if resource else ''}{suffix}"

    async def _send(
        self, method: str, resource: str, *, query: Fields = (), form: Fields = ()
    ) -> bytes:
        body: dict[str, list[str]] = {}
        for name, value in form:
            body.setdefault(name, []).append(value)
        try:
            async with asyncio.timeout(self._limits.total_s):
                response = await self._http.request(
                    method, self._path(resource), params=list(query) or None, data=body or None
                )
        except _UNSENT as error:
            raise TwilioUnavailable(type(error).__name__, sent=False) from None
        except httpx.HTTPError as error:
            raise TwilioUnavailable(type(error).__name__, sent=True) from None
        except TimeoutError:
            problem = f"no complete answer within {self._limits.total_s:g} s"
            raise TwilioUnavailable(problem, sent=True) from None
        if not response.is_success:
            raise _refusal(response)
        return response.content


def _refusal(response: httpx.Response) -> TwilioUnavailable | TwilioRejected:
    status = response.status_code
    try:
        code = msgspec.json.decode(response.content, type=_Problem).code
    except msgspec.MsgspecError:
        code = 0
    text = f"HTTP {status}, error {code} (see twilio.com/docs/errors/{code})"
    if status == _TOO_MANY:  # turned away at the door, before anything was done
        return TwilioUnavailable(text, sent=False, code=code)
    if response.is_server_error:
        return TwilioUnavailable(text, sent=True, code=code)
    return TwilioRejected(text, status=status, code=code)


def _decoded(content: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=shape)
    except msgspec.MsgspecError:
        log.error("an answer of twilio could not be read", extra={"expected": shape.__name__})
        raise TwilioUnavailable("an answer that could not be read", sent=True) from None
