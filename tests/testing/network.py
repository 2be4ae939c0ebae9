"""A small voice server that speaks the media-stream wire, to try the phone against."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from twilio.request_validator import RequestValidator

TOKEN = "12345"
PUBLIC = "https://voice.example.com"
LOUD = b"\x20\xa0"  # a square wave


def tone(ms: int) -> bytes:
    """Something audible, `ms` long."""
    return LOUD * (4 * ms)


def connect(*after: str, attributes: str = "", stream: str = "") -> str:
    """TwiML that opens the media stream, and what follows it."""
    return (
        f'<Response><Connect{attributes}><Stream url="wss://voice.example.com/media"{stream}>'
        f'<Parameter name="token" value="t-1"/></Stream></Connect>{"".join(after)}</Response>'
    )


class Line:
    """The server's end of a media stream."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.messages: list[dict] = []
        self.stream_sid = ""
        self.loop = asyncio.get_running_loop()

    async def next(self, *events: str) -> dict:
        """The next message, of the named events if any are named."""
        while True:
            message = msgspec.json.decode(await self.socket.receive_text())
            message["at"] = round(self.loop.time(), 6)
            self.messages.append(message)
            if message["event"] == "start":
                self.stream_sid = message["streamSid"]
            if not events or message["event"] in events:
                return message

    async def rest(self) -> None:
        """Listen until the carrier closes the socket."""
        try:
            while True:
                await self.next()
        except WebSocketDisconnect as gone:
            self.close_code = gone.code

    async def send(self, event: str, **content: object) -> None:
        message = {"event": event, "streamSid": self.stream_sid}
        await self.socket.send_text(msgspec.json.encode(message | content).decode())

    async def say(self, mulaw: bytes) -> None:
        await self.send("media", media={"payload": base64.b64encode(mulaw).decode()})

    async def mark(self, name: str) -> None:
        await self.send("mark", mark={"name": name})

    def of(self, event: str) -> list[dict]:
        return [message for message in self.messages if message["event"] == event]


Bot = Callable[[Line], Awaitable[None]]


async def listens(line: Line) -> None:
    """The bot that says nothing."""
    await line.rest()


class Network:
    """The server's state: what it answers, and what it was asked."""

    def __init__(self, bot: Bot = listens, **pages: str | Response) -> None:
        self.bot = bot
        self.pages: dict[str, str | Response] = {"voice": connect(), **pages}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.forged: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.lines: list[Line] = []
        self.address = ""
        self.public = PUBLIC  # what the server believes to be reached by
        self.validator = RequestValidator(TOKEN)

    @property
    def line(self) -> Line:
        return self.lines[-1]

    async def answer(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        page = request.path_params["page"]
        url = (
            self.public + request.url.path + (f"?{request.url.query}" if request.url.query else "")
        )
        signature = request.headers.get("x-twilio-signature", "")
        if not self.validator.validate(url, form, signature):
            self.forged.append(page)
            return Response(status_code=403)
        self.requests.append((page, form))
        content = self.pages.get(page, "<Response/>")
        if isinstance(content, Response):
            return content
        return Response(content, media_type="text/xml")

    async def media(self, socket: WebSocket) -> None:
        self.headers.append(dict(socket.headers))
        signature = socket.headers.get("x-twilio-signature", "")
        url = self.public.replace("http", "ws", 1) + "/media"
        if not self.validator.validate(url, {}, signature):
            self.forged.append("media")
            await socket.close(1008)
            return
        await socket.accept()
        line = Line(socket)
        self.lines.append(line)
        try:
            await self.bot(line)
            await socket.close()
        except (WebSocketDisconnect, RuntimeError):
            pass  # the caller was faster

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Network]:
        """Serve on loopback, in the running loop."""
        app = Starlette(
            routes=[
                Route("/{page}", self.answer, methods=["GET", "POST"]),
                WebSocketRoute("/media", self.media),
            ]
        )
        config = uvicorn.Config(
            app, port=0, log_config=None, ws="websockets-sansio", lifespan="off"
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.001)
        host, port = server.servers[0].sockets[0].getsockname()
        self.address = f"{host}:{port}"
        try:
            yield self
        finally:
            server.should_exit = True
            await task
