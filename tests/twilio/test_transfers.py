"""Callers are put through to humans by a whole server, and come back when nobody takes them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

import db
from benchmarks.trivial import TONE, Engines
from voice_server import settings as configuration
from voice_server.app import Server, open_server
from voice_server.call.events import ReplyEnded, ReplyText, SpeechReady, ToolRequested
from voice_server.call.history import AgentSaid, History
from voice_server.call.policy import Policy
from voice_server.call.voice_activity import loudness
from voice_server.outbound import DialOrder
from voice_server.ports import CallFacts, ReplyRequest
from voice_server.runtime.replay import replay
from voice_server.serving import serving
from voice_server.testing.caller import AUDIBLE, Move
from voice_server.testing.dialling import MUSIC
from voice_server.testing.faults import DialResult, Pickup
from voice_server.testing.lab.twilio import Callee, TwilioLab, open_twilio

pytestmark = pytest.mark.postgres

PUBLIC = "https://voice.localhost"
HUMAN = "+12025550177"
VOICE = b"\x20\xa0" * 80
MISSED = Policy().transfer_missed
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
    """A server, its carrier, and an agent of its own."""

    def __init__(self, server: Server, lab: TwilioLab, agent: db.AgentRow, mind: Any) -> None:
        self.server = server
        self.lab = lab
        self.mind = mind
        self._agent = agent

    async def call(self) -> tuple[db.CallRecord, dict[str, Any]]:
        """The agent calls somebody; returns the session and its metadata, all being over."""
        number = f"+1202{uuid4().int % 9_000_000 + 1_000_000}"
        order = DialOrder(f"dial-{uuid4()}", self._agent, number)
        office = self.server.desk._outbound
        await office.dialler.dial(order)
        await self.lab.settle()
        if runs := self.server.desk.runs:
            await asyncio.wait(runs)
        await office.flush()
        await self.server.outbox.flush()
        record = await db.PostgresCallRecords(self.server.pool).call(order.call_id)
        assert record is not None
        return record, msgspec.json.decode(record.metadata)

    async def costs(self, call_id: str) -> dict[str, int]:
        async with self.server.pool.server() as connection:
            rows = await connection.fetch(
                "SELECT item, sum(quantity)::int AS n FROM call_costs WHERE call_id = $1 "
                "AND item LIKE 'twilio.%' GROUP BY item",
                call_id,
            )
        return {row["item"]: row["n"] for row in rows}

    @property
    def metered(self) -> dict[str, int]:
        """What the carrier bills; humans' legs are an item of their own with us."""
        return dict(self.lab.meter)


