"""Twilio as seen from our side of the wire, on loopback, against a real server."""

from __future__ import annotations

import asyncio
import json
import socket
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.twilio.desk import OUR_NUMBER, FakeCall, FakeDesk
from voice_server.settings import Settings
from voice_server.telemetry import Metrics
from voice_server.twilio.routes import routes

SECRET = "12345"
PUBLIC_URL = "https://voice.example.com"
SOCKET_URL = "wss://voice.example.com/twilio/media"
CALL_SID = "CA" + "0" * 31 + "1"
STREAM_SID = "MZ" + "0" * 31 + "1"
CALLER = "+14155550123"


class Clock:
    """The clock the media tokens are issued by."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def settings(**changes: Any) -> Settings:
    """Settings of a server that checks signatures."""
    values = {"TWILIO_AUTH_TOKEN": SECRET, "public_url": PUBLIC_URL, "insecure_webhooks": False}
    return Settings(**{**values, **changes})


def sign(url: str, fields: Mapping[str, str] | None = None, secret: str = SECRET) -> str:
    return str(RequestValidator(secret).compute_signature(url, fields or {}))


def call_fields(call_sid: str = CALL_SID, **more: str) -> dict[str, str]:
    """The voice webhook as recorded bodies show it, duplicates and all."""
    return {
        "CallSid": call_sid,
        "AccountSid": "AC" + "0" * 32,
        "From": CALLER,
        "Caller": CALLER,
        "To": OUR_NUMBER,
        "Called": OUR_NUMBER,
        "CallStatus": "ringing",
        "ApiVersion": "2010-04-01",
        "Direction": "inbound",
        "FromCity": "SAN FRANCISCO",
        "CallerCity": "SAN FRANCISCO",
        "StirVerstat": "TN-Validation-Passed-A",
        "CallerName": "",
        **more,
    }


def start(
    parameters: Mapping[str, str],
    *,
    call_sid: str = CALL_SID,
    stream_sid: str = STREAM_SID,
    encoding: str = "audio/x-mulaw",
) -> dict[str, Any]:
    return {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": stream_sid,
        "start": {
            "accountSid": "AC" + "0" * 32,
            "streamSid": stream_sid,
            "callSid": call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": encoding, "sampleRate": 8000, "channels": 1},
            "customParameters": dict(parameters),
        },
    }


def media(
    mulaw: bytes = b"\xff" * 160, *, at_ms: int = 0, stream_sid: str = STREAM_SID, **more: str
) -> dict[str, Any]:
    payload = b64encode(mulaw).decode()
    details = {"track": "inbound", "chunk": "1", "timestamp": str(at_ms), "payload": payload}
    return {
        "event": "media",
        "sequenceNumber": "2",
        "streamSid": stream_sid,
        "media": {**details, **more},
    }


def dtmf(digit: str, **more: str) -> dict[str, Any]:
    details = {"track": "inbound_track", "digit": digit, **more}
    return {"event": "dtmf", "sequenceNumber": "3", "streamSid": STREAM_SID, "dtmf": details}


def mark(name: str) -> dict[str, Any]:
    details = {"name": name}
    return {"event": "mark", "sequenceNumber": "3", "streamSid": STREAM_SID, "mark": details}


def stop() -> dict[str, Any]:
    details = {"accountSid": "AC" + "0" * 32, "callSid": CALL_SID}
    return {"event": "stop", "sequenceNumber": "9", "streamSid": STREAM_SID, "stop": details}


CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}


class Phone:
    """One media socket, Twilio's end."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def says(self, *messages: dict[str, Any] | str | bytes) -> None:
        for message in messages:
            await self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    async def hears(self) -> dict[str, Any]:
        received = json.loads(await self.socket.recv(decode=True))
        assert received["streamSid"] == STREAM_SID
        return received

    async def closed(self) -> int:
        """Wait for the server's close; its code."""
        try:
            while True:
                await self.socket.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    async def drops(self) -> None:
        """Vanish without a word."""
        self.socket.transport.abort()
        await self.socket.wait_closed()


class Edge:
    """A running server with a fake desk behind it, and the ways Twilio reaches it."""

    def __init__(self, base: str, desk: FakeDesk, metrics: Metrics, clock: Clock) -> None:
        self.base = base
        self.desk = desk
        self.metrics = metrics
        self.clock = clock
        self._http = httpx.AsyncClient(base_url=base, trust_env=False, verify=False)

    async def close(self) -> None:
        await self._http.aclose()

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"voice_server_{name}", labels) or 0.0

    async def post(
        self, path: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        signed = {"X-Twilio-Signature": sign(PUBLIC_URL + path, fields)}
        return await self._http.post(path, data=dict(fields), headers=headers or signed)

    async def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self._http.request(method, path, **more)

    async def ring(self, call_sid: str = CALL_SID, **fields: str) -> dict[str, str]:
        """A call comes in; the stream parameters of our TwiML."""
        response = await self.post("/twilio/voice", call_fields(call_sid, **fields))
        assert response.status_code == 200
        return stream_parameters(response.text)

    @asynccontextmanager
    async def socket(self, signature: str | None = None, **more: str) -> AsyncIterator[Phone]:
        async with connect(
            self.base.replace("http", "ws") + "/twilio/media",
            compression=None,
            user_agent_header="Twilio.TmeWs/1.0",
            additional_headers={"x-twilio-signature": signature or sign(SOCKET_URL), **more},
            proxy=None,
        ) as socket:
            yield Phone(socket)

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[tuple[Phone, FakeCall]]:
        """A call whose stream has started."""
        parameters = await self.ring()
        async with self.socket() as phone:
            await phone.says(CONNECTED, start(parameters))
            yield phone, await self.desk.has(parameters["call"])


def stream_parameters(twiml: str) -> dict[str, str]:
    return {
        node.attrib["name"]: node.attrib["value"]
        for node in ET.fromstring(twiml).iterfind("./Connect/Stream/Parameter")
    }


async def _stop(server: uvicorn.Server) -> None:
    """Wait until every connection has been served to its end, which no test may prevent."""
    for listener in server.servers:
        listener.close()
    async with asyncio.timeout(30):
        while server.server_state.connections or server.server_state.tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(chosen: Settings, **options: Any) -> AsyncIterator[Edge]:
    """A real uvicorn server on loopback with the edge's routes."""
    desk, metrics, clock = FakeDesk(), Metrics(), Clock()
    app = Starlette(routes=routes(desk, chosen, metrics, clock=clock, **options))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, ws="websockets-sansio", loop="asyncio", lifespan="off", log_config=None
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        edge = Edge(f"http://127.0.0.1:{listener.getsockname()[1]}", desk, metrics, clock)
        try:
            yield edge
        finally:
            await edge.close()
            await _stop(server)
