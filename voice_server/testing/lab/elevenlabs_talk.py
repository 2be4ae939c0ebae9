"""One conversation with a simulated agent: its socket, its ears and its turns."""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
import math
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_server.call.history import AgentSaid, CallerSaid, Entry, ToolUsed
from voice_server.llm.tools import END_CALL
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs_socket import FaultySocket
from voice_server.testing.lab.elevenlabs_voice import spell_out
from voice_server.testing.lab.faults import Fault
from voice_server.testing.lab.inbox import Inbox, open_inbox
from voice_server.testing.lab.mind import Asked, Rebuilt, Wanted

if TYPE_CHECKING:
    from voice_server.testing.lab.elevenlabs import ElevenLabsLab
    from voice_server.testing.lab.elevenlabs_agents import AgentHouse, LabAgent

_TOOL_S = 20.0
_MOST_MOVES = 6  # of the mind in one turn
_INTERRUPTS_MS = 200  # so much of a voice stops the agent
_LEAD_BYTES = 2400  # kept of the silence before speech
_QUOTA = "quota_exceeded"
_ERRORS = {
    Fault.UNAUTHORIZED: "unknown",
    Fault.RATE_LIMITED: "unknown",
    Fault.SERVER_ERROR: "unknown",
    Fault.QUOTA: _QUOTA,
}
_Message = dict[str, Any]


