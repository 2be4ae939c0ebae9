"""The simulated voice sockets: speech and dialogue, many contexts each."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_server.testing.lab.elevenlabs_formats import from_mulaw
from voice_server.testing.lab.elevenlabs_socket import FaultySocket
from voice_server.testing.lab.faults import Fault
from voice_server.testing.lab.inbox import Inbox, open_inbox

if TYPE_CHECKING:
    from voice_server.testing.lab.elevenlabs import ElevenLabsLab

MOST_CONTEXTS = 5
_CHUNK_CHARACTERS = 8  # half a second of speech in each message
_BUFFERED_CHARACTERS = 120  # the first of the default chunk_length_schedule
_FINISH_S = 10.0  # for the rest of all contexts once the socket is to be closed
_ERRORS = {
    Fault.UNAUTHORIZED: "invalid_api_key",
    Fault.RATE_LIMITED: "rate_limited",
    Fault.SERVER_ERROR: "internal_error",
    Fault.QUOTA: "quota_exceeded",
}


class _Line(msgspec.Struct):
    text: str
    voice_id: str = ""


class _Message(msgspec.Struct):
    text: str | None = None
    inputs: list[_Line] = []
    voices: list[str] | None = None
    context_id: str | None = None
    flush: bool = False
    close_context: bool = False
    close_socket: bool = False
    keep_alive: bool = False
    voice_settings: dict[str, Any] | None = None


class _Context:
    """Text of one context on its way to becoming audio."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.buffered = ""
        self.ready: asyncio.Queue[str | None] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    def flush(self) -> None:
        if self.buffered.strip():
            self.ready.put_nowait(self.buffered)
        self.buffered = ""


