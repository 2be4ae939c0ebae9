"""The simulated agents of ElevenLabs: their settings, and one conversation after the other.

An agent hears with the lab's recogniser, thinks as the local receptionist does unless it is
given another mind, and speaks with the lab's voice. What it believes to have been said is its
own affair, as with the real ones: it guesses how far its audio has played.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from voice_server.llm.tools import BOOK_ORDER, CANCEL_ORDER, END_CALL, LOOK_UP_ORDER, TAKE_MESSAGE
from voice_server.testing.lab.elevenlabs_socket import problem
from voice_server.testing.lab.elevenlabs_talk import TalkSession
from voice_server.testing.lab.faults import FaultPlan
from voice_server.testing.lab.mind import Mind, ReceptionistMind

if TYPE_CHECKING:
    from voice_server.testing.lab.elevenlabs import ElevenLabsLab

AGENT_ID = "agent_lab"
GREETING = "Hello, this is the agent of the lab. How can I help you?"
CLIENT_EVENTS = (
    "conversation_initiation_metadata", "ping", "audio", "interruption", "user_transcript",
    "tentative_user_transcript", "agent_response", "agent_response_correction",
    "agent_response_complete", "agent_tool_response", "client_tool_call", "vad_score",
)  # fmt: skip


class LabAgent(msgspec.Struct, frozen=True):
    """An agent as its owner has set it up at the service."""

    mind: Mind
    first_message: str = GREETING
    audio_format: str = "ulaw_8000"
    public: bool = False
    overrides: tuple[str, ...] = ("first_message", "language", "voice_id")
    variables: tuple[str, ...] = ()  # that its prompt cannot do without
    client_events: tuple[str, ...] = CLIENT_EVENTS
    tools: tuple[str, ...] = (BOOK_ORDER, LOOK_UP_ORDER, CANCEL_ORDER, TAKE_MESSAGE, END_CALL)
    turn_s: float = 0.5  # of silence, after which the caller has finished
    think_s: float = 0.2
    ping_s: float = 2.0
    alignment: bool = True
    llm_micro_usd: int = 400  # an answer, whether it is heard or not
    billed_after_s: float = 8.0  # until then nobody knows what a conversation has cost


class Talked(msgspec.Struct, frozen=True):
    """A conversation that is over."""

    agent: LabAgent
    ended_at: float
    ms: int
    llm_micro_usd: int

    def described(self, conversation_id: str, now: float) -> dict[str, Any]:
        """What the service tells of it; a small part of it."""
        known = now >= self.ended_at + self.agent.billed_after_s
        charging = {"llm_price": self.llm_micro_usd / 1_000_000} if known else {}
        return {
            "conversation_id": conversation_id,
            "status": "done" if known else "processing",
            "metadata": {"call_duration_secs": self.ms // 1000, "charging": charging},
        }


class AgentHouse:
    """All agents of an account. `updates`, `openings` and `pongs` are what clients have sent."""

    def __init__(self, agents: Mapping[str, LabAgent] | None, faults: FaultPlan | None) -> None:
        self.agents = dict(agents or {AGENT_ID: LabAgent(ReceptionistMind())})
        self.faults = faults or FaultPlan()
        self.talking: set[TalkSession] = set()
        self.openings: list[dict[str, Any]] = []
        self.updates: list[str] = []
        self.results: list[dict[str, Any]] = []
        self.pongs = 0
        self.talked: dict[str, Talked] = {}
        self._signed: dict[str, str] = {}  # by token, until it is used

    def routes(self, lab: ElevenLabsLab) -> list[Route | WebSocketRoute]:
        """The paths of the agents platform."""

        async def talk(socket: WebSocket) -> None:
            await TalkSession(lab, self, socket).run()

        async def sign(request: Request) -> Response:
            agent_id = request.query_params.get("agent_id", "")
            if (refusal := self._refusal(lab, request, agent_id)) is not None:
                return refusal
            token = f"cvtkn_{lab.number()}"
            self._signed[token] = agent_id
            address = f"ws{lab.url.removeprefix('http')}/v1/convai/conversation"
            return JSONResponse({"signed_url": f"{address}?agent_id={agent_id}&token={token}"})

        async def describe(request: Request) -> Response:
            agent_id = request.path_params["agent_id"]
            refusal = self._refusal(lab, request, agent_id)
            return refusal or JSONResponse(_described(agent_id, self.agents[agent_id]))

        async def tell(request: Request) -> Response:
            if request.headers.get("xi-api-key") != lab.key:
                return problem(401, "invalid_api_key")
            conversation_id = request.path_params["conversation_id"]
            talked = self.talked.get(conversation_id)
            if talked is None:
                return problem(404, "conversation_not_found")
            now = asyncio.get_running_loop().time()
            return JSONResponse(talked.described(conversation_id, now))

        return [
            WebSocketRoute("/v1/convai/conversation", talk),
            Route("/v1/convai/conversations/{conversation_id}", tell),
            Route("/v1/convai/conversation/get-signed-url", sign),
            Route("/v1/convai/agents/{agent_id}", describe),
        ]

    def end(
        self, lab: ElevenLabsLab, conversation_id: str, agent: LabAgent, *, ms: int, thoughts: int
    ) -> None:
        """A conversation is over: bill it."""
        cost = thoughts * agent.llm_micro_usd
        ended_at = asyncio.get_running_loop().time()
        self.talked[conversation_id] = Talked(agent, ended_at, ms, cost)
        lab.meter.converse(ms, cost)

    def admitted(self, agent_id: str, token: str) -> LabAgent | None:
        """The agent that this address leads to; a token is used up."""
        agent = self.agents.get(agent_id)
        if agent is None or (not agent.public and self._signed.pop(token, "") != agent_id):
            return None
        return agent

    def _refusal(self, lab: ElevenLabsLab, request: Request, agent_id: str) -> Response | None:
        if request.headers.get("xi-api-key") != lab.key:
            return problem(401, "invalid_api_key")
        return None if agent_id in self.agents else problem(404, "agent_not_found")


def _described(agent_id: str, agent: LabAgent) -> dict[str, Any]:
    """What the service tells of an agent; a small part of it."""
    allowed = {name: name in agent.overrides for name in ("first_message", "language")}
    voice = {"voice_id": "voice_id" in agent.overrides}
    return {
        "agent_id": agent_id,
        "name": "Lab",
        "conversation_config": {
            "asr": {"user_input_audio_format": agent.audio_format},
            "tts": {"agent_output_audio_format": agent.audio_format},
            "conversation": {"client_events": list(agent.client_events)},
            "agent": {"first_message": agent.first_message, "language": "en"},
        },
        "platform_settings": {
            "overrides": {"conversation_config_override": {"agent": allowed, "tts": voice}}
        },
        "metadata": {"created_at_unix_secs": 0, "updated_at_unix_secs": 0},
    }
