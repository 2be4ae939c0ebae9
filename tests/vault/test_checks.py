"""Key checks against a provider on a real socket that answers as the providers do."""

from __future__ import annotations

import asyncio
import base64
import logging

import pytest
from pydantic import SecretStr

from tests.vault.provider import Answers, Piece, provider_saying
from tests.vault.rings import SECRETS, secret, settings
from voice_server.limits import Limits
from voice_server.provider_settings import Provider
from voice_server.vault import Finding, KeyChecks

SHORT = Limits(first_byte_s=0.3, between_s=0.3, total_s=0.6)
SID, TOKEN = SECRETS[Provider.TWILIO].split(":")
PATHS = {
    Provider.ELEVENLABS: "/v1/user/subscription",
    Provider.OPENAI: "/models",
    Provider.GOOGLE: "/models",
    Provider.GROK: "/models",
    Provider.ANTHROPIC: "/v1/models",
    Provider.TWILIO: f"/2010-04-01/Accounts/{SID}.json",
    Provider.SERPAPI: "/account.json",
}
MODELS = {"object": "list", "data": []}
GOOD = {
    Provider.ELEVENLABS: {"tier": "pro", "character_count": 10, "character_limit": 600_000},
    Provider.TWILIO: {"sid": SID, "status": "active", "type": "Full"},
    Provider.SERPAPI: {"account_id": "1", "total_searches_left": 249},
}


async def found(provider: Provider, answers: Answers) -> Finding:
    async with provider_saying(answers) as desk:
        return await KeyChecks(settings(desk.url)).check(provider, secret(provider))


@pytest.mark.parametrize("provider", list(Provider))
async def test_a_good_key_is_accepted_with_one_request(provider: Provider) -> None:
    body = GOOD.get(provider, MODELS)
    async with provider_saying({PATHS[provider]: (200, body)}) as desk:
        finding = await KeyChecks(settings(desk.url)).check(provider, secret(provider))
    assert finding is Finding.ACCEPTED
    assert [(ask.method, ask.path) for ask in desk.asked] == [("GET", PATHS[provider])]


@pytest.mark.parametrize("provider", list(Provider))
async def test_the_key_goes_where_the_provider_looks_for_it(provider: Provider) -> None:
    async with provider_saying({PATHS[provider]: (200, GOOD.get(provider, MODELS))}) as desk:
        await KeyChecks(settings(desk.url)).check(provider, secret(provider))
    (asked,) = desk.asked
    key = SECRETS[provider]
    basic = base64.b64encode(key.encode()).decode()
    sent = {
        Provider.ELEVENLABS: asked.headers.get("xi-api-key"),
        Provider.TWILIO: asked.headers.get("authorization", "").removeprefix("Basic "),
        Provider.SERPAPI: asked.query.get("api_key", [""])[0],
    }.get(provider, asked.headers.get("authorization", "").removeprefix("Bearer "))
    assert sent == (basic if provider is Provider.TWILIO else key)
    if provider is Provider.ANTHROPIC:
        assert asked.headers["anthropic-version"] == "2026-10-21"
        assert asked.query["limit"] == ["1"]


@pytest.mark.parametrize("provider", list(Provider))
@pytest.mark.parametrize("status", [429, 500, 503, 529])
async def test_a_busy_provider_decides_nothing(provider: Provider, status: int) -> None:
    assert await found(provider, {PATHS[provider]: (status, {})}) is Finding.UNDECIDED


@pytest.mark.parametrize("provider", list(Provider))
async def test_a_wrong_key_is_refused(provider: Provider) -> None:
    answers = {PATHS[provider]: (401, {}), "/v1/models": (401, {})}
    assert await found(provider, answers) is Finding.REFUSED


@pytest.mark.parametrize("provider", list(Provider))
async def test_a_page_of_html_decides_nothing(provider: Provider) -> None:
    answers = {PATHS[provider]: (200, b"<html>maintenance</html>")}
    assert await found(provider, answers) is Finding.UNDECIDED


@pytest.mark.parametrize("provider", list(Provider))
async def test_an_unknown_field_more_does_no_harm(provider: Provider) -> None:
    body = GOOD.get(provider, MODELS) | {"surprise": [1, {"two": None}]}
    assert await found(provider, {PATHS[provider]: (200, body)}) is Finding.ACCEPTED


