"""A whole server and its carrier, with humans to put callers through to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import msgspec

import db
from benchmarks.trivial import TONE, Engines
from voice_server import settings as configuration
from voice_server.app import Server, open_server
from voice_server.call import Phase
from voice_server.call.events import ReplyEnded, ReplyText, SpeechReady, ToolRequested
from voice_server.call.history import AgentSaid, History
from voice_server.call.policy import Policy
from voice_server.call.voice_activity import loudness
from voice_server.outbound import DialOrder
from voice_server.ports import CallFacts, ReplyRequest
from voice_server.serving import serving
from voice_server.testing.caller import AUDIBLE, Caller, Move
from voice_server.testing.faults import DialResult, Pickup
from voice_server.testing.lab.twilio import Callee, TwilioLab, open_twilio
from voice_server.testing.lab.twilio_call import LabCall
from voice_server.transfer_book import TransferBook

PUBLIC = "https://voice.localhost"

HUMAN = "+12025550177"
VOICE = b"\x20\xa0" * 80
MISSED = Policy().transfer_missed
LEG, OUTBOUND = "twilio.voice_transfer.minutes", "twilio.voice_outbound.minutes"
HEARD = "Can you tell me how much that is going to cost?"  # whatever the trivial ears hear


class Polite:
    """Answers in half a second whatever is said, once it has been said."""

    def __init__(self) -> None:
        self._quiet = self._owed = 0

    def move(self, heard: bytes, now_ms: int) -> Move:
        if now_ms > 60_000:
            return Move(hangs_up=True)
        if loudness(heard) >= AUDIBLE:
            self._quiet, self._owed = 0, 25
        else:
            self._quiet += 1
        if self._owed and self._quiet > 10:
            self._owed -= 1
            return Move(VOICE)
        return Move()


class ShortVoice:
    """A fifth of a second of a tone for every text."""

    async def speak(
        self, turn: int, pieces: AsyncIterator[str], facts: CallFacts
    ) -> AsyncGenerator[SpeechReady, None]:
        async for piece in pieces:
            yield SpeechReady(turn, TONE[:1_600], piece)

    async def warm(self, texts: Iterable[str]) -> None: ...


def engines() -> Engines:
    made = Engines()
    made.text_to_speech = ShortVoice()
    return made


class PutsThrough:
    """Hands over at once, and when nobody was there says goodbye."""

    def __init__(self) -> None:
        self.histories: list[History] = []

    async def reply(
        self, request: ReplyRequest
    ) -> AsyncGenerator[ReplyText | ToolRequested | ReplyEnded, None]:
        self.histories.append(request.history)
        said = [entry.text for entry in request.history if isinstance(entry, AgentSaid)]
        tool = "end_call" if MISSED in said else "transfer_call"
        yield ReplyText(request.turn, "One moment.")
        yield ToolRequested(request.turn, f"r{request.turn}", tool, "{}")
        yield ReplyEnded(request.turn)


class House:
    """A server, its carrier, and an agent of its own who answers `number`."""

    def __init__(self, server: Server, lab: TwilioLab, agent: db.AgentRow, mind: Any) -> None:
        self.server = server
        self.lab = lab
        self.mind = mind
        self.number = agent.phone_number
        self._agent = agent

    async def call(self) -> tuple[db.CallRecord, dict[str, Any]]:
        """The agent calls somebody; returns the session and its metadata, all being over."""
        number = f"+1202{uuid4().int % 9_000_000 + 1_000_000}"
        order = DialOrder(f"dial-{uuid4()}", self._agent, number)
        office = self.server.desk._outbound
        await office.dialler.dial(order)
        await self.settled()
        await office.flush()
        return await self.record(order.call_id)

    def ring(self, caller: Caller) -> LabCall:
        """Somebody calls the agent."""
        self.lab.numbers["PN1"] = {
            "phone_number": self.number,
            "voice_url": f"{PUBLIC}/twilio/voice",
            "status_callback": f"{PUBLIC}/twilio/status",
        }
        return self.lab.ring(self.number, "+12025550143", Callee(caller=caller))

    async def settled(self) -> None:
        """Wait until all calls are over and noted."""
        await self.lab.settle()
        if runs := self.server.desk.runs:
            await asyncio.wait(runs)
        await self.book.flush()

    async def record(self, call_id: str) -> tuple[db.CallRecord, dict[str, Any]]:
        """How a call is stored."""
        await self.server.outbox.flush()
        record = await db.PostgresCallRecords(self.server.pool).call(call_id)
        assert record is not None
        return record, msgspec.json.decode(record.metadata)

    async def costs(self, call_id: str) -> dict[str, int]:
        """What the carrier sells, as we have booked it."""
        await self.server.outbox.flush()
        async with self.server.pool.server() as connection:
            rows = await connection.fetch(
                "SELECT item, sum(quantity)::int AS n FROM call_costs WHERE call_id = $1 "
                "AND item LIKE 'twilio.%' GROUP BY item",
                call_id,
            )
        booked = {row["item"]: row["n"] for row in rows}
        if LEG in booked:  # the carrier bills it as any call that is placed
            booked[OUTBOUND] = booked.get(OUTBOUND, 0) + booked.pop(LEG)
        return booked

    @property
    def metered(self) -> dict[str, int]:
        """What the carrier bills."""
        return dict(self.lab.meter)

    @property
    def calls(self) -> list[str]:
        """Our ids of the calls that came in."""
        return list(self.server.desk._by_carrier.values())

    def phases(self) -> list[Phase]:
        """Where the live calls are."""
        return [driver.call.phase for driver in self.server.desk._live.values()]

    @property
    def book(self) -> TransferBook:
        """What this server shares with others."""
        return self.server.desk._handovers._book


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@asynccontextmanager
async def carrier(
    port: int,
    *,
    human: Callee | None = None,
    dial: DialResult = DialResult(),  # noqa: B008 - frozen
) -> AsyncIterator[TwilioLab]:
    """`human` picks up the phone that a warm transfer rings; `dial` is how a blind one goes."""

    def callee(form: Mapping[str, str]) -> Callee:
        if form["To"] == HUMAN:
            assert human is not None
            return human
        return Callee(pickup=Pickup(after_s=0.01), caller=Polite(), dial=dial)

    async with open_twilio(
        connect_to={PUBLIC.removeprefix("https://"): f"127.0.0.1:{port}"},
        callees=callee,
        calls_per_s=100.0,
        price_after_s=0.0,
    ) as lab:
        yield lab


class Account(Protocol):
    """Where a carrier's API is, and who we are there; `TwilioLab`."""

    url: str
    account_sid: str
    auth_token: str


