"""Speech over HTTP, for when there is no voice socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx
import msgspec

from voice_server.departure import Departure
from voice_server.errors import ServiceError
from voice_server.limits import Limits
from voice_server.speech.elevenlabs import voice_wire as wire
from voice_server.speech.elevenlabs.access import Access
from voice_server.speech.elevenlabs.config import VoiceConfig
from voice_server.speech.elevenlabs.failures import mapped, of_status

_QUERY = (("output_format", "ulaw_8000"),)
_CONTEXT_CHARACTERS = 300  # of what was said before; enough for the intonation
_ERROR_BYTES = 4096


async def stream(
    client: httpx.AsyncClient,
    access: Access,
    voice: VoiceConfig,
    text: str,
    *,
    previous: str,
    limits: Limits,
    on_wire: Callable[[int], None],
) -> AsyncGenerator[wire.Chunk, None]:
    """Speak `text`; `on_wire` books its characters once. Raises `ServiceError`.

    Characters are booked unless the service has plainly refused them: a request of unknown
    fate has been paid.
    """
    path, body = _request(voice, text, previous)
    departure = Departure()
    request = client.build_request(
        "POST",
        access.url(*path, query=_QUERY),
        headers=access.headers,
        json=body,
        extensions=departure.extensions,
    )
    refusal = None
    try:
        with mapped():
            async with asyncio.timeout(limits.first_byte_s):
                response = await client.send(request, stream=True)
                refusal = await _refusal(response)
    finally:
        if departure.left and refusal is None:
            on_wire(len(text))
    if refusal is not None:
        raise refusal
    try:
        lines = response.aiter_lines()
        while True:
            with mapped():
                async with asyncio.timeout(limits.between_s):
                    line = await anext(lines, None)
            if line is None:
                return
            if line.strip():
                for told in wire.parse(line):
                    if isinstance(told, wire.Broken):
                        raise told.error
                    if isinstance(told, wire.Chunk):
                        yield told
    finally:
        await response.aclose()


async def _refusal(response: httpx.Response) -> ServiceError | None:
    """Why the service does not speak, None when it does."""
    if response.status_code == httpx.codes.OK:
        return None
    problem = await response.aread()
    await response.aclose()
    return of_status(response.status_code, problem[:_ERROR_BYTES])


def _request(
    voice: VoiceConfig, text: str, previous: str
) -> tuple[tuple[str, ...], dict[str, Any]]:
    body: dict[str, Any] = {"model_id": voice.model_id}
    if previous:
        body["previous_text"] = previous[-_CONTEXT_CHARACTERS:]
    if voice.is_dialogue:
        body["inputs"] = [{"text": text, "voice_id": voice.voice_id}]
        if voice.settings.stability is not None:
            body["settings"] = {"stability": voice.settings.stability}
        return ("v1", "text-to-dialogue", "stream", "with-timestamps"), body
    body["text"] = text
    if settings := msgspec.to_builtins(voice.settings):
        body["voice_settings"] = settings
    if voice.language and voice.model_id.endswith("_v2_5"):
        body["language_code"] = voice.language
    return ("v1", "text-to-speech", voice.voice_id, "stream", "with-timestamps"), body
