"""Warm voice sockets, shared by all calls of the process.

A socket carries five contexts, and one is enough for the turn of a call, so that neither a
turn nor a call waits for a handshake; the first turn does only when nobody warmed the voice.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import httpx
from websockets.asyncio.client import ClientConnection

from voice_server.errors import ServiceError, ServiceUnavailable
from voice_server.limits import Limits
from voice_server.speech.elevenlabs import voice_wire as wire
from voice_server.speech.elevenlabs.access import Access, is_open, open_socket, tls
from voice_server.speech.elevenlabs.config import VoiceConfig
from voice_server.speech.elevenlabs.failures import SERVICE
from voice_server.speech.elevenlabs.sending import sending

# first_byte: connection and first audio, each. between: a pause in audio that is owed.
# total: the rest of a turn once all its text was sent.
SPEAK_LIMITS = Limits(first_byte_s=1.2, between_s=1.2, total_s=20.0)

MOST_CONTEXTS = 5  # the sixth makes the service close the socket
_CLOSING_S = 5.0  # an abandoned context that is not confirmed by then spoils its socket
_KEEP_ALIVE_S = 10.0
_IDLE_LIFE_S = 300.0  # an unused socket is let go
_AVOID_S = 10.0  # after a failed handshake; turns in this time do not wait for another
_GOODBYE_S = 2.0

_Key: TypeAlias = tuple[Access, str, str, str]


class Context:
    """One turn on a voice socket. What comes is in `take`; `on_change` says when to look."""

    __slots__ = ("_changed", "_chunks", "_socket", "ended", "error", "name", "released", "voice")

    def __init__(
        self, name: str, voice: VoiceConfig, socket: VoiceSocket, changed: asyncio.Event
    ) -> None:
        self.name = name
        self.voice = voice
        self.ended = False
        self.released = False
        self.error: ServiceError | None = None
        self._socket = socket
        self._changed = changed
        self._chunks: deque[wire.Chunk] = deque()  # bounded by the text of a turn

    def say(self, text: str, on_wire: Callable[[int], None]) -> None:
        """Send text; `on_wire(characters)` is called when it really goes out."""
        spaced = text if text[-1:].isspace() else f"{text} "
        message = self._socket.dialect.say(self.name, spaced, self.voice)
        self._socket.post(message, self, lambda: on_wire(len(spaced)))

    def finish(self) -> None:
        """No more text: the rest is generated, then the context ends."""
        self._socket.post(wire.flush(self.name), self)
        self._socket.post(wire.close(self.name), self)

    def keep_alive(self) -> None:
        """Do not let the service end the context while its text is still being thought of."""
        self._socket.post(self._socket.dialect.keep_alive(self.name), self)

    def take(self) -> wire.Chunk | None:
        """The next chunk that has come, if any."""
        return self._chunks.popleft() if self._chunks else None

    def release(self) -> None:
        """Done with it, finished or not; what still comes is dropped."""
        if not self.released:
            self.released = True
            self._chunks.clear()
            self._socket.let_go(self)

    def hear(self, told: wire.Chunk | wire.Ended | ServiceError) -> None:
        """Take what the socket has for this context."""
        if self.released:
            return
        if isinstance(told, wire.Chunk):
            self._chunks.append(told)
        elif isinstance(told, wire.Ended):
            self.ended = True
        else:
            self.error = told
        self._changed.set()


class VoiceSocket:
    """One open socket and its contexts. `run` it in a task; when that is done it is dead."""

    __slots__ = (
        "_connection", "_contexts", "_loop", "_outbox", "_spoilt", "_unused_since", "_work",
        "dialect",
    )  # fmt: skip

    def __init__(self, connection: ClientConnection, dialect: wire.Dialect) -> None:
        self.dialect = dialect
        self._connection = connection
        self._contexts: dict[str, Context] = {}
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[tuple[str, Context | None, Callable[[], None] | None]] = deque()
        self._work = asyncio.Event()
        self._spoilt = False
        self._unused_since = self._loop.time()

    @property
    def has_room(self) -> bool:
        """Another context may be opened; closing ones still count."""
        return not self._spoilt and len(self._contexts) < MOST_CONTEXTS

    @property
    def is_idle(self) -> bool:
        """No context is open."""
        return not self._contexts

    def open(self, name: str, voice: VoiceConfig, changed: asyncio.Event) -> Context:
        """Open a context; its owner must release it."""
        context = Context(name, voice, self, changed)
        self._contexts[name] = context
        self.post(self.dialect.open(name, voice), context)
        return context

    def post(
        self, message: str, context: Context | None, on_wire: Callable[[], None] | None = None
    ) -> None:
        """Send when the wire is free; text of a released context is not sent any more."""
        self._outbox.append((message, context, on_wire))
        self._work.set()

    def let_go(self, context: Context) -> None:
        """Nobody listens to this context any longer."""
        if self._contexts.get(context.name) is not context:
            return
        self.post(wire.close(context.name), None)
        self._loop.call_later(_CLOSING_S, self._check_closed, context)

    def _check_closed(self, context: Context) -> None:
        if self._contexts.get(context.name) is context:
            self._spoilt = True  # it may count against the limit for ever
            self._forget(context.name)

    def _forget(self, name: str) -> Context | None:
        context = self._contexts.pop(name, None)
        self._unused_since = self._loop.time()
        if self._spoilt and not self._contexts:
            self._connection.transport.abort()
        return context

    async def run(self) -> None:
        """Send and receive until the socket dies; every context learns of it."""
        error: ServiceError = ServiceUnavailable(SERVICE, "the voice socket was closed")
        try:
            async with sending(self._connection, self._send, "elevenlabs tts sender"):
                while True:
                    self._hear(await self._connection.recv())
        except ServiceError as failure:
            error = failure
        finally:
            self._spoilt = True
            for context in self._contexts.values():
                context.hear(error)
            self._contexts.clear()
            await self._connection.close()

    def _hear(self, message: str | bytes) -> None:
        for told in wire.parse(message):
            if isinstance(told, wire.Broken):
                raise told.error
            if context := self._contexts.get(told.context):
                context.hear(told)
                if isinstance(told, wire.Ended):
                    self._forget(told.context)

    async def _send(self, socket: ClientConnection) -> None:
        while True:
            while self._outbox:
                message, context, on_wire = self._outbox.popleft()
                if context is not None and context.released:
                    continue
                if on_wire is not None and is_open(socket):
                    on_wire()
                await socket.send(message)
            self._work.clear()
            try:
                async with asyncio.timeout(_KEEP_ALIVE_S):
                    await self._work.wait()
            except TimeoutError:
                if not await self._stay_alive():
                    return

    async def _stay_alive(self) -> bool:
        if self._contexts:
            return True  # their owners care for them
        if self._loop.time() - self._unused_since > _IDLE_LIFE_S:
            await self._connection.send(wire.CLOSE_SOCKET)
            return False
        if self.dialect.idle_message is not None:
            await self._connection.send(self.dialect.idle_message)
        return True

    def say_goodbye(self) -> None:
        """Ask the service to close; a socket that is simply shut counts as an error there."""
        self._spoilt = True
        self.post(wire.CLOSE_SOCKET, None)


class VoiceSockets:
    """The voice sockets and the HTTP client of one event loop. Close it when all calls are over."""

    def __init__(self, limits: Limits = SPEAK_LIMITS) -> None:
        self.limits = limits
        self.handshakes = 0
        self._sockets: dict[_Key, list[VoiceSocket]] = {}
        self._doors: dict[_Key, asyncio.Lock] = {}
        self._avoid: dict[_Key, tuple[float, ServiceError]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._names = itertools.count(1)
        self._http: httpx.AsyncClient | None = None

    @property
    def http(self) -> httpx.AsyncClient:
        """For what cannot go over a socket."""
        if self._http is None:
            self._http = httpx.AsyncClient(verify=tls(), timeout=None)
        return self._http

    @property
    def count(self) -> int:
        """Open sockets."""
        return sum(map(len, self._sockets.values()))

    def warm(self, access: Access, voice: VoiceConfig) -> asyncio.Task[None] | None:
        """Have a socket ready soon; call it when a call begins. Failures show when speaking.

        The task, None when one is ready, may be waited for but belongs to the sockets.
        """
        if self._free(_key(access, voice)) is not None:
            return None
        return self._start(self._warm(access, voice), "elevenlabs tts warming")

    async def _warm(self, access: Access, voice: VoiceConfig) -> None:
        try:
            await self._socket(access, voice)
        except ServiceError:
            return  # the turn that needs the socket says so

    async def context(self, access: Access, voice: VoiceConfig, changed: asyncio.Event) -> Context:
        """Open a context, on a warm socket where there is one; raises `ServiceError`."""
        socket = await self._socket(access, voice)
        context = socket.open(f"t{next(self._names)}", voice, changed)
        self.warm(access, voice)  # whoever took the last room lets the next turn find one
        return context

    async def _socket(self, access: Access, voice: VoiceConfig) -> VoiceSocket:
        key = _key(access, voice)
        if (socket := self._free(key)) is not None:
            return socket
        async with self._doors.setdefault(key, asyncio.Lock()):
            if (socket := self._free(key)) is not None:  # another turn has opened one
                return socket
            return await self._open(key, access, voice)

    def _free(self, key: _Key) -> VoiceSocket | None:
        return next((each for each in self._sockets.get(key, ()) if each.has_room), None)

    async def _open(self, key: _Key, access: Access, voice: VoiceConfig) -> VoiceSocket:
        loop = asyncio.get_running_loop()
        until, error = self._avoid.get(key, (0.0, None))
        if error is not None and loop.time() < until:
            raise type(error)(SERVICE, "the voice socket failed a moment ago")
        dialect = wire.dialect(voice)
        try:
            connection = await open_socket(
                access,
                *dialect.path(voice),
                query=dialect.query(voice),
                within_s=self.limits.first_byte_s,
            )
        except ServiceError as failure:
            self._avoid[key] = (loop.time() + _AVOID_S, failure)
            raise
        self._avoid.pop(key, None)
        self.handshakes += 1
        socket = VoiceSocket(connection, dialect)
        self._sockets.setdefault(key, []).append(socket)
        self._start(self._serve(key, socket), "elevenlabs tts")
        return socket

    async def _serve(self, key: _Key, socket: VoiceSocket) -> None:
        try:
            await socket.run()
        finally:
            self._sockets[key].remove(socket)
            if not self._sockets[key]:
                del self._sockets[key]

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Close all sockets, politely for 2 s at most."""
        for socket in itertools.chain.from_iterable(self._sockets.values()):
            socket.say_goodbye()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_GOODBYE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        if self._http is not None:
            await self._http.aclose()


def _key(access: Access, voice: VoiceConfig) -> _Key:
    """The address of a voice: settings belong to a context, not to a socket."""
    return access, voice.voice_id, voice.model_id, voice.language
