"""Whether the remote services that are configured can be used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, assert_never
from urllib.parse import urlsplit

import httpx
import msgspec

from voice_server.doctor.check import Check, failed, ok, skipped, warning
from voice_server.doctor.database import MOST_NUMBERS, Number
from voice_server.doctor.machine import is_free
from voice_server.errors import ServiceError, ServiceRejected, VoiceServerError
from voice_server.limits import Limits
from voice_server.provider_settings import Provider, ProviderSettings
from voice_server.settings import Settings
from voice_server.twilio.rest import TwilioRest
from voice_server.vault import Finding, KeyChecks

LIMITS: Final = Limits(first_byte_s=5.0, between_s=5.0, total_s=10.0)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_AT_A_TIME: Final = 5  # lookups of numbers
_VARIABLES: Final[Mapping[Provider, str]] = {
    Provider.ELEVENLABS: "ELEVENLABS_API_KEY",
    Provider.TWILIO: "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN",
    Provider.OPENAI: "OPENAI_API_KEY",
    Provider.ANTHROPIC: "ANTHROPIC_API_KEY",
    Provider.GOOGLE: "GEMINI_API_KEY",
    Provider.GROK: "XAI_API_KEY",
    Provider.SERPAPI: "SERPAPI_API_KEY",
}


class Answer(msgspec.Struct, frozen=True):
    """What a GET told. `ahead_s`: how far our clock is ahead of the Date header, if any."""

    status: int
    text: str
    ahead_s: float | None


async def ask(url: str, limits: Limits = LIMITS) -> Answer | None:
    """GET without any credentials, the first KiB of the answer; None when there is none."""
    secure = url.startswith("https:")
    timeout = httpx.Timeout(limits.between_s, read=limits.first_byte_s)
    asked = time.time()
    try:
        async with (
            asyncio.timeout(limits.total_s),
            httpx.AsyncClient(timeout=timeout, verify=secure, trust_env=secure) as client,
            client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
        ):
            ahead = _ahead(response.headers.get("date", ""), asked, time.time())
            text = b""
            async for piece in response.aiter_raw(1024):
                text = piece
                break
            return Answer(response.status_code, text.decode("latin-1"), ahead)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError):
        return None


def _ahead(date: str, asked: float, answered: float) -> float | None:
    try:
        told = parsedate_to_datetime(date).timestamp() + 0.5  # written without its fraction
    except ValueError:
        return None
    return (asked + answered) / 2 - told


async def ahead_of_a_provider(settings: ProviderSettings) -> tuple[float, str] | None:
    """How far our clock is ahead of a configured provider's, the first that tells, and whose."""
    used = [one for one in Provider if settings.key_of(one) is not None]
    for told, one in zip(
        await asyncio.gather(*(ask(settings.url_of(one)) for one in used)), used, strict=True
    ):
        if told is not None and told.ahead_s is not None:
            return told.ahead_s, one.value
    return None


async def keys_checks(settings: ProviderSettings, limits: Limits = LIMITS) -> tuple[Check, ...]:
    """Each of the server's own keys, tried at its provider, all at once."""
    checks = KeyChecks(settings, limits=limits)
    return tuple(
        await asyncio.gather(*(_key_check(one, settings, checks, limits) for one in Provider))
    )


async def _key_check(
    provider: Provider, settings: ProviderSettings, checks: KeyChecks, limits: Limits
) -> Check:
    key = settings.key_of(provider)
    if key is None:
        return skipped(f"{provider} key", f"not configured: {_VARIABLES[provider]}")
    finding = await checks.check(provider, key)
    reached = True
    if finding is Finding.UNDECIDED:
        reached = await ask(settings.url_of(provider), limits) is not None
    return key_check(provider, finding, reached=reached)


def key_check(provider: Provider, finding: Finding, *, reached: bool) -> Check:
    """What a provider's answer means for the operator."""
    name, variable = f"{provider} key", _VARIABLES[provider]
    url = f"VOICE_SERVER_{provider.upper()}_API_URL"
    match finding:
        case Finding.ACCEPTED:
            return ok(name, "accepted")
        case Finding.RESTRICTED:
            return ok(name, "accepted; it may not do everything, which is fine for calls")
        case Finding.EXHAUSTED:
            return failed(
                name,
                "accepted, but its quota or credit is used up",
                f"add credit to the account, or set {variable} to a key of another one",
            )
        case Finding.REFUSED:
            fix = f"set {variable} to a key that is valid, and see that {url} is its region"
            return failed(name, "refused by the provider", fix)
        case Finding.MALFORMED | Finding.BROKEN:
            return failed(name, "not of the provider's form", f"set {variable} to the whole key")
        case Finding.UNDECIDED if reached:
            what = "the provider is too busy to tell, or its answer has no meaning"
            return warning(name, what, f"try again; if it stays, check {url}")
        case Finding.UNDECIDED:
            fix = f"check {url}, the network, its firewall and HTTPS_PROXY"
            return failed(name, "the provider cannot be reached", fix)
        case _:
            assert_never(finding)


