"""The simulated realtime recogniser."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs_formats import to_mulaw
from voice_server.testing.lab.elevenlabs_socket import FaultySocket
from voice_server.testing.lab.faults import Fault
from voice_server.testing.lab.inbox import Inbox, open_inbox

if TYPE_CHECKING:
    from voice_server.testing.lab.elevenlabs import ElevenLabsLab

_SOFT_ERRORS = ("commit_throttled", "insufficient_audio_activity")  # the connection survives
_ERRORS = {
    Fault.UNAUTHORIZED: "auth_error",
    Fault.RATE_LIMITED: "rate_limited",
    Fault.SERVER_ERROR: "transcriber_error",
    Fault.QUOTA: "quota_exceeded",
}
_STRATEGIES = ("manual", "vad")
_LEAST_COMMIT_BYTES = 2400  # 0.3 s
_AUTO_COMMIT_BYTES = 90 * 8000


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
        self.wire = FaultySocket(socket, lab.ears_faults.take(), self._fail, _ERRORS)
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()  # since the last commit
        self._partial = ""
        self._partial_at = 0
        self._quiet_ms = 0
        self._first = True
        self._model = self._query.get("model_id", "")
        self._format = self._query.get("audio_format", "pcm_16000")

    async def run(self) -> None:
        """Handshake, then messages until either side closes."""
        known = self._lab.admits(self._socket.headers, self._query, "realtime_scribe")
        if not await self.wire.admit(None if known else (401, "invalid_api_key")):
            return
        self._lab.ears.add(self)
        began = self._loop.time()
        try:
            async with open_inbox(self._socket, self._read) as inbox:
                await self.wire.hesitate()
                await self.wire.pass_by(0)
                if await self._start():
                    await self._listen(inbox, began)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the peer is gone, or we have closed
        finally:
            self._lab.ears.discard(self)

    async def _start(self) -> bool:
        language = self._query.get("language_code", "")
        terms = self._query.getlist("keyterms")
        if self._model not in self._lab.ears_models:
            return await self._fail("invalid_request")
        if self._query.get("commit_strategy", "manual") not in _STRATEGIES:
            return await self._fail("invalid_request")
        if language and not (language.isalpha() and len(language) in (2, 3)):
            return await self._fail("invalid_request")
        if len(terms) > 50 or any(len(term) > 20 for term in terms):
            return await self._fail("input_error")
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
                    await self._fail("session_time_limit_exceeded")
                else:
                    await self.wire.close(1008, "inactivity")
                return
            if chunk is None:
                await self._fail("input_error")
            elif not self.wire.dying:
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
                await self._fail("input_error")
                return
        self._first = self._first and not audio
        self._buffer += audio
        await self.wire.pass_by(len(audio))
        if self.wire.dying:
            return
        await self._follow(audio)
        if chunk.commit or chunk.message_type == "commit":
            await self._commit_by_hand()

    async def _follow(self, audio: bytes) -> None:
        """Partials, and the service's own cuts."""
        if self.wire.passed - self._partial_at >= self._lab.delays.partial_every_ms * 8:
            self._partial_at = self.wire.passed
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
            self._buffer.clear()
            await (self._error if error in _SOFT_ERRORS else self._fail)(error)
            return
        if len(self._buffer) < _LEAST_COMMIT_BYTES and self._lab.quirks.short_commit_closes:
            await self.wire.close(1008)
            return
        await self._commit()

    async def _commit(self) -> None:
        audio, self._partial = bytes(self._buffer), ""
        self._buffer.clear()
        await asyncio.sleep(self._lab.delays.final_s)
        if self.wire.dying:
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

    async def _fail(self, message_type: str) -> bool:
        """Report an error and close, as the service does for all but the soft ones."""
        await self._error(message_type)
        await self.wire.close(1008)
        return False

    async def _error(self, message_type: str) -> None:
        await self._tell(message_type, error="what the service has to say about it")

    async def _tell(self, message_type: str, **fields: Any) -> None:
        await self.wire.send({"message_type": message_type, **fields})
