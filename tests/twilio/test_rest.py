"""The REST client against a small Twilio on a real socket."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from db.rows import AgentRow
from detectors.assessment import Assessment, Finding, Severity
from voice_server.errors import ServiceRejected, ServiceUnavailable
from voice_server.guardian import SmsGuardian
from voice_server.ports import CallFacts
from voice_server.twilio.rest import TwilioRest

ACCOUNT, TOKEN = "AC1", "secret-token"
OURS, THEIRS = "+12025550100", "+12025550188"


class SmallTwilio:
    """Takes messages as Twilio does, or answers with what it was told to."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.answer: Response | None = None

    async def create(self, request: Request) -> Response:
        expected = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return JSONResponse({"code": 20003, "status": 401}, 401)
        if self.answer is not None:
            return self.answer
        self.messages.append({key: str(value) for key, value in (await request.form()).items()})
        return JSONResponse({"sid": "SM1", "status": "queued"}, 201)


@asynccontextmanager
async def open_twilio(token: str = TOKEN) -> AsyncIterator[tuple[SmallTwilio, TwilioRest]]:
    twilio = SmallTwilio()
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    app = Starlette(routes=[Route(path, twilio.create, methods=["POST"])])
    web = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    config = web.config
    config.load()
    web.lifespan = config.lifespan_class(config)
    await web.startup()
    port = web.servers[0].sockets[0].getsockname()[1]
    client = TwilioRest(ACCOUNT, token, f"http://127.0.0.1:{port}")
    try:
        yield twilio, client
    finally:
        await client.close()
        await web.shutdown()


async def test_a_message_goes_out_as_twilio_wants_it():
    async with open_twilio() as (twilio, client):
        assert await client.send_message(to=THEIRS, sender=OURS, body="Hello") == "SM1"
    assert twilio.messages == [{"To": THEIRS, "From": OURS, "Body": "Hello"}]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (JSONResponse({"code": 20429}, 429), ServiceUnavailable),
        (PlainTextResponse("oops", 503), ServiceUnavailable),
        (JSONResponse({"code": 21211, "message": f"{THEIRS} is no number"}, 400), ServiceRejected),
        (JSONResponse(["what?"], 404), ServiceRejected),
    ],
)
async def test_a_refusal_names_the_code_and_nothing_private(answer: Response, error: type):
    async with open_twilio() as (twilio, client):
        twilio.answer = answer
        with pytest.raises(error) as raised:
            await client.send_message(to=THEIRS, sender=OURS, body="Hello")
    assert THEIRS not in str(raised.value)
    assert TOKEN not in str(raised.value)


async def test_wrong_credentials_are_not_worth_another_try():
    async with open_twilio(token="wrong") as (_, client):
        with pytest.raises(ServiceRejected, match="20003"):
            await client.send_message(to=THEIRS, sender=OURS, body="Hello")


async def test_a_twilio_out_of_reach_is_worth_another_try():
    client = TwilioRest(ACCOUNT, TOKEN, "http://127.0.0.1:1")
    with pytest.raises(ServiceUnavailable):
        await client.send_message(to=THEIRS, sender=OURS, body="Hello")
    await client.close()


def facts(tenant_phone: str, caller: str = "+12025550143") -> CallFacts:
    agent = AgentRow("a", "u", "Acme", "Robin", "active", OURS, "", "", "", "", tenant_phone)
    return CallFacts("call-1", agent, "CA1", caller, OURS, "inbound", 0)


ALARM = Assessment(
    risk=0.9,
    confidence=0.9,
    severity=Severity.HIGH,
    through=3,
    scam_type="tech_support",
    findings=(
        Finding("pattern", "remote_access", 0.5, 1, 0, 5, "let me"),
        Finding("pattern", "gift_card", 0.9, 3, 0, 5, "cards"),
    ),
)


async def test_the_tenant_is_warned_with_the_strongest_signs_first():
    async with open_twilio() as (twilio, client):
        await SmsGuardian(client).warn(facts(THEIRS), ALARM)
    (message,) = twilio.messages
    assert (message["To"], message["From"]) == (THEIRS, OURS)
    assert "ends in 0143" in message["Body"]
    assert "tech support" in message["Body"]
    assert "gift card, remote access" in message["Body"]
    assert "+1202" not in message["Body"]


async def test_a_caller_without_a_number_is_warned_of_too():
    async with open_twilio() as (twilio, client):
        await SmsGuardian(client).warn(facts(THEIRS, "anonymous"), ALARM)
    assert "without a number" in twilio.messages[0]["Body"]


@pytest.mark.parametrize("guarded", [facts(""), facts(THEIRS)])
async def test_without_means_the_warning_is_logged_without_numbers(guarded, caplog):
    await SmsGuardian(None).warn(guarded, ALARM)
    assert "could not be sent" in caplog.text
    assert THEIRS not in caplog.text