@asynccontextmanager
async def house(
    url: str,
    folder: Path,
    *,
    human: Callee | None = None,
    dial: DialResult = DialResult(),  # noqa: B008 - frozen
    **behaviour: Any,
) -> AsyncIterator[House]:
    """`human` picks up the phone that a warm transfer rings; `dial` is how a blind one goes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]

    def callee(form: Mapping[str, str]) -> Callee:
        if form["To"] == HUMAN:
            assert human is not None
            return human
        return Callee(pickup=Pickup(after_s=0.01), caller=Polite(), dial=dial)

    async with open_twilio(
        connect_to=f"127.0.0.1:{port}", callees=callee, calls_per_s=100.0, price_after_s=0.0
    ) as lab:
        settings = configuration.load(
            {
                "port": port,
                "data_dir": folder,
                "public_url": PUBLIC,
                "insecure_webhooks": False,
                "drain_s": 0,
                "twilio_api_url": lab.url,
                "DATABASE_URL": url,
                "TWILIO_AUTH_TOKEN": lab.auth_token,
                "TWILIO_ACCOUNT_SID": lab.account_sid,
            }
        )
        mind = PutsThrough()
        async with (
            open_server(settings, engines=engines(), language_model=mind) as server,
            serving(server),
        ):
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
            yield House(server, lab, own, mind)


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


async def test_a_human_who_takes_a_blind_transfer_ends_the_agents_part(
    postgres: str, tmp_path: Path
):
    async with house(postgres, tmp_path, dial=DialResult("completed", 2.0)) as home:
        record, told = await home.call()
        (call,) = home.lab.calls
        assert call.report.dialled == (HUMAN,)
        assert call.report.errors == ()
        assert call.report.verbs == ("Connect", "Dial", "Hangup")
        assert (record.status, told["outcome"], told["reason"]) == (
            "completed",
            "handed_over",
            "transfer",
        )
        costs = await home.costs(record.call_id)
        assert costs.pop("twilio.voice_transfer.minutes") == 1
        costs["twilio.voice_outbound.minutes"] += 1
        assert costs == home.metered


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
async def test_a_caller_whom_nobody_took_talks_on_with_the_same_agent(
    postgres: str, tmp_path: Path, status: str
):
    async with house(postgres, tmp_path, dial=DialResult(status)) as home:
        record, told = await home.call()
        (call,) = home.lab.calls
        assert call.report.verbs == ("Connect", "Dial", "Connect", "Hangup")
        assert call.report.errors == ()
        assert (told["outcome"], told["reason"]) == ("answered", "agent_goodbye")
        lines = msgspec.json.decode(record.conversation_data)
        assert MISSED in [line["text"] for line in lines["agent_responses"]]
        said = [getattr(entry, "text", "") for entry in home.mind.histories[-1]]
        assert said[: said.index(MISSED)] == [said[0], HEARD, "One moment."]
        assert await home.costs(record.call_id) == home.metered
        assert replay(Path(told["journal"])).outcome == "answered"  # command by command


async def test_a_warm_transfer_is_announced_and_accepted(postgres: str, tmp_path: Path):
    async with house(postgres, tmp_path, human=picks_up(), **WARM) as home:
        record, told = await home.call()
        caller, human = home.lab.calls
        (whisper,) = human.report.said
        assert whisper.startswith(WARM["transfer_whisper"])
        assert HEARD in whisper
        assert caller.report.said == (MUSIC,)
        assert home.lab.rooms.met == [f"transfer-{record.call_id}"]
        assert caller.report.errors == human.report.errors == ()
        assert told["outcome"] == "handed_over"
        costs = await home.costs(record.call_id)
        costs["twilio.voice_outbound.minutes"] += costs.pop("twilio.voice_transfer.minutes")
        assert costs == home.metered


@pytest.mark.parametrize(
    "human",
    [
        picks_up("2"),
        picks_up("1", status="busy"),
        picks_up("1", status="no-answer"),
        Callee(pickup=Pickup(after_s=0.05, status="failed")),
    ],
    ids=["declines", "busy", "no answer", "failed"],
)
async def test_a_human_who_does_not_accept_gives_the_caller_back_to_the_agent(
    postgres: str, tmp_path: Path, human: Callee
):
    async with house(postgres, tmp_path, human=human, **WARM) as home:
        record, told = await home.call()
        caller, other = home.lab.calls
        assert caller.report.verbs == ("Connect", "Dial", "Connect", "Hangup")
        assert caller.report.said == (MUSIC,)
        assert other.report.dialled == ()
        assert home.lab.rooms.met == []
        assert told["outcome"] == "answered"
        lines = msgspec.json.decode(record.conversation_data)
        assert MISSED in [line["text"] for line in lines["agent_responses"]]
        costs = await home.costs(record.call_id)
        costs["twilio.voice_outbound.minutes"] += costs.pop("twilio.voice_transfer.minutes", 0)
        assert costs == home.metered


async def test_a_number_the_carrier_refuses_gives_the_caller_back(postgres: str, tmp_path: Path):
    refused = WARM | {"transfer_number": "+15005550003"}
    async with house(postgres, tmp_path, **refused) as home:
        _, told = await home.call()
        (caller,) = home.lab.calls
    assert caller.report.verbs == ("Connect", "Dial", "Connect", "Hangup")
    assert told["outcome"] == "answered"


async def test_a_caller_who_hangs_up_on_hold_has_abandoned_the_call(postgres: str, tmp_path: Path):
    slow = Callee(pickup=Pickup(after_s=20.0))
    async with house(postgres, tmp_path, human=slow, **WARM) as home:
        calling = asyncio.ensure_future(home.call())
        await until(lambda: len(home.lab.calls) == 2)
        home.lab.calls[0].phone.hang_up()
        await until(lambda: not home.server.desk.runs)
        home.lab.calls[1].phone.hang_up()
        _, told = await calling
    assert (told["outcome"], told["reason"]) == ("abandoned", "carrier_ended")