class VoiceSession:
    """One connection; `run` it to its end."""

    def __init__(self, lab: ElevenLabsLab, socket: WebSocket, *, dialogue: bool) -> None:
        self._lab = lab
        self._socket = socket
        self._dialogue = dialogue
        self._query = socket.query_params
        self._model = self._query.get("model_id", "eleven_multilingual_v2")
        self._voice = socket.path_params.get("voice_id", "")
        self._format = self._query.get("output_format", "")
        self._auto = self._query.get("auto_mode") == "true"
        self.wire = FaultySocket(socket, lab.voice_faults.take(), self._fail, _ERRORS)
        self._loop = asyncio.get_running_loop()
        self._contexts: dict[str, _Context] = {}
        self._spoilt: set[str] = set()

    @property
    def contexts(self) -> int:
        """How many are open."""
        return len(self._contexts)

    async def run(self) -> None:
        """Handshake, then messages until either side closes."""
        if not await self.wire.admit(self._refusal()):
            return
        self._lab.voices_open.add(self)
        try:
            async with open_inbox(self._socket, self._read) as inbox:
                if not self._dialogue and self._voice not in self._lab.voices:
                    await self._fail("voice_not_found")
                while True:
                    await self._step(inbox)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the peer is gone, or we have closed
        finally:
            self._lab.voices_open.discard(self)
            for context in tuple(self._contexts.values()):
                if context.task is not None:
                    context.task.cancel()

    def _refusal(self) -> tuple[int, str] | None:
        if not self._lab.admits(self._socket.headers, self._query, "tts_websocket"):
            return 401, "invalid_api_key"
        needs_dialogue = self._model.startswith(("eleven_v3", "eleven_v4"))
        if needs_dialogue is not self._dialogue or self._model not in self._lab.voice_models:
            return 403, "unsupported_model"
        return None

    async def _step(self, inbox: Inbox[_Message | None]) -> None:
        patience = 20.0 if self._dialogue else float(self._query.get("inactivity_timeout", "20"))
        try:
            async with asyncio.timeout(patience):
                message = await inbox.get()
        except TimeoutError:
            await self._socket.close(1008, "input_timeout_exceeded")
            raise WebSocketDisconnect(1008) from None
        if message is None:
            await self._fail("invalid_request")
        elif not self.wire.dying:
            await self._take(message)

    def _read(self, text: str) -> _Message | None:
        """Meter a message as it arrives; None = it is not one."""
        try:
            message = msgspec.json.decode(text, type=_Message)
        except msgspec.MsgspecError:
            return None
        first = message.text == " " and message.context_id not in self._contexts
        if not first:
            self._lab.meter.say(self._model, len(_text(message)))
        return message

    async def _take(self, message: _Message) -> None:
        if message.close_socket:
            await self._finish_all()
            return
        name = message.context_id
        if name is None:
            if message.text != "" or self._dialogue:
                await self._fail("invalid_request")
            return
        context = self._contexts.get(name)
        if context is None:
            await self._open(name, message)
            return
        if message.voice_settings is not None or message.voices is not None:
            await self._fail("invalid_request")  # of the first message only
            return
        self._feed(context, message)

    async def _open(self, name: str, message: _Message) -> None:
        if message.close_context or message.flush:
            return  # of a context that has ended
        if message.keep_alive or message.text == "":
            self._spoilt.add(name)
            return
        first = message.voices if self._dialogue else message.text == " "
        if not first or (name in self._spoilt and message.voice_settings is not None):
            await self._fail("invalid_request")
        elif self._dialogue and not set(message.voices or ()) <= self._lab.voices.keys():
            await self._fail("voice_not_found")
        elif len(self._contexts) >= MOST_CONTEXTS:
            await self._fail("max_active_conversations")
        else:
            context = self._contexts[name] = _Context(name)
            self._lab.contexts_opened += 1
            context.task = self._loop.create_task(self._speak(context), name="lab voice")
            self._feed(context, msgspec.structs.replace(message, text=None))

    def _feed(self, context: _Context, message: _Message) -> None:
        context.buffered += _text(message)
        if message.flush or self._auto or len(context.buffered) >= _BUFFERED_CHARACTERS:
            context.flush()
        if message.close_context:
            context.ready.put_nowait(None)

    async def _finish_all(self) -> None:
        tasks = [context.task for context in self._contexts.values() if context.task is not None]
        for context in self._contexts.values():
            context.flush()
            context.ready.put_nowait(None)
        if tasks:
            await asyncio.wait(tasks, timeout=_FINISH_S)
        await self._socket.close(1000)
        raise WebSocketDisconnect(1000)

    async def _speak(self, context: _Context) -> None:
        """Turn the text of one context into messages."""
        try:
            started = False
            while (text := await context.ready.get()) is not None:
                if not started:
                    await asyncio.sleep(self._lab.delays.first_audio_s)
                started = True
                await self.wire.hesitate()
                await self._say(context, text)
            if self.wire.dying:
                return
            del self._contexts[context.name]
            await self.wire.send({self._final: True, self._context: context.name, "audio": None})
        except (WebSocketDisconnect, RuntimeError):
            return  # the socket is closed

    async def _say(self, context: _Context, text: str) -> None:
        async for part, mulaw in spell_out(self._lab, text):
            await self.wire.pass_by(len(mulaw))
            if self.wire.dying:
                return
            audio = from_mulaw(mulaw, self._format)
            message = {
                "audio": base64.b64encode(audio).decode(),
                self._final: None if self._lab.quirks.snake_case else False,
                self._context: context.name,
                "alignment": self._alignment(part, len(mulaw)),
                "unheard_of": {"x": 1},
            }
            await self.wire.send(message)

    def _alignment(self, part: str, samples: int) -> dict[str, Any] | None:
        quirks = self._lab.quirks
        if not quirks.alignment:
            return None
        length = samples // 8 // len(part)
        starts = [at * length for at in range(len(part))]
        lengths = [length] * len(part)
        if self._dialogue:
            names = ("char_start_times_ms", "char_durations_ms")
        elif quirks.chars_spelling:
            names = ("charsStartTimesMs", "charsDurationsMs")
        else:
            names = ("charStartTimesMs", "charDurationsMs")
        return {"chars": list(part), names[0]: starts, names[1]: lengths}

    @property
    def _final(self) -> str:
        return "is_final" if self._dialogue or self._lab.quirks.snake_case else "isFinal"

    @property
    def _context(self) -> str:
        return "context_id" if self._dialogue or self._lab.quirks.snake_case else "contextId"

    async def _fail(self, error: str) -> None:
        message = {"message": "what the service has to say", "error": error, "code": 1008}
        await self.wire.send(message)
        await self.wire.close(1008, error)


def _text(message: _Message) -> str:
    return "".join(line.text for line in message.inputs) or message.text or ""


async def spell_out(lab: ElevenLabsLab, text: str) -> AsyncIterator[tuple[str, bytes]]:
    """Parts of `text` with their mu-law audio, as fast as the service makes it."""
    audio = await lab.voice(text)
    for begin in range(0, len(text), _CHUNK_CHARACTERS):
        end = min(begin + _CHUNK_CHARACTERS, len(text))
        first, last = (at * len(audio) // len(text) for at in (begin, end))
        if begin:
            await asyncio.sleep((last - first) / 8000 / lab.delays.speed)
        yield text[begin:end], audio[first:last]
