"""Asks providers whether they accept a key, by their cheapest request; none of them costs."""

from __future__ import annotations

import asyncio
import re
from enum import StrEnum
from typing import Final, assert_never

import httpx
import msgspec
from pydantic import SecretStr

from voice_server.limits import Limits
from voice_server.provider_settings import Provider, ProviderSettings

LIMITS: Final = Limits(first_byte_s=5.0, between_s=5.0, total_s=10.0)

# Sent in a header: what is no printable ASCII would break or forge one.
_KEY: Final = re.compile(r"[!-~]{8,512}")
_TWILIO_KEY: Final = re.compile(r"AC[0-9a-fA-F]{32}:[!-9;-~]{8,128}")
_ANTHROPIC_VERSION: Final = "2026-10-21"  # as in the SDK 2.12.0, which sends a bearer token
_LARGEST_ANSWER: Final = 4 << 20  # a list of models is some 100 KB
_REFUSED: Final = frozenset({401, 403})
_TOO_MANY: Final = 429


class Finding(StrEnum):
    """What a provider said of a key."""

    ACCEPTED = "accepted"
    RESTRICTED = "restricted"  # accepted, without the right to what we asked
    EXHAUSTED = "exhausted"  # accepted, with no quota or credit left
    REFUSED = "refused"  # wrong, revoked, or its account is closed
    MALFORMED = "malformed"  # not of the provider's form; nobody was asked
    BROKEN = "broken"  # stored, but its seal does not open here; nobody was asked
    UNDECIDED = "undecided"  # not reached, too busy, or an answer without meaning

    @property
    def is_valid(self) -> bool | None:
        """The value for `is_valid`; None = leave it as it is."""
        if self in (Finding.BROKEN, Finding.UNDECIDED):
            return None
        return self in (Finding.ACCEPTED, Finding.RESTRICTED, Finding.EXHAUSTED)


class _Subscription(msgspec.Struct):
    character_count: int = 0
    character_limit: int = 0


class _Error(msgspec.Struct):
    message: str = ""


class _GoogleProblem(msgspec.Struct):
    error: _Error


class _TwilioAccount(msgspec.Struct):
    status: str = "active"


class _SerpAccount(msgspec.Struct):
    total_searches_left: int = 1


class _Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes


class _KeyInQuery(httpx.AsyncHTTPTransport):
    """Puts the key into the address on the wire only: the address of a request is logged."""

    def __init__(self, key: SecretStr, *, verify: bool) -> None:
        super().__init__(verify=verify)
        self._key = key

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_add_param("api_key", self._key.get_secret_value())
        sent = httpx.Request(
            request.method,
            url,
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await super().handle_async_request(sent)


def is_formed(provider: Provider, key: SecretStr) -> bool:
    """Whether a key could be one: printable, and for Twilio "ACCOUNT_SID:AUTH_TOKEN"."""
    form = _TWILIO_KEY if provider is Provider.TWILIO else _KEY
    return form.fullmatch(key.get_secret_value()) is not None


class KeyChecks:
    """Tries keys at the addresses of the settings. Raises nothing: trouble is UNDECIDED."""

    __slots__ = ("_limits", "_settings")

    def __init__(self, settings: ProviderSettings, *, limits: Limits = LIMITS) -> None:
        self._settings = settings
        self._limits = limits

    async def check(self, provider: Provider, key: SecretStr) -> Finding:
        """Ask the provider; takes at most `limits.total_s`."""
        if not is_formed(provider, key):
            return Finding.MALFORMED
        try:
            async with asyncio.timeout(self._limits.total_s), self._client(provider, key) as client:
                return await _ask(provider, client, key.get_secret_value())
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, msgspec.MsgspecError):
            return Finding.UNDECIDED

    def _client(self, provider: Provider, key: SecretStr) -> httpx.AsyncClient:
        url = self._settings.url_of(provider)
        # Loading the certificate store takes 150 ms, so only where TLS is spoken.
        secure = url.startswith("https:")
        in_query = provider is Provider.SERPAPI
        return httpx.AsyncClient(
            base_url=url,
            timeout=httpx.Timeout(self._limits.between_s, read=self._limits.first_byte_s),
            verify=secure,
            trust_env=secure,  # plain addresses are on this machine, where no proxy helps
            transport=_KeyInQuery(key, verify=secure) if in_query else None,
        )