async def numbers_checks(
    settings: Settings, numbers: tuple[Number, ...], limits: Limits = LIMITS
) -> tuple[Check, ...]:
    """Whether the calls of each number come to this server and somebody answers them."""
    token = settings.twilio_auth_token
    if not settings.twilio_account_sid or token is None or not settings.public_url:
        what = "need TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and VOICE_SERVER_PUBLIC_URL"
        return (skipped("twilio numbers", what),)
    if not numbers:
        return (skipped("twilio numbers", "none in phone_numbers"),)
    rest = TwilioRest(
        settings.twilio_account_sid,
        token.get_secret_value(),
        settings.twilio_api_url,
        limits=limits,
    )
    turn = asyncio.Semaphore(_AT_A_TIME)

    async def one(place: int, number: Number) -> Check:
        async with turn:
            try:
                return await _number_check(rest, settings.public_url, place, number)
            except ServiceError as error:
                return failed(f"twilio number {place}", str(error), _twilio_fix(error))

    try:
        await rest.account()  # what is wrong with the account is told once
        found = await asyncio.gather(*(one(at, each) for at, each in enumerate(numbers, start=1)))
    except ServiceError as error:
        return (failed("twilio numbers", str(error), _twilio_fix(error)),)
    finally:
        await rest.close()
    if len(numbers) < MOST_NUMBERS:
        return tuple(found)
    return (*found, skipped("twilio numbers", f"those after the first {MOST_NUMBERS}"))


def _twilio_fix(error: ServiceError) -> str:
    if isinstance(error, ServiceRejected):
        return "set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN to those of your account"
    return "try again; if it stays, check VOICE_SERVER_TWILIO_API_URL and the network"


async def _number_check(rest: TwilioRest, public_url: str, place: int, number: Number) -> Check:
    """A number is called by its place and agent: it is itself nothing to be shown."""
    from voice_server.twilio.address import STATUS_PATH, VOICE_PATH
    from voice_server.twilio.resources import leads_to

    name, base = f"twilio number {place}", public_url.rstrip("/")
    whose = f"agent {number.agent_id}" if number.agent_id else "no agent"
    listed = await rest.numbers(number.number)
    found = next((one for one in listed if one.phone_number == number.number), None)
    if found is None:
        fix = "set TWILIO_ACCOUNT_SID to its account, or delete its row of phone_numbers"
        return failed(name, f"({whose}) is not of the account of TWILIO_ACCOUNT_SID", fix)
    if not leads_to(found, voice_url=base + VOICE_PATH, status_url=base + STATUS_PATH):
        fix = "run `voice-server twilio connect NUMBER`"
        return failed(name, f"({whose}, {found.sid}) does not lead to this server", fix)
    if not number.active:
        fix = "set agent_id of its row in phone_numbers to an active agent of an active tenant"
        return warning(name, f"({whose}, {found.sid}) leads here, but nobody answers it", fix)
    return ok(name, f"({whose}, {found.sid}) leads here")


async def public_url_check(public_url: str, limits: Limits = LIMITS) -> tuple[Check, ...]:
    """Whether a server of ours answers where Twilio will ask."""
    name = "public URL"
    if not public_url:
        return (skipped(name, "VOICE_SERVER_PUBLIC_URL is not set"),)
    answer = await ask(f"{public_url.rstrip('/')}/healthz", limits)
    if answer is None:
        fix = (
            "start `voice-server serve`; then check the host in VOICE_SERVER_PUBLIC_URL, its "
            "DNS, certificate, proxy and firewall"
        )
        return (failed(name, "nothing answers at /healthz there", fix),)
    if not _is_ours(answer):
        what = f"/healthz there answers with status {answer.status}, and not as a server of ours"
        fix = (
            "let the proxy pass all paths to VOICE_SERVER_PORT without a redirect, and "
            "start `voice-server serve`"
        )
        return (failed(name, what, fix),)
    parts = urlsplit(public_url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        what = "answers, but Twilio opens media streams over TLS only"
        return (warning(name, what, "set VOICE_SERVER_PUBLIC_URL to an https:// address"),)
    return (ok(name, "a server of ours answers"),)


async def port_check(host: str, port: int, limits: Limits = LIMITS) -> tuple[Check, ...]:
    """Whether the server can listen, or does so already."""
    trouble = is_free(host, port)
    if trouble is None:
        return (ok("port", f"{host}:{port} is free" if port else "any free one"),)
    shown = f"[{host}]" if ":" in host else {"0.0.0.0": "127.0.0.1"}.get(host, host)
    answer = await ask(f"http://{shown}:{port}/healthz", limits)
    if answer is not None and _is_ours(answer):
        return (ok("port", f"a server of ours listens at {host}:{port}"),)
    what = f"cannot listen on {host}:{port} ({trouble.strerror})"
    fix = "set VOICE_SERVER_HOST and VOICE_SERVER_PORT to an address that is free here"
    return (failed("port", what, fix),)


def _is_ours(answer: Answer) -> bool:
    return answer.status == httpx.codes.OK and answer.text.strip() == "ok"


async def firebase_check(url: str, credentials: Path | None) -> tuple[Check, ...]:
    """Whether the Realtime Database lets us read."""
    if not url:
        return (skipped("firebase", "VOICE_SERVER_FIREBASE_DATABASE_URL is not set"),)
    return (await asyncio.to_thread(_firebase, url, credentials),)


def _firebase(url: str, credentials: Path | None) -> Check:
    from voice_server.mirror.database import RealtimeDatabase

    variables = "VOICE_SERVER_FIREBASE_DATABASE_URL and VOICE_SERVER_FIREBASE_CREDENTIALS"
    try:
        database = RealtimeDatabase(url, credentials)
        try:
            database.check()
        finally:
            database.close()
    except ServiceRejected as error:
        fix = (
            f"set {variables} to those of one project, and publish "
            "voice_server/mirror/database.rules.json there"
        )
        return failed("firebase", str(error), fix)
    except VoiceServerError as error:
        return failed("firebase", str(error), f"check {variables} and the network")
    return ok("firebase", "the database can be read")
