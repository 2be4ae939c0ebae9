"""Every engine of a call on this machine, and the ways in which each can fail on command."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from benchmarks.faults.gate import Gate, Streams, open_gate, through
from voice_server.call.history import CallerSaid, ToolUsed
from voice_server.llm.tools import END_CALL, LOOK_UP_ORDER, SEARCH_WEB
from voice_server.testing.lab.anthropic import messages
from voice_server.testing.lab.elevenlabs import ElevenLabsLab, open_elevenlabs
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID, LabAgent
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.mind import Asked, Said, Wanted
from voice_server.testing.lab.model import ModelSimulator
from voice_server.testing.lab.openai import chat_completions
from voice_server.testing.lab.serpapi import SerpApiSimulator

STALL_S: Final = 30.0
REFUSED: Final = "refused connection"
FAULTS: Final[dict[str, Injection | None]] = {
    "slow first byte": Injection(Fault.SLOW_FIRST_BYTE, 0, STALL_S),
    "stall of 30 s": Injection(Fault.STALL, 20, STALL_S),
    "dropped": Injection(Fault.DROP, 20),
    "garbage": Injection(Fault.GARBAGE, 20),
    "401": Injection(Fault.UNAUTHORIZED),
    "429": Injection(Fault.RATE_LIMITED),
    "500": Injection(Fault.SERVER_ERROR),
    "quota used up": Injection(Fault.QUOTA),
    "unknown close code": Injection(Fault.CLOSE, 20, code=4321),
    REFUSED: None,
}
ENGINES: Final = (
    *("ears", "voice", "ElevenLabs", "hosted agent", "OpenAI", "Anthropic", "both models"),
    *("search", "Postgres", "Firebase"),
)
_STATES: Final = {  # what Postgres says instead
    "garbage": b"no message of this protocol",
    "401": b"28P01",
    "429": b"53300",
    "500": b"XX000",
    "quota used up": b"53100",
}
_PLEASE_SEARCH, _PLEASE_CHECK, _GOODBYE = "look up", "check", "goodbye"
SAID: Final = (
    f"Please {_PLEASE_SEARCH} the opening hours.",
    f"Please {_PLEASE_CHECK} my order.",
    f"Thank you, {_GOODBYE}.",
)


class Switch(FaultPlan):
    """All requests and connections meet one fate, which changes on command."""

    def __init__(self) -> None:
        super().__init__()
        self.fate = Injection()

    def take(self) -> Injection:
        """The fate of the next one."""
        self.seen += 1
        return self.fate


async def guide(asked: Asked) -> Said:
    """What the models say: two tools, a long answer after each, and a closing."""
    newest = asked.history[-1] if asked.history else None
    if isinstance(newest, ToolUsed):
        return Said(
            "Thank you for waiting. I have found what you are asking for. "
            "It is all in order, and you need not do anything about it. Bye for now, or go on."
        )
    said = newest.text if isinstance(newest, CallerSaid) else ""
    if _PLEASE_SEARCH in said:
        return Said("One moment.", (Wanted(SEARCH_WEB, '{"query":"opening hours"}'),))
    if _PLEASE_CHECK in said:
        return Said("One moment.", (Wanted(LOOK_UP_ORDER, '{"customer_phone":"+12025550143"}'),))
    if _GOODBYE in said:
        return Said("Thank you for calling. Have a nice day. Goodbye.", (Wanted(END_CALL, "{}"),))
    return Said("All right. I am glad to help you with that. Tell me more about it.")


class World:
    """The engines. `strike` makes one fail from then on, `heal` makes all well again."""

    def __init__(
        self,
        speech: ElevenLabsLab,
        search: SerpApiSimulator,
        gates: dict[str, Gate],
        switches: dict[str, tuple[Switch, ...]],
        settings: dict[str, Any],
    ) -> None:
        self.search = search
        self.settings = settings
        self._speech = speech
        self._gates = gates
        self._switches = switches

    def strike(self, engine: str, fault: str) -> None:
        """Let an engine fail; its live connections, where it has any, do so at once."""
        gate = self._gates.get(engine)
        if engine == "Postgres":
            assert gate is not None
            _strike_postgres(gate, fault)
        elif (fate := FAULTS[fault]) is not None:
            for switch in self._switches[engine]:
                switch.fate = fate
            for session in self._sessions(engine):
                session.wire.meet(fate)
        else:
            for name in _GATES_OF[engine]:
                self._gates[name].refuse()

    def _sessions(self, engine: str) -> list[Any]:
        speech = self._speech
        ears, voices, talks = speech.ears, speech.voices_open, speech.house.talking
        open_now: dict[str, list[Any]] = {
            "ears": [*ears],
            "voice": [*voices],
            "ElevenLabs": [*ears, *voices],
            "hosted agent": [*talks],
        }
        return open_now.get(engine, [])

    async def heal(self) -> None:
        """The weather is fine again."""
        for switches in self._switches.values():
            for switch in switches:
                switch.fate = Injection()
        for gate in self._gates.values():
            await gate.open()


_GATES_OF: Final = {
    "ElevenLabs": ("ElevenLabs",),
    "hosted agent": ("ElevenLabs",),
    "OpenAI": ("OpenAI",),
    "Anthropic": ("Anthropic",),
    "both models": ("OpenAI", "Anthropic"),
    "search": ("search",),
}


def can_fail(engine: str, fault: str) -> bool:
    """Whether this engine can fail in this way."""
    if fault == REFUSED:
        return engine == "Postgres" or engine in _GATES_OF
    if fault == "unknown close code":
        return engine in ("ears", "voice", "ElevenLabs", "hosted agent")
    return not (engine == "Firebase" and fault == "quota used up")


def _strike_postgres(gate: Gate, fault: str) -> None:
    if fault == REFUSED:
        gate.refuse()
    elif fault in ("slow first byte", "stall of 30 s"):
        gate.stall(STALL_S)
    elif (said := _STATES.get(fault)) is None:
        gate.kill()
    elif fault == "garbage":
        gate.kill(said)
    else:
        fields = b"SFATAL\0VFATAL\0C" + said + b"\0Mno\0\0"
        gate.kill(b"E" + struct.pack("!i", len(fields) + 4) + fields)


@asynccontextmanager
async def open_world(postgres_url: str, firebase: FirebaseLab) -> AsyncIterator[World]:
    """All engines but Firebase, which lives elsewhere; a server is pointed there by `settings`."""
    ears, voice, http, talk, openai, anthropic, search, mirror = (Switch() for _ in range(8))
    minds: dict[str, ModelSimulator] = {
        "OpenAI": ModelSimulator(chat_completions(), mind=guide, plan=openai),
        "Anthropic": ModelSimulator(messages(), mind=guide, plan=anthropic),
    }
    finder = SerpApiSimulator(plan=search, searches_left=1_000_000)
    firebase.plan = mirror
    async with AsyncExitStack() as stack:
        speech = await stack.enter_async_context(
            open_elevenlabs(
                ears_faults=ears,
                voice_faults=voice,
                http_faults=http,
                agent_faults=talk,
                agents={AGENT_ID: LabAgent(guide)},
            )
        )
        services = {"ElevenLabs": speech.url}
        services["search"] = await stack.enter_async_context(hosting(finder.app))
        for name, simulator in minds.items():
            services[name] = await stack.enter_async_context(hosting(simulator.app))
        gates, urls = {}, {}
        for name, url in services.items():
            gates[name] = await stack.enter_async_context(open_gate(_way(url)))
            urls[name] = "http://{}:{}".format(*gates[name].address)
        gates["Postgres"] = await stack.enter_async_context(
            open_gate(_way_to_postgres(postgres_url), is_postgres=True)
        )
        settings = {
            "ELEVENLABS_API_KEY": speech.key,
            "elevenlabs_api_url": urls["ElevenLabs"],
            "OPENAI_API_KEY": "lab-openai-key",
            "openai_api_url": f"{urls['OpenAI']}/v1",
            "ANTHROPIC_API_KEY": "lab-anthropic-key",
            "anthropic_api_url": urls["Anthropic"],
            "SERPAPI_API_KEY": "lab-serpapi-key",
            "serpapi_api_url": urls["search"],
            "database_url": _over(postgres_url, gates["Postgres"]),
        }
        switches = {
            "ears": (ears,),
            "voice": (voice, http),
            "ElevenLabs": (ears, voice, http),
            "hosted agent": (talk,),
            "OpenAI": (openai,),
            "Anthropic": (anthropic,),
            "both models": (openai, anthropic),
            "search": (search,),
            "Firebase": (mirror,),
        }
        yield World(speech, finder, gates, switches, settings)


def _way(url: str) -> Callable[[], Any]:
    return lambda: through(url)


def _way_to_postgres(url: str) -> Callable[[], Any]:
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    folder = asked.get("host", [""])[0]

    async def reach() -> Streams:
        if folder.startswith("/"):
            port = asked.get("port", ["5432"])[0]
            return await asyncio.open_unix_connection(Path(folder) / f".s.PGSQL.{port}")
        return await asyncio.open_connection(parts.hostname, parts.port or 5432)

    return reach


def _over(url: str, gate: Gate) -> str:
    """The same database, through a gate."""
    parts = urlsplit(url)
    user = parts.username or parse_qs(parts.query).get("user", ["postgres"])[0]
    host, port = gate.address
    return f"postgresql://{user}@{host}:{port}{parts.path}"


@contextmanager
def firebase_elsewhere(lab: FirebaseLab) -> Iterator[str]:
    """Firebase on a loop of its own in real time, as it is for the mirror's thread."""
    ready, stop, found = threading.Event(), asyncio.Event(), list[Any]()

    async def serve() -> None:
        async with hosting(lab.app) as url:
            found.extend((asyncio.get_running_loop(), lab.database_url(url)))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="firebase")
    thread.start()
    assert ready.wait(10)
    loop, url = found
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


class Moment(msgspec.Struct, frozen=True):
    """When a fault begins: so much of the caller was heard, so much of us since."""

    spoke_ms: int = 0
    heard_ms: int = 0
    speaking: bool = False
    searched: bool = False


_WORD_MS = 300
_ENDS = [sum(len(said.split()) for said in SAID[: n + 1]) * _WORD_MS for n in range(len(SAID))]
MOMENTS: Final = {
    "greeting": Moment(),
    "listening": Moment(spoke_ms=400, speaking=True),
    "thinking": Moment(spoke_ms=_ENDS[0]),
    "tool running": Moment(spoke_ms=_ENDS[0], searched=True),
    "speaking": Moment(spoke_ms=_ENDS[0], heard_ms=1_500, searched=True),
    "closing": Moment(spoke_ms=_ENDS[2]),
}
CHECKING: Final = Moment(spoke_ms=_ENDS[1])  # the tool that runs is the database's
