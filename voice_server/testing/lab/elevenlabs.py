"""ElevenLabs on loopback: recogniser, voices, agents, HTTP, with quirks, faults and a meter.

    async with open_elevenlabs() as lab:
        client = AsyncElevenLabs(api_key=lab.key, base_url=lab.url)

It hears and says what `elevenlabs_audio` puts into audio, unless it is given a recogniser and a
speaker.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs_agents import AgentHouse, LabAgent
from voice_server.testing.lab.elevenlabs_ears import EarsSession
from voice_server.testing.lab.elevenlabs_formats import from_mulaw
from voice_server.testing.lab.elevenlabs_socket import REFUSALS, problem
from voice_server.testing.lab.elevenlabs_voice import VoiceSession, spell_out
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.host import hosting

KEY = "lab-elevenlabs-key"
VOICES = {"JBFqnCBsd6RMkjVDRZzb": "George", "EXAVITQu4vr4xnSDxMaL": "Sarah"}
EARS_MODELS = ("scribe_v2_realtime", "scribe_v3_live")
VOICE_MODELS = (
    "eleven_flash_v2_5", "eleven_flash_v2", "eleven_turbo_v2_5", "eleven_multilingual_v2",
    "eleven_v3", "eleven_v3_conversational", "eleven_v4", "eleven_v4_turbo",
)  # fmt: skip

_SEPARATOR = "\n"


class Quirks(msgspec.Struct, frozen=True):
    """Ways in which the service differs from its own documentation."""

    snake_case: bool = False  # context_id and is_final on the speech socket
    chars_spelling: bool = False  # charsDurationsMs
    alignment: bool = True  # else audio comes without
    twin_commits: bool = False  # the enriched copy comes unasked
    repeat_partials: bool = False
    short_commit_closes: bool = True
    ears_idle_s: float = 15.0
    session_limit_s: float = math.inf


class Delays(msgspec.Struct, frozen=True):
    """How long the service itself takes."""

    partial_every_ms: int = 500
    final_s: float = 0.15
    first_audio_s: float = 0.075
    speed: float = 10.0  # audio is made so much faster than it plays


class Meter:
    """What the service would bill, by the items of our ledger."""

    def __init__(self) -> None:
        self._audio: Counter[str] = Counter()  # bytes, by model
        self._characters: Counter[str] = Counter()
        self._conversations_ms = self._llm_micro_usd = 0

    def hear(self, model: str, mulaw_bytes: int) -> None:
        """Audio has arrived."""
        self._audio[model] += mulaw_bytes

    def say(self, model: str, characters: int) -> None:
        """Text has arrived."""
        self._characters[model] += characters

    def converse(self, ms: int, llm_micro_usd: int) -> None:
        """A conversation with an agent is over."""
        self._conversations_ms += ms
        self._llm_micro_usd += llm_micro_usd

    @property
    def items(self) -> dict[str, int]:
        """Quantities, by item; nothing that is 0."""
        ears = {f"elevenlabs.stt.{m}.milliseconds": n // 8 for m, n in self._audio.items()}
        voice = {f"elevenlabs.tts.{m}.characters": n for m, n in self._characters.items()}
        agents = {
            "elevenlabs.agents.milliseconds": self._conversations_ms,
            "elevenlabs.agents_llm.micro_usd": self._llm_micro_usd,
        }
        items = ears | voice | agents
        return {item: quantity for item, quantity in items.items() if quantity}


class ElevenLabsLab:
    """The service. Fault plans count connections (sockets) and requests (HTTP) of each kind."""

    ears_models = EARS_MODELS
    voice_models = VOICE_MODELS

    def __init__(
        self,
        *,
        quirks: Quirks = Quirks(),  # noqa: B008 - frozen
        delays: Delays = Delays(),  # noqa: B008 - frozen
        recogniser: Callable[[bytes], str | Awaitable[str]] = sound.heard,
        hypothesis: Callable[[bytes], str] = sound.heard,
        speaker: Callable[[str], bytes | Awaitable[bytes]] = sound.voice,
        ears_faults: FaultPlan | None = None,
        voice_faults: FaultPlan | None = None,
        http_faults: FaultPlan | None = None,
        agent_faults: FaultPlan | None = None,
        agents: Mapping[str, LabAgent] | None = None,
        commit_errors: Mapping[int, str] | None = None,
    ) -> None:
        self.key = KEY
        self.url = ""
        self.quirks = quirks
        self.delays = delays
        self._recogniser = recogniser
        self.hypothesis = hypothesis
        self._speaker = speaker
        self.ears_faults = ears_faults or FaultPlan()
        self.voice_faults = voice_faults or FaultPlan()
        self.http_faults = http_faults or FaultPlan()
        self.commit_errors = dict(commit_errors or {})  # by the number of the commit, from 1
        self.house = AgentHouse(agents, agent_faults)
        self.voices = dict(VOICES)
        self.meter = Meter()
        self.ears: set[EarsSession] = set()
        self.voices_open: set[VoiceSession] = set()
        self.contexts: list[str] = []  # `previous_text` of sessions
        self.contexts_opened = 0
        self.commits = 0
        self.character_limit = 1_000_000
        self._tokens: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self.app = Starlette(routes=self._routes())

    def number(self) -> int:
        """A number that was not used before."""
        return next(self._numbers)

    async def recognise(self, mulaw: bytes) -> str:
        """The words of an utterance."""
        heard = self._recogniser(mulaw)
        return await heard if isinstance(heard, Awaitable) else heard

    async def voice(self, text: str) -> bytes:
        """Mu-law audio of a text."""
        spoken = self._speaker(text)
        return await spoken if isinstance(spoken, Awaitable) else spoken

    def admits(self, headers: Headers, query: QueryParams, purpose: str) -> bool:
        """Whether the key, or a token for this purpose, opens a socket; a token is used up."""
        if token := query.get("token") or query.get("single_use_token"):
            return self._tokens.pop(token, None) == purpose
        return headers.get("xi-api-key") == self.key

    def _routes(self) -> list[Route | WebSocketRoute]:
        speech = "/v1/text-to-speech/{voice_id}"
        return [
            WebSocketRoute("/v1/speech-to-text/realtime", self._ears),
            WebSocketRoute(f"{speech}/multi-stream-input", self._voice),
            WebSocketRoute("/v1/text-to-dialogue/multi-stream-input", self._dialogue),
            Route(f"{speech}/stream", self._stream, methods=["POST"]),
            Route(f"{speech}/stream/with-timestamps", self._stream_aligned, methods=["POST"]),
            Route(
                "/v1/text-to-dialogue/stream/with-timestamps",
                self._stream_aligned,
                methods=["POST"],
            ),
            Route("/v1/user/subscription", self._subscription),
            Route("/v1/models", self._models),
            Route("/v1/voices", self._voices),
            Route("/v2/voices", self._voices),
            Route("/v1/single-use-token/{purpose}", self._token, methods=["POST"]),
            *self.house.routes(self),
        ]

    async def _ears(self, socket: WebSocket) -> None:
        await EarsSession(self, socket).run()

    async def _voice(self, socket: WebSocket) -> None:
        await VoiceSession(self, socket, dialogue=False).run()

    async def _dialogue(self, socket: WebSocket) -> None:
        await VoiceSession(self, socket, dialogue=True).run()

    async def _stream(self, request: Request) -> Response:
        output_format = request.query_params.get("output_format", "")

        async def raw(text: str, fault: Injection) -> AsyncIterator[bytes]:
            async for _, audio in self._faulty(text, fault):
                yield from_mulaw(audio, output_format)

        return await self._speech(request, raw, "audio/basic")

    async def _stream_aligned(self, request: Request) -> Response:
        output_format = request.query_params.get("output_format", "")

        async def lines(text: str, fault: Injection) -> AsyncIterator[bytes]:
            async for part, mulaw in self._faulty(text, fault):
                if fault.fault is Fault.GARBAGE:
                    yield b'{"audio_base64": \x00\n'
                audio = from_mulaw(mulaw, output_format)
                second = len(mulaw) / 8000 / len(part)
                times = [at * second for at in range(len(part) + 1)]
                alignment = {
                    "characters": list(part),
                    "character_start_times_seconds": times[:-1],
                    "character_end_times_seconds": times[1:],
                }
                line = {
                    "audio_base64": base64.b64encode(audio).decode(),
                    "alignment": alignment if self.quirks.alignment else None,
                }
                yield msgspec.json.encode(line) + _SEPARATOR.encode()

        return await self._speech(request, lines, "application/json")

    async def _speech(
        self,
        request: Request,
        produce: Callable[[str, Injection], AsyncIterator[bytes]],
        media_type: str,
    ) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        fault = self.http_faults.take()
        if (refused := _REFUSALS_OF_HTTP.get(fault.fault)) is not None:
            return problem(*refused)
        body = msgspec.json.decode(await request.body(), type=dict[str, Any])
        lines = body.get("inputs", [])
        voice = request.path_params.get("voice_id") or (lines[0]["voice_id"] if lines else "")
        if voice not in self.voices:
            return problem(404, "voice_not_found")
        model = body.get("model_id", "eleven_multilingual_v2")
        if model not in self.voice_models:
            return problem(400, "model_not_found")
        text = "".join(line["text"] for line in lines) or body.get("text", "")
        self.meter.say(model, len(text))
        if fault.fault is Fault.SLOW_FIRST_BYTE:
            await asyncio.sleep(fault.delay_s)
        headers = {"x-character-count": str(len(text)), "request-id": f"r{self.number()}"}
        return StreamingResponse(produce(text, fault), media_type=media_type, headers=headers)

    async def _faulty(self, text: str, fault: Injection) -> AsyncIterator[tuple[str, bytes]]:
        await asyncio.sleep(self.delays.first_audio_s)
        sent = 0
        async for part, audio in spell_out(self, text):
            if sent <= fault.after_bytes < sent + len(audio):
                if fault.fault is Fault.STALL:
                    await asyncio.sleep(fault.delay_s)
                if fault.fault in (Fault.DROP, Fault.CLOSE):
                    raise ConnectionAbortedError("on purpose")
            sent += len(audio)
            yield part, audio

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("xi-api-key") != self.key:
            return problem(401, "invalid_api_key")
        return None

    async def _subscription(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        used = sum(n for item, n in self.meter.items.items() if item.endswith("characters"))
        return JSONResponse(_SUBSCRIPTION | {
            "character_count": used, "character_limit": self.character_limit,
        })  # fmt: skip

    async def _models(self, request: Request) -> Response:
        models = [
            {"model_id": name, "name": name, "can_do_text_to_speech": name in self.voice_models}
            for name in (*self.voice_models, *self.ears_models)
        ]
        return self._refusal(request) or JSONResponse(models)

    async def _voices(self, request: Request) -> Response:
        wanted = request.query_params.get("search", "").casefold()
        voices = [
            {"voice_id": voice, "name": name, "category": "premade", "labels": {"accent": "us"}}
            for voice, name in self.voices.items()
            if wanted in name.casefold()
        ]
        page = {"voices": voices, "has_more": False, "total_count": len(voices)}
        return self._refusal(request) or JSONResponse(page | {"next_page_token": None})

    async def _token(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        token = f"sutkn_{self.number()}"
        self._tokens[token] = request.path_params["purpose"]
        return JSONResponse({"token": token})


_REFUSALS_OF_HTTP = REFUSALS | {Fault.QUOTA: (401, "quota_exceeded")}
_SUBSCRIPTION: dict[str, Any] = {
    "tier": "creator", "status": "active", "currency": "usd", "billing_period": "monthly_period",
    "max_character_limit_extension": None, "max_credit_limit_extension": "unlimited",
    "can_extend_character_limit": True, "allowed_to_extend_character_limit": True,
    "next_character_count_reset_unix": 1_800_000_000, "voice_slots_used": 1,
    "professional_voice_slots_used": 0, "professional_voice_slots_used_in_workspace": 0,
    "voice_limit": 30, "max_voice_add_edits": 95, "voice_add_edit_counter": 0,
    "professional_voice_limit": 1, "can_extend_voice_limit": False,
    "can_use_instant_voice_cloning": True, "can_use_professional_voice_cloning": True,
    "current_overage": {"amount": "0.00", "currency": "usd"},
    "character_refresh_period": "monthly_period", "next_invoice": None, "open_invoices": [],
    "has_open_invoices": False, "pending_change": None,
}  # fmt: skip


@asynccontextmanager
async def open_elevenlabs(
    *, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> AsyncIterator[ElevenLabsLab]:
    """Run the service until the block ends; `options` are those of `ElevenLabsLab`."""
    lab = ElevenLabsLab(**options)
    async with hosting(lab.app, host=host, port=port) as url:
        lab.url = url
        yield lab