class TalkSession:
    """One connection; `run` it to its end."""

    def __init__(self, lab: ElevenLabsLab, house: AgentHouse, socket: WebSocket) -> None:
        self._lab = lab
        self._house = house
        self._socket = socket
        self.wire = FaultySocket(socket, house.faults.take(), self._fail, _ERRORS)
        self._loop = asyncio.get_running_loop()
        self._agent: LabAgent
        self._id = f"conv_{lab.number()}"
        self._numbers = itertools.count(1)
        self._number = 0  # of the turn in progress
        self._history: list[Entry] = []
        self._turn: asyncio.Task[None] | None = None
        self._thoughts = 0
        self._failed_at = math.inf  # an error of ours ends the conversation, not the socket's end
        self._results: dict[str, asyncio.Future[str]] = {}
        self._hearing = bytearray()
        self._voiced_ms = self._quiet_ms = self._partial_ms = 0
        self._tentative = ""
        self._response = ""
        self._speaks_from = self._speaks_until = 0.0

    async def run(self) -> None:
        """Handshake, opening, then messages until either side closes."""
        query = self._socket.query_params
        agent = self._house.admitted(query.get("agent_id", ""), query.get("token", ""))
        admitted = await self.wire.admit((403, "not_allowed") if agent is None else None)
        if agent is None or not admitted:
            return
        self._agent = agent
        self._house.talking.add(self)
        began: float | None = None
        pinging = self._loop.create_task(self._ping(), name="lab agent ping")
        try:
            async with open_inbox(self._socket, msgspec.json.decode) as inbox:
                if await self._open(inbox):
                    began = self._loop.time()
                    await self._converse(inbox)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the peer is gone, or we have closed
        finally:
            if began is not None:
                ms = int((min(self._loop.time(), self._failed_at) - began) * 1000 + 1e-6)
                self._house.end(self._lab, self._id, self._agent, ms=ms, thoughts=self._thoughts)
            self._house.talking.discard(self)
            tasks = [pinging, *filter(None, [self._turn])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # the peer may be gone

    async def _open(self, inbox: Inbox[_Message]) -> bool:
        opening = await inbox.get()
        self._house.openings.append(opening)
        await self.wire.hesitate()
        await self.wire.pass_by(0)
        if self.wire.dying:
            return False
        override = opening.get("conversation_config_override", {})
        agent, voice = override.get("agent", {}), override.get("tts", {})
        for name in (*agent, *voice):
            if name not in self._agent.overrides:
                reason = f"Override for field '{name}' is not allowed by config."
                await self.wire.close(1008, reason)
                return False
        for name in self._agent.variables:
            if name not in opening.get("dynamic_variables", {}):
                await self._fail("missing_dynamic_variable")
                return False
        await self._tell(
            "conversation_initiation_metadata",
            "conversation_initiation_metadata_event",
            conversation_id=self._id,
            agent_output_audio_format=self._agent.audio_format,
            user_input_audio_format=self._agent.audio_format,
        )
        if first := agent.get("first_message", self._agent.first_message):
            self._begin_turn()
            self._turn = self._loop.create_task(self._say(first), name="lab agent")
        return True

    async def _converse(self, inbox: Inbox[_Message]) -> None:
        while True:
            message = await inbox.get()
            if self.wire.dying or self.wire.stalled:
                continue  # read on, so that the peer is seen to go
            if (chunk := message.get("user_audio_chunk")) is not None:
                try:
                    await self._hear(base64.b64decode(chunk, validate=True))
                except binascii.Error:
                    await self._fail("invalid_message")
            else:
                await self._take(message)

    async def _take(self, message: _Message) -> None:
        match message.get("type"):
            case "pong":
                self._house.pongs += 1
            case "contextual_update":
                self._house.updates.append(message["text"])
            case "user_message":
                rebuilt = Rebuilt()
                rebuilt.caller(message["text"])
                await self._answer(*rebuilt.history)
            case "client_tool_result":
                self._house.results.append(message)
                future = self._results.pop(message.get("tool_call_id", ""), None)
                if future is not None and not future.done():
                    future.set_result(message["result"])
            case "user_activity" | "feedback":
                pass
            case _:
                await self._fail("invalid_message")

    # Ears.

    async def _hear(self, audio: bytes) -> None:
        await self.wire.pass_by(len(audio))
        if self.wire.stalled:
            return
        ms, voiced = len(audio) // 8, sound.voiced(audio)
        self._hearing += audio
        if voiced:
            self._voiced_ms, self._quiet_ms = self._voiced_ms + ms, 0
        elif self._voiced_ms:
            self._quiet_ms += ms
        else:
            del self._hearing[:-_LEAD_BYTES]
        if self._voiced_ms >= _INTERRUPTS_MS and self._speaks:
            await self._interrupt()
        await self._guess(ms)
        if self._voiced_ms and self._quiet_ms >= self._agent.turn_s * 1000:
            await self._understand()

    async def _guess(self, ms: int) -> None:
        self._partial_ms += ms
        if self._partial_ms < self._lab.delays.partial_every_ms or not self._voiced_ms:
            return
        self._partial_ms = 0
        text = self._lab.hypothesis(bytes(self._hearing))
        if text and text != self._tentative:
            self._tentative = text
            await self._tell(
                "tentative_user_transcript",
                "tentative_user_transcription_event",
                user_transcript=text,
                event_id=self._number + 1,
            )

    async def _understand(self) -> None:
        audio = bytes(self._hearing)
        self._hearing.clear()
        self._voiced_ms = self._quiet_ms = 0
        self._tentative = ""
        text = await self._lab.recognise(audio)
        if text:
            await self._tell(
                "user_transcript",
                "user_transcription_event",
                user_transcript=text,
                event_id=self._number + 1,
            )
            await self._answer(CallerSaid(text))

    # Turns.

    @property
    def _speaks(self) -> bool:
        return self._loop.time() < self._speaks_until

    def _begin_turn(self) -> None:
        self._number = next(self._numbers)

    async def _answer(self, *entries: Entry) -> None:
        await self._stop()
        self._history += entries
        self._begin_turn()
        self._thoughts += 1
        self._turn = self._loop.create_task(self._think(), name="lab agent")

    async def _stop(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            await asyncio.gather(self._turn, return_exceptions=True)

    async def _think(self) -> None:
        for _ in range(_MOST_MOVES):
            await asyncio.sleep(self._agent.think_s)
            said = await self._agent.mind(Asked("", tuple(self._history), self._agent.tools))
            if said.text.strip():
                await self._say(said.text.strip())
            asked = [tool for tool in said.tools if tool.name != END_CALL]
            for tool in asked:
                await self._use(tool)
            if len(said.tools) > len(asked):
                await self.part()
                return
            if not asked:
                return

    async def _say(self, text: str) -> None:
        await asyncio.sleep(self._lab.delays.first_audio_s)
        self._response = text
        self._speaks_from = self._speaks_until = self._loop.time()
        self._history.append(AgentSaid(text, False, ""))
        await self._tell(
            "agent_response",
            "agent_response_event",
            agent_response=f"{text} ",
            event_id=self._number,
        )
        async for part, audio in spell_out(self._lab, text):
            self._speaks_until += len(audio) / 8000
            event = {"audio_base_64": base64.b64encode(audio).decode(), "event_id": self._number}
            if self._agent.alignment:
                length = len(audio) // 8 // len(part)
                event["alignment"] = {
                    "chars": list(part),
                    "char_start_times_ms": [at * length for at in range(len(part))],
                    "char_durations_ms": [length] * len(part),
                }
            await self._tell("audio", "audio_event", **event)
        await self._tell(
            "agent_response_complete", "agent_response_complete_event", event_id=self._number
        )

    async def _use(self, tool: Wanted) -> None:
        key = f"tool_{self._lab.number()}"
        self._history.append(ToolUsed(key, tool.name, tool.arguments, None))
        future = self._results[key] = self._loop.create_future()
        await self._tell(
            "client_tool_call",
            "client_tool_call",
            tool_name=tool.name,
            tool_call_id=key,
            parameters=msgspec.json.decode(tool.arguments),
            expects_response=True,
            event_id=self._number,
        )
        try:
            async with asyncio.timeout(_TOOL_S):
                result = await future
        except TimeoutError:
            result = '{"error": {"problem": "the client does not answer"}}'
        place = next(
            n
            for n, e in enumerate(self._history)
            if isinstance(e, ToolUsed) and e.request_id == key
        )
        self._history[place] = ToolUsed(key, tool.name, tool.arguments, result)

    async def part(self) -> None:
        """Use the system tool that ends the conversation once its words were played."""
        await self._tell(
            "agent_tool_response",
            "agent_tool_response",
            tool_name=END_CALL,
            tool_call_id=f"tool_{self._lab.number()}",
            tool_type="system",
            is_error=False,
            is_called=True,
            event_id=self._number,
        )
        await asyncio.sleep(max(0.0, self._speaks_until - self._loop.time()))
        await self.wire.close(1000)

    async def _interrupt(self) -> None:
        """The caller talks into the agent's words: what was not played was not said."""
        length = self._speaks_until - self._speaks_from
        share = (self._loop.time() - self._speaks_from) / length if length else 0.0
        await self._stop()
        self._speaks_until = 0.0
        heard = self._response[: int(len(self._response) * min(1.0, share))].rsplit(" ", 1)[0]
        self._history[-1:] = [
            AgentSaid(heard, True, "") if isinstance(entry, AgentSaid) else entry
            for entry in self._history[-1:]
        ]
        await self._tell("interruption", "interruption_event", event_id=self._number)
        await self._tell(
            "agent_response_correction",
            "agent_response_correction_event",
            original_agent_response=self._response,
            corrected_agent_response=f"{heard}...",
            event_id=self._number,
        )

    # The wire.

    async def _ping(self) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(self._agent.ping_s)
            await self._tell("ping", "ping_event", event_id=number, ping_ms=20)

    async def _tell(self, kind: str, body: str, **fields: Any) -> None:
        if kind in self._agent.client_events:
            await self.wire.send({"type": kind, body: fields})

    async def _fail(self, error_type: str) -> None:
        if error_type == _QUOTA:  # which it has no message for
            await self.wire.close(1008, error_type)
            return
        code = 1011 if error_type == "unknown" else 1008
        error = {"code": code, "error_type": error_type, "message": "what it has to say"}
        await self.wire.send({"type": "client_error", "error_event": error})
        self._failed_at = self._loop.time()
        await self.wire.close(code)