def settings_at(port: int, carrier: Account, url: str, folder: Path) -> configuration.Settings:
    """Of a server that the carrier reaches at `port`."""
    return configuration.load(
        {
            "port": port,
            "data_dir": folder,
            "public_url": PUBLIC,
            "insecure_webhooks": False,
            "drain_s": 0,
            "twilio_api_url": carrier.url,
            "DATABASE_URL": url,
            "TWILIO_AUTH_TOKEN": carrier.auth_token,
            "TWILIO_ACCOUNT_SID": carrier.account_sid,
        }
    )


@asynccontextmanager
async def server_at(
    port: int, carrier: Account, url: str, folder: Path, mind: PutsThrough
) -> AsyncIterator[Server]:
    """A server that the carrier reaches at `port`."""
    settings = settings_at(port, carrier, url, folder)
    async with (
        open_server(settings, engines=engines(), language_model=mind) as server,
        serving(server),
    ):
        yield server


async def agent_of(server: Server, **behaviour: Any) -> db.AgentRow:
    """An agent of the demo tenant with a number of its own."""
    agent = await db.PostgresAgentDirectory(server.pool).by_id(db.DEMO_AGENT_ID)
    assert agent is not None
    async with server.pool.server() as connection:
        agent_id = f"agent-{uuid4()}"
        await connection.execute(
            "INSERT INTO ai_agents (id, user_id, name, status, behavior_config) "
            "VALUES ($1, $2, $1, 'active', $3)",
            agent_id,
            agent.user_id,
            msgspec.json.encode(BEHAVIOUR | behaviour).decode(),
        )
        await connection.execute(
            "INSERT INTO phone_numbers (number, user_id, agent_id) VALUES ($1, $2, $3)",
            f"+1303{uuid4().int % 9_000_000 + 1_000_000}",
            agent.user_id,
            agent_id,
        )
    own = await db.PostgresAgentDirectory(server.pool).by_id(agent_id)
    assert own is not None
    return own


@asynccontextmanager
async def house(
    url: str,
    folder: Path,
    *,
    human: Callee | None = None,
    dial: DialResult = DialResult(),  # noqa: B008 - frozen
    **behaviour: Any,
) -> AsyncIterator[House]:
    """A server with its carrier and an agent."""
    port, mind = free_port(), PutsThrough()
    async with (
        carrier(port, human=human, dial=dial) as lab,
        server_at(port, lab, url, folder, mind) as server,
    ):
        yield House(server, lab, await agent_of(server, **behaviour), mind)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def picks_up(presses: str = "1", stays_s: float = 2.0, **pickup: Any) -> Callee:
    return Callee(
        pickup=Pickup(after_s=0.05, presses=presses, **pickup),
        dial=DialResult(duration_s=stays_s),
    )


BEHAVIOUR = {"transfer_number": HUMAN, "greeting": "Hi.", "end_of_turn_ms": 200}
WARM = {"transfer_mode": "warm", "transfer_whisper": "A call from the plumber's line."}
