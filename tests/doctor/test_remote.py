"""What the doctor asks of remote services, over real sockets."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route

from tests.vault.provider import provider_saying
from tests.vault.rings import SECRETS
from tests.vault.rings import settings as providers_at
from voice_server.doctor.check import Check, State
from voice_server.doctor.database import Number
from voice_server.doctor.remote import (
    ahead_of_a_provider,
    ask,
    firebase_check,
    key_check,
    keys_checks,
    numbers_checks,
    port_check,
    public_url_check,
)
from voice_server.limits import Limits
from voice_server.provider_settings import Provider
from voice_server.settings import Settings
from voice_server.testing.lab.elevenlabs import open_elevenlabs
from voice_server.testing.lab.everything import open_lab
from voice_server.testing.lab.faults import Fault, FaultPlan
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.model import ModelSimulator
from voice_server.testing.lab.openai import chat_completions
from voice_server.testing.lab.serpapi import SerpApiSimulator
from voice_server.testing.lab.twilio import TwilioLab, open_twilio
from voice_server.vault import Finding

SHORT = Limits(first_byte_s=0.3, between_s=0.3, total_s=0.6)
NUMBER = "+12025550111"
PUBLIC = "https://voice.example.com"


def named(checks: tuple[Check, ...]) -> dict[str, Check]:
    return {check.name: check for check in checks}


async def key_findings(**configured: Any) -> dict[str, Check]:
    return named(await keys_checks(providers_at(**configured), SHORT))


async def test_every_provider_of_the_lab_accepts_its_key() -> None:
    async with open_lab() as lab:
        variables = {
            name: value for name, value in lab.environment.items() if "VOICE_SERVER" not in name
        }
        urls = {f"{one.value}_api_url": lab.urls[one.value] for one in Provider}
        found = await key_findings(**variables, **urls)
    assert {name: check.state for name, check in found.items()} == {
        f"{one} key": State.OK for one in Provider
    }


async def test_providers_without_a_key_are_not_asked() -> None:
    async with provider_saying() as desk:
        found = await key_findings(url=desk.url)
        assert await ahead_of_a_provider(providers_at(desk.url)) is None
    assert {check.state for check in found.values()} == {State.SKIPPED}
    assert desk.asked == []


async def test_a_wrong_key_is_told_with_its_variable() -> None:
    app = ModelSimulator(chat_completions(), keys=frozenset({"sk-the-right-one"})).app
    async with hosting(app) as url:
        found = await key_findings(openai_api_url=f"{url}/v1", OPENAI_API_KEY="sk-a-wrong-one")
    check = found["openai key"]
    assert check.state is State.FAILED
    assert "OPENAI_API_KEY" in check.fix
    assert "sk-" not in str(found)


async def test_a_used_up_quota_is_told() -> None:
    async with open_elevenlabs() as voice, hosting(SerpApiSimulator(searches_left=0).app) as search:
        voice.character_limit = 10
        voice.meter.say("eleven_flash_v2_5", 11)
        found = await key_findings(
            elevenlabs_api_url=voice.url,
            ELEVENLABS_API_KEY=voice.key,
            serpapi_api_url=search,
            SERPAPI_API_KEY="any-key-will-do",
        )
    for name in ("elevenlabs key", "serpapi key"):
        assert found[name].state is State.FAILED
        assert "used up" in found[name].what
        assert "credit" in found[name].fix


async def test_an_unreachable_provider_is_told_from_a_busy_one() -> None:
    key = SECRETS[Provider.OPENAI]
    async with provider_saying({"/models": (429, {})}) as busy:
        found = await key_findings(openai_api_url=busy.url, OPENAI_API_KEY=key)
    assert found["openai key"].state is State.WARNING
    found = await key_findings(openai_api_url="http://127.0.0.1:9", OPENAI_API_KEY=key)
    assert found["openai key"].state is State.FAILED
    assert "VOICE_SERVER_OPENAI_API_URL" in found["openai key"].fix


async def test_a_provider_that_never_answers_does_not_hold_up_the_others() -> None:
    async with provider_saying(script=(30.0,)) as mute, hosting(SerpApiSimulator().app) as search:
        found = await key_findings(
            openai_api_url=mute.url,
            OPENAI_API_KEY=SECRETS[Provider.OPENAI],
            serpapi_api_url=search,
            SERPAPI_API_KEY="any-key-will-do",
        )
    assert found["openai key"].state is State.FAILED
    assert found["serpapi key"].state is State.OK


async def test_a_key_that_is_cut_off_is_told_without_asking() -> None:
    async with provider_saying() as desk:
        found = await key_findings(openai_api_url=desk.url, OPENAI_API_KEY="short")
    assert found["openai key"].state is State.FAILED
    assert desk.asked == []


@pytest.mark.parametrize("provider", list(Provider))
@pytest.mark.parametrize("finding", list(Finding))
@pytest.mark.parametrize("reached", [True, False])
def test_every_bad_finding_names_a_variable(
    provider: Provider, finding: Finding, reached: bool
) -> None:
    check = key_check(provider, finding, reached=reached)
    if check.state is not State.OK:
        assert any(word.isupper() and "_" in word for word in check.fix.replace(",", " ").split())


def dated(shift: timedelta) -> tuple[bytes]:
    date = format_datetime(datetime.now(UTC) + shift, usegmt=True)
    return (f"HTTP/1.1 404 X\r\ndate: {date}\r\ncontent-length: 0\r\n\r\n".encode(),)


@pytest.mark.parametrize("shift_s", [0, 90, -7_200])
async def test_the_clock_is_compared_with_the_date_a_provider_sends(shift_s: int) -> None:
    async with provider_saying(script=dated(timedelta(seconds=shift_s))) as desk:
        told = await ahead_of_a_provider(
            providers_at(desk.url, OPENAI_API_KEY=SECRETS[Provider.OPENAI])
        )
    assert told is not None
    assert told[1] == "openai"
    assert told[0] == pytest.approx(-shift_s, abs=2)
    assert "authorization" not in desk.asked[0].headers


@pytest.mark.parametrize("date", ["", "date: half past nine\r\n"])
async def test_an_answer_without_a_date_tells_no_time(date: str) -> None:
    script = (f"HTTP/1.1 200 X\r\n{date}content-length: 2\r\n\r\nok".encode(),)
    async with provider_saying(script=script) as desk:
        answer = await ask(desk.url, SHORT)
    assert answer is not None
    assert (answer.status, answer.text, answer.ahead_s) == (200, "ok", None)


@pytest.mark.parametrize("script", [(b"\x00garbage\r\n\r\n",), (b"",), (5.0,)])
async def test_what_is_no_answer_is_none(script: tuple[Any, ...]) -> None:
    async with provider_saying(script=script) as desk:
        assert await ask(desk.url, SHORT) is None


def on(lab: TwilioLab, **changes: Any) -> Settings:
    given: dict[str, Any] = {
        "TWILIO_ACCOUNT_SID": lab.account_sid,
        "TWILIO_AUTH_TOKEN": lab.auth_token,
        "twilio_api_url": lab.url,
        "public_url": PUBLIC,
    }
    return Settings(**(given | changes))


def row(number: str = NUMBER, *, active: bool = True) -> Number:
    return Number(number, "agent-anna", active)


def lead(lab: TwilioLab, base: str = PUBLIC, **changes: str) -> None:
    for sid in lab.numbers:
        lab.numbers[sid] |= {
            "voice_url": f"{base}/twilio/voice",
            "status_callback": f"{base}/twilio/status",
        } | changes


async def test_a_number_that_leads_here_is_fine() -> None:
    async with open_twilio(numbers=(NUMBER,)) as lab:
        lead(lab)
        (check,) = await numbers_checks(on(lab), (row(),), SHORT)
    assert check.state is State.OK
    assert next(iter(lab.numbers)) in check.what


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ("https://old.example.com", {}),
        (PUBLIC, {"voice_method": "GET"}),
        (PUBLIC, {"voice_application_sid": "AP1"}),
        (PUBLIC, {"trunk_sid": "TK1"}),
        (PUBLIC, {"status_callback": ""}),
    ],
)
async def test_a_number_pointing_elsewhere_is_told(base: str, changes: dict[str, str]) -> None:
    async with open_twilio(numbers=(NUMBER,)) as lab:
        lead(lab, base, **changes)
        (check,) = await numbers_checks(on(lab), (row(),), SHORT)
    assert check.state is State.FAILED
    assert "voice-server twilio connect" in check.fix
    assert "2025550111" not in str(check)


async def test_a_number_of_another_account_is_told() -> None:
    async with open_twilio(numbers=()) as lab:
        (check,) = await numbers_checks(on(lab), (row(),), SHORT)
    assert check.state is State.FAILED
    assert "TWILIO_ACCOUNT_SID" in check.fix
    assert "2025550111" not in str(check)


async def test_a_number_that_nobody_answers_is_a_warning() -> None:
    async with open_twilio(numbers=(NUMBER,)) as lab:
        lead(lab)
        (check,) = await numbers_checks(on(lab), (row(active=False),), SHORT)
    assert check.state is State.WARNING


async def test_each_of_many_numbers_has_its_own_finding() -> None:
    numbers = tuple(f"+1202555{line:04}" for line in range(100, 140))
    async with open_twilio(numbers=numbers) as lab:
        lead(lab)
        lab.numbers[list(lab.numbers)[7]]["voice_url"] = "https://elsewhere.example.com"
        checks = await numbers_checks(on(lab), tuple(map(row, numbers)), SHORT)
    assert len(checks) == 40
    assert [check.name for check in checks if check.state is not State.OK] == ["twilio number 8"]


async def test_wrong_credentials_are_told_once() -> None:
    async with open_twilio(numbers=(NUMBER,)) as lab:
        settings = on(lab, TWILIO_AUTH_TOKEN="wrong-token-0000")
        (check,) = await numbers_checks(settings, (row(), row()), SHORT)
    assert check.state is State.FAILED
    assert "TWILIO_AUTH_TOKEN" in check.fix


async def test_a_carrier_in_trouble_at_one_number_spoils_that_finding_only() -> None:
    plan = FaultPlan({2: Fault.SERVER_ERROR})
    async with open_twilio(numbers=(NUMBER,), faults=plan) as lab:
        lead(lab)
        checks = await numbers_checks(on(lab), (row(), row()), SHORT)
    assert sorted(check.state for check in checks) == [State.FAILED, State.OK]


@pytest.mark.parametrize("changes", [{"public_url": ""}, {"TWILIO_ACCOUNT_SID": ""}])
async def test_numbers_are_left_alone_without_an_account_or_a_url(changes: dict[str, str]) -> None:
    async with open_twilio(faults=FaultPlan(otherwise=Fault.DROP)) as lab:
        settings = on(lab, insecure_webhooks=True, host="127.0.0.1", **changes)
        (check,) = await numbers_checks(settings, (row(),), SHORT)
        assert lab.faults.seen == 0
    assert check.state is State.SKIPPED


@asynccontextmanager
async def answering(answer: str = "ok", status: int = 200) -> AsyncIterator[str]:
    async def health(_: Any) -> PlainTextResponse:
        return PlainTextResponse(answer, status_code=status)

    async def moved(_: Any) -> RedirectResponse:
        return RedirectResponse("/healthz")

    routes = [Route("/healthz", health), Route("/moved/healthz", moved)]
    async with hosting(Starlette(routes=routes)) as url:
        yield url


async def test_a_public_url_where_we_answer_is_fine() -> None:
    async with answering() as url:
        (check,) = await public_url_check(f"{url}/", SHORT)
    assert check.state is State.OK


@pytest.mark.parametrize(("answer", "status"), [("<html>", 200), ("no", 502), ("ok", 503)])
async def test_a_public_url_where_somebody_else_answers_is_told(answer: str, status: int) -> None:
    async with answering(answer, status) as url:
        (check,) = await public_url_check(url, SHORT)
    assert check.state is State.FAILED
    assert "VOICE_SERVER_PORT" in check.fix


async def test_a_public_url_that_redirects_is_told() -> None:
    async with answering() as url:
        (check,) = await public_url_check(f"{url}/moved", SHORT)
    assert check.state is State.FAILED
    assert "redirect" in check.fix


async def test_a_public_url_where_nobody_answers_is_told() -> None:
    (check,) = await public_url_check("http://127.0.0.1:9", SHORT)
    assert check.state is State.FAILED
    assert "VOICE_SERVER_PUBLIC_URL" in check.fix


async def test_without_a_public_url_nothing_is_asked() -> None:
    (check,) = await public_url_check("", SHORT)
    assert check.state is State.SKIPPED


async def test_a_port_that_a_server_of_ours_has_is_fine() -> None:
    async with answering() as url:
        (check,) = await port_check("127.0.0.1", int(url.rpartition(":")[2]), SHORT)
    assert check.state is State.OK
    assert "ours" in check.what


async def test_a_port_that_somebody_else_has_is_told() -> None:
    async with answering("something else") as url:
        (check,) = await port_check("127.0.0.1", int(url.rpartition(":")[2]), SHORT)
    assert check.state is State.FAILED
    assert "VOICE_SERVER_PORT" in check.fix


async def test_a_free_port_is_fine() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (check,) = await port_check("127.0.0.1", port, SHORT)
    assert check.state is State.OK


async def test_firebase_that_lets_us_read_is_fine() -> None:
    lab = FirebaseLab()
    async with hosting(lab.app) as url:
        (check,) = await firebase_check(lab.database_url(url), None)
    assert check.state is State.OK
    assert lab.writes == []


@pytest.mark.parametrize(
    ("fault", "fix"),
    [(Fault.UNAUTHORIZED, "database.rules.json"), (Fault.SERVER_ERROR, "network")],
)
async def test_firebase_that_refuses_is_told(fault: Fault, fix: str) -> None:
    lab = FirebaseLab(plan=FaultPlan(otherwise=fault))
    async with hosting(lab.app) as url:
        (check,) = await firebase_check(lab.database_url(url), None)
    assert check.state is State.FAILED
    assert fix in check.fix


async def test_a_key_file_of_firebase_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps({"type": "service_account", "private_key": "hush"}))
    (check,) = await firebase_check("https://demo.firebaseio.com", file)
    assert check.state is State.FAILED
    assert "VOICE_SERVER_FIREBASE_CREDENTIALS" in check.fix
    assert "hush" not in str(check)


async def test_firebase_that_is_not_configured_is_not_asked() -> None:
    (check,) = await firebase_check("", None)
    assert check.state is State.SKIPPED
