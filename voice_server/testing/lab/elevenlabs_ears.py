"""The simulated realtime recogniser."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs_formats import to_mulaw
from voice_server.testing.lab.faults import Fault, Injection
from voice_server.testing.lab.host import cut
from voice_server.testing.lab.inbox import Inbox, open_inbox

if TYPE_CHECKING:
    from voice_server.testing.lab.elevenlabs import ElevenLabsLab

SOFT_ERRORS = frozenset({"commit_throttled", "insufficient_audio_activity"})

_STRATEGIES = ("manual", "vad")
_LEAST_COMMIT_BYTES = 2400  # 0.3 s
_AUTO_COMMIT_BYTES = 90 * 8000
_DYING_S = 0.001  # what was sent before a connection died has arrived by then


class _Chunk(msgspec.Struct):
    message_type: str
    audio_base_64: str = ""
    commit: bool = False
    sample_rate: int = 8000
    previous_text: str | None = None
    mulaw: bytes = b""  # the audio, once it is read


class EarsSession:
    """One connection; `run` it to its end."""

    def __init__(self, lab: ElevenLabsLab, socket: WebSocket) -> None:
        self._lab = lab
        self._socket = socket
        self._query: QueryParams = socket.query_params
        self._fault = lab.ears_faults.take()
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()  # since the last commit
        self._received = 0  # bytes of audio
        self._partial = ""
        self._partial_at = 0
        self._quiet_ms = 0
        self._first = True
        self._silent_until = 0.0
        self._dying = False
        self._model = self._query.get("model_id", "")
        self._format = self._query.get("audio_format", "pcm_16000")

    async def run(self) -> None:
        """Handshake, then messages until either side closes."""
        if (status := self._refusal()) is not None:
            await self._socket.send_denial_response(
                JSONResponse({"detail": {"status": status[1], "message": ""}}, status[0])
            )
            return
        await self._socket.accept()
        self._lab.ears.add(self)
        began = self._loop.time()
        try:
            async with open_inbox(self._socket, self._read) as inbox:
                if self._fault.fault is Fault.SLOW_FIRST_BYTE:
                    await asyncio.sleep(self._fault.delay_s)
                if self._fault.after_bytes == 0:
                    await self._strike()
                if await self._start():
                    await self._listen(inbox, began)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the peer is gone, or we have closed
        finally:
            self._lab.ears.discard(self)

    def _refusal(self) -> tuple[int, str] | None:
        if not self._lab.admits(self._socket.headers, self._query, "realtime_scribe"):
            return 401, "invalid_api_key"
        if self._fault.after_bytes:
            return None
        refusals = {
            Fault.UNAUTHORIZED: (401, "invalid_api_key"),
            Fault.RATE_LIMITED: (429, "too_many_concurrent_requests"),
            Fault.SERVER_ERROR: (503, "system_busy"),
        }
        return refusals.get(self._fault.fault)

    async def _start(self) -> bool:
        language = self._query.get("language_code", "")
        terms = self._query.getlist("keyterms")
        if self._model not in self._lab.ears_models:
            return await self.fail("invalid_request")
        if self._query.get("commit_strategy", "manual") not in _STRATEGIES:
            return await self.fail("invalid_request")
        if language and not (language.isalpha() and len(language) in (2, 3)):
            return await self.fail("invalid_request")
        if len(terms) > 50 or any(len(term) > 20 for term in terms):
            return await self.fail("input_error")
        config = {
            "sample_rate": 8000,
            "audio_format": self._format,
            "language_code": language or None,
            "commit_strategy": self._query.get("commit_strategy", "manual"),
            "model_id": self._model,
        }
        await self._tell("session_started", session_id=f"s{self._lab.number()}", config=config)
        return True

    async def _listen(self, inbox: Inbox[_Chunk | None], began: float) -> None:
        quirks = self._lab.quirks
        while True:
            left = began + quirks.session_limit_s - self._loop.time()
            try:
                async with asyncio.timeout(min(quirks.ears_idle_s, max(0.0, left))):
                    chunk = await inbox.get()
            except TimeoutError:
                if self._loop.time() - began >= quirks.session_limit_s:
                    await self.fail("session_time_limit_exceeded")
                else:
                    await self._shut(1008, "inactivity")
                return
            if chunk is None:
                await self.fail("input_error")
            elif not self._dying:
                await self._take(chunk, chunk.mulaw)

    def _read(self, text: str) -> _Chunk | None:
        """Meter a message as it arrives; None = it is not one."""
        try:
            chunk = msgspec.json.decode(text, type=_Chunk)
            audio = base64.b64decode(chunk.audio_base_64, validate=True)
        except (msgspec.MsgspecError, binascii.Error):
            return None
        chunk.mulaw = to_mulaw(audio, self._format)
        self._lab.meter.hear(self._model, len(chunk.mulaw))
        return chunk

    async def _take(self, chunk: _Chunk, audio: bytes) -> None:
        if chunk.previous_text is not None:
            self._lab.contexts.append(chunk.previous_text)
            if not self._first or len(chunk.previous_text) > 50:
                await self.fail("input_error")
                return
        self._first = self._first and not audio
        before, self._received = self._received, self._received + len(audio)
        self._buffer += audio
        if before < self._fault.after_bytes <= self._received:
            await self._strike()
            if self._dying:
                return
        await self._follow(audio)
        if chunk.commit or chunk.message_type == "commit":
            await self._commit_by_hand()

    async def _follow(self, audio: bytes) -> None:
        """Partials, and the service's own cuts."""
        if self._received - self._partial_at >= self._lab.delays.partial_every_ms * 8:
            self._partial_at = self._received
            text = self._lab.hypothesis(bytes(self._buffer))
            if text and (text != self._partial or self._lab.quirks.repeat_partials):
                self._partial = text
                await self._tell("partial_transcript", text=text)
        if self._query.get("commit_strategy") == "vad":
            await self._cut_at_silence(audio)
        elif len(self._buffer) >= _AUTO_COMMIT_BYTES:
            await self._commit()

    async def _cut_at_silence(self, audio: bytes) -> None:
        self._quiet_ms = 0 if sound.voiced(audio) else self._quiet_ms + len(audio) // 8
        threshold = float(self._query.get("vad_silence_threshold_secs", "1.5")) * 1000
        if self._quiet_ms >= threshold and sound.voiced(bytes(self._buffer)):
            await self._commit()

    async def _commit_by_hand(self) -> None:
        self._lab.commits += 1
        if error := self._lab.commit_errors.get(self._lab.commits):
            await self._error(error)
            self._buffer.clear()
            if error not in SOFT_ERRORS:
                await self._shut(1008, "")
            return
        if len(self._buffer) < _LEAST_COMMIT_BYTES and self._lab.quirks.short_commit_closes:
            await self._shut(1008, "")
            return
        await self._commit()

    async def _commit(self) -> None:
        audio, self._partial = bytes(self._buffer), ""
        self._buffer.clear()
        await asyncio.sleep(self._lab.delays.final_s)
        if self._dying:
            return
        text = await self._lab.recognise(audio)
        await self._tell("committed_transcript", text=text)
        asked = "true" in (
            self._query.get("include_timestamps"),
            self._query.get("include_language_detection"),
        )
        if asked or self._lab.quirks.twin_commits:
            words = [{"text": word, "start": 0, "end": 0, "type": "word"} for word in text.split()]
            await self._tell(
                "committed_transcript_with_timestamps",
                text=text, language_code="en", words=words, unheard_of=True,
            )  # fmt: skip

    async def _strike(self) -> None:
        """The fault of this connection happens."""
        match self._fault.fault:
            case Fault.STALL:
                await asyncio.sleep(self._fault.delay_s)
            case Fault.DROP:
                self.drop()
            case Fault.CLOSE:
                await self._shut(self._fault.code, "")
            case Fault.GARBAGE:
                await self._socket.send_text('{"message_type": \x00')
            case Fault.UNAUTHORIZED:
                await self.fail("auth_error")
            case Fault.RATE_LIMITED:
                await self.fail("rate_limited")
            case Fault.SERVER_ERROR:
                await self.fail("transcriber_error")
            case Fault.QUOTA:
                await self.fail("quota_exceeded")

    def meet(self, fate: Injection) -> None:
        """From here on this connection has that fate: it strikes with the next audio."""
        self._fault = msgspec.structs.replace(fate, after_bytes=self._received + 1)

    def drop(self) -> None:
        """The connection dies; what is on its way is still metered."""
        self._dying = True
        self._loop.call_later(_DYING_S, cut, self._socket)

    async def _shut(self, code: int, reason: str) -> None:
        """Close; what is on its way is still metered."""
        self._dying = True
        await asyncio.sleep(_DYING_S)
        await self._socket.close(code, reason)

    async def fail(self, message_type: str) -> bool:
        """Report an error and close, as the service does for all but the soft ones."""
        await self._error(message_type)
        if message_type not in SOFT_ERRORS:
            await self._shut(1008, "")
        return False

    async def _error(self, message_type: str) -> None:
        await self._tell(message_type, error="what the service has to say about it")

    async def _tell(self, message_type: str, **fields: Any) -> None:
        message = {"message_type": message_type, **fields}
        await self._socket.send_text(msgspec.json.encode(message).decode())
