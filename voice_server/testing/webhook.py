"""Signs and sends HTTP requests the way the carrier does."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import TypeAlias
from urllib.parse import urldefrag, urlencode, urljoin, urlsplit, urlunsplit

import httpx
import msgspec

_REDIRECT_LIMIT = 10
_TIMEOUT_S = 15.0  # Twilio's limit for the whole answer
_USER_AGENT = "TwilioProxy/1.1"

Form: TypeAlias = Mapping[str, str]


class Signing(StrEnum):
    """How requests are signed; all but `CORRECT` are faults."""

    CORRECT = "correct"
    WRONG = "wrong"
    MISSING = "missing"


class Answer(msgspec.Struct, frozen=True):
    """What a webhook answered, and from which URL after redirects."""

    status: int
    content_type: str
    body: bytes
    url: str


class Route(msgspec.Struct, frozen=True):
    """Where public hosts really are: `{"voice.example.com": "127.0.0.1:8080"}`.

    URLs are signed as public; connections to a routed host go to its address in plain text.
    """

    addresses: dict[str, str] = {}

    @classmethod
    def to(cls, connect_to: str | Mapping[str, str] | Route, url: str) -> Route:
        """The route that leads the host of `url` to an address, or each host to its own."""
        if isinstance(connect_to, Route):
            return connect_to
        if isinstance(connect_to, str):
            return cls({urlsplit(url).netloc: connect_to} if connect_to else {})
        return cls(dict(connect_to))

    def address(self, url: str) -> str | None:
        """`host:port` that stands for the URL's host, None when it is not routed."""
        return self.addresses.get(urlsplit(url).netloc)

    def http(self, url: str) -> str:
        """The URL to really request."""
        address = self.address(url)
        parts = urlsplit(url)
        return urlunsplit(("http", address, parts.path or "/", parts.query, "")) if address else url


def sign(auth_token: str, url: str, form: Form) -> str:
    """X-Twilio-Signature: HMAC-SHA1 over the URL and the sorted form fields, Base64."""
    text = url + "".join(name + form[name] for name in sorted(form))
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def signature_header(
    auth_token: str, url: str, form: Form, signing: Signing, *, name: str = "X-Twilio-Signature"
) -> dict[str, str]:
    """The signature as a header, or as faulty as asked for."""
    if signing is Signing.MISSING:
        return {}
    token = auth_token if signing is Signing.CORRECT else auth_token + "-not"
    return {name: sign(token, url, form)}


class WebhookClient:
    """Sends signed requests; an async context manager. Cookies last for one call.

    `on_request` is told the URL of each, before it goes out.
    """

    def __init__(
        self,
        auth_token: str,
        route: Route,
        on_request: Callable[[str], None] = lambda _url: None,
    ) -> None:
        self._on_request = on_request
        self._auth_token = auth_token
        self._route = route
        self._clients: dict[bool, httpx.AsyncClient] = {}

    async def __aenter__(self) -> WebhookClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def send(
        self, url: str, form: Form, *, method: str = "POST", signing: Signing = Signing.CORRECT
    ) -> Answer:
        """Request a URL, following redirects. Raises httpx.HTTPError."""
        try:
            return await self._follow(url, form, method, signing)
        except (httpx.InvalidURL, ValueError):
            raise httpx.UnsupportedProtocol("11100: malformed URL") from None

    async def _follow(self, url: str, form: Form, method: str, signing: Signing) -> Answer:
        for _ in range(_REDIRECT_LIMIT + 1):
            url = urldefrag(url).url
            if method == "GET" and form:
                url += ("&" if urlsplit(url).query else "?") + urlencode(form)
            response = await self._request(method, url, form, signing)
            if not response.has_redirect_location:
                kind = response.headers.get("content-type", "")
                return Answer(response.status_code, kind, response.content, url)
            url = urljoin(url, response.headers["location"])
            if response.status_code not in (307, 308):
                method, form = "GET", {}
        raise httpx.TooManyRedirects(f"11215: more than {_REDIRECT_LIMIT} redirects")

    async def _request(self, method: str, url: str, form: Form, signing: Signing) -> httpx.Response:
        body = form if method == "POST" else {}
        headers = {
            "User-Agent": _USER_AGENT,
            "Accept": "*/*",
            **signature_header(self._auth_token, url, body, signing),
        }
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        if self._route.address(url):
            headers["Host"] = urlsplit(url).netloc
        target = self._route.http(url)
        self._on_request(url)
        return await self._client(target.startswith("https:")).request(
            method, target, content=urlencode(body) if method == "POST" else None, headers=headers
        )

    def _client(self, secure: bool) -> httpx.AsyncClient:
        if secure not in self._clients:
            # Loading the certificate store takes 150 ms, so only where TLS is spoken.
            self._clients[secure] = httpx.AsyncClient(
                verify=secure, trust_env=False, timeout=_TIMEOUT_S
            )
        return self._clients[secure]