async def _ask(provider: Provider, client: httpx.AsyncClient, key: str) -> Finding:
    match provider:
        case Provider.ELEVENLABS:
            return await _elevenlabs(client, {"xi-api-key": key})
        case Provider.OPENAI | Provider.GROK:
            return _models(await _get(client, "models", _bearer(key)))
        case Provider.GOOGLE:
            return _google(await _get(client, "models", _bearer(key)))
        case Provider.ANTHROPIC:
            headers = _bearer(key) | {"anthropic-version": _ANTHROPIC_VERSION}
            return _models(await _get(client, "v1/models?limit=1", headers))
        case Provider.TWILIO:
            return await _twilio(client, key)
        case Provider.SERPAPI:
            return await _serpapi(client)
        case _:
            assert_never(provider)


async def _elevenlabs(client: httpx.AsyncClient, headers: dict[str, str]) -> Finding:
    answer = await _get(client, "v1/user/subscription", headers)
    if answer.status in _REFUSED:
        # A key may be good for speech without the right to read the account.
        models = await _get(client, "v1/models", headers)
        return Finding.RESTRICTED if models.status == httpx.codes.OK else _models(models)
    if answer.status != httpx.codes.OK:
        return _models(answer)
    account = msgspec.json.decode(answer.body, type=_Subscription)
    used_up = 0 < account.character_limit <= account.character_count
    return Finding.EXHAUSTED if used_up else Finding.ACCEPTED


def _models(answer: _Answer) -> Finding:
    """What the status of a request to list models says."""
    match answer.status:
        case httpx.codes.OK:
            msgspec.json.decode(answer.body)  # a proxy's page of HTML is no answer
            return Finding.ACCEPTED
        case httpx.codes.UNAUTHORIZED:
            return Finding.REFUSED
        case httpx.codes.PAYMENT_REQUIRED:
            return Finding.EXHAUSTED
        case httpx.codes.FORBIDDEN:  # a key of OpenAI may be barred from the list of models
            return Finding.RESTRICTED
        case _:
            return Finding.UNDECIDED


def _google(answer: _Answer) -> Finding:
    """Google's word for a wrong key is 400 with this text, in an object or a list of one."""
    if answer.status == httpx.codes.FORBIDDEN:
        return Finding.REFUSED
    if answer.status != httpx.codes.BAD_REQUEST:
        return _models(answer)
    told = msgspec.json.decode(answer.body, type=_GoogleProblem | list[_GoogleProblem])
    problems = told if isinstance(told, list) else [told]
    wrong = any("api key" in problem.error.message.lower() for problem in problems)
    return Finding.REFUSED if wrong else Finding.UNDECIDED


async def _twilio(client: httpx.AsyncClient, key: str) -> Finding:
    sid, _, token = key.partition(":")
    answer = await _get(
        client, f"2010-04-01/Accounts/{sid}.json", {}, auth=httpx.BasicAuth(sid, token)
    )
    if answer.status in _REFUSED | {httpx.codes.NOT_FOUND}:
        return Finding.REFUSED
    if answer.status != httpx.codes.OK:
        return Finding.UNDECIDED
    status = msgspec.json.decode(answer.body, type=_TwilioAccount).status
    return Finding.ACCEPTED if status == "active" else Finding.REFUSED


async def _serpapi(client: httpx.AsyncClient) -> Finding:
    answer = await _get(client, "account.json", {})
    if answer.status in _REFUSED:
        return Finding.REFUSED
    if answer.status != httpx.codes.OK:
        return Finding.UNDECIDED
    left = msgspec.json.decode(answer.body, type=_SerpAccount).total_searches_left
    return Finding.ACCEPTED if left > 0 else Finding.EXHAUSTED


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def _get(
    client: httpx.AsyncClient,
    path: str,
    headers: dict[str, str],
    *,
    auth: httpx.BasicAuth | None = None,
) -> _Answer:
    """One GET; an answer that never ends is cut, which makes it unreadable."""
    async with client.stream("GET", path, headers=headers, auth=auth) as response:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > _LARGEST_ANSWER:
                break
        return _Answer(response.status_code, bytes(body))