CASES: list[tuple[Provider, Answers, Finding]] = [
    # A key of ElevenLabs for speech only may not read the account, but the list of models.
    (
        Provider.ELEVENLABS,
        {PATHS[Provider.ELEVENLABS]: (401, {}), "/v1/models": (200, [])},
        Finding.RESTRICTED,
    ),
    (
        Provider.ELEVENLABS,
        {PATHS[Provider.ELEVENLABS]: (401, {}), "/v1/models": (503, {})},
        Finding.UNDECIDED,
    ),
    (
        Provider.ELEVENLABS,
        {
            PATHS[Provider.ELEVENLABS]: (
                200,
                {"character_count": 10_000, "character_limit": 10_000},
            )
        },
        Finding.EXHAUSTED,
    ),
    (Provider.OPENAI, {"/models": (403, {})}, Finding.RESTRICTED),
    (Provider.ANTHROPIC, {"/v1/models": (402, {})}, Finding.EXHAUSTED),
    (
        Provider.GOOGLE,
        {"/models": (400, {"error": {"message": "API key not valid. Please pass a valid one."}})},
        Finding.REFUSED,
    ),
    (
        Provider.GOOGLE,
        {"/models": (400, [{"error": {"message": "API Key not found."}}])},
        Finding.REFUSED,
    ),
    (Provider.GOOGLE, {"/models": (400, {"error": {"message": "bad"}})}, Finding.UNDECIDED),
    (Provider.GOOGLE, {"/models": (403, {})}, Finding.REFUSED),
    (Provider.TWILIO, {PATHS[Provider.TWILIO]: (200, {"status": "suspended"})}, Finding.REFUSED),
    (Provider.TWILIO, {PATHS[Provider.TWILIO]: (200, {"status": "closed"})}, Finding.REFUSED),
    (Provider.TWILIO, {}, Finding.REFUSED),  # 404: no such account
    (Provider.SERPAPI, {"/account.json": (200, {"total_searches_left": 0})}, Finding.EXHAUSTED),
    (Provider.SERPAPI, {"/account.json": (403, {})}, Finding.REFUSED),
]


@pytest.mark.parametrize(("provider", "answers", "finding"), CASES)
async def test_each_providers_own_words_are_understood(
    provider: Provider, answers: Answers, finding: Finding
) -> None:
    assert await found(provider, answers) is finding


@pytest.mark.parametrize(
    ("provider", "key"),
    [
        (Provider.OPENAI, ""),
        (Provider.OPENAI, "short"),
        (Provider.OPENAI, "sk-with a blank in it"),
        (Provider.OPENAI, "sk-line\r\nx-forged: yes"),
        (Provider.OPENAI, "sk-\u00fcmlaut-0001"),
        (Provider.OPENAI, "x" * 513),
        (Provider.TWILIO, "just-a-token-0123456789"),
        (Provider.TWILIO, "AC12:token-0123456789"),
        (Provider.TWILIO, f"SK{'0f' * 16}:token-0123456789"),
        (Provider.TWILIO, f"{SID}:to:ken-0123456789"),
    ],
)
async def test_what_cannot_be_a_key_is_not_sent(provider: Provider, key: str) -> None:
    async with provider_saying({}) as desk:
        assert (
            await KeyChecks(settings(desk.url)).check(provider, SecretStr(key)) is Finding.MALFORMED
        )
    assert desk.asked == []


@pytest.mark.parametrize("provider", list(Provider))
async def test_a_provider_out_of_reach_decides_nothing(provider: Provider) -> None:
    assert await KeyChecks(settings()).check(provider, secret(provider)) is Finding.UNDECIDED


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [
        (5.0,),  # never a byte
        (HEAD, 5.0),  # stalls after the head
        (HEAD + b"x",),  # dies in the middle
        (b"HTTP/1.1 200 OK\r\n", *(b"x-slow: 1\r\n", 0.05) * 100),  # alive, and never done
        (b"\x00\x01 no http",),
    ],
)
async def test_every_wait_has_an_end(script: tuple[Piece, ...]) -> None:
    async with asyncio.timeout(3), provider_saying(script=script) as desk:
        checks = KeyChecks(settings(desk.url), limits=SHORT)
        assert await checks.check(Provider.OPENAI, secret(Provider.OPENAI)) is Finding.UNDECIDED


async def test_an_endless_answer_is_cut() -> None:
    endless = b"[" + b"1," * 3_000_000
    assert await found(Provider.OPENAI, {"/models": (200, endless)}) is Finding.UNDECIDED


@pytest.mark.parametrize("provider", list(Provider))
@pytest.mark.parametrize("status", [200, 401, 500])
async def test_no_log_holds_a_key_however_chatty(
    provider: Provider, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await found(provider, {PATHS[provider]: (status, GOOD.get(provider, MODELS))})
    assert caplog.text
    for part in SECRETS[provider].split(":"):
        if part != SID:  # an account's id is no secret; it stands in the address
            assert part not in caplog.text


def test_only_a_verdict_of_the_provider_decides() -> None:
    assert {finding: finding.is_valid for finding in Finding} == {
        Finding.ACCEPTED: True,
        Finding.RESTRICTED: True,
        Finding.EXHAUSTED: True,
        Finding.REFUSED: False,
        Finding.MALFORMED: False,
        Finding.BROKEN: None,
        Finding.UNDECIDED: None,
    }
