"""Lets a server dial a simulated Twilio and kills it, again and again, at chosen moments."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec

import db
from benchmarks.kills.child import Task
from voice_server.outbound import DialStep
from voice_server.testing.caller import SilentCaller
from voice_server.testing.faults import Pickup
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.twilio import Callee, TwilioLab, open_twilio

ROOT = Path(__file__).parents[2]

# Steps inside the server, and moments at the carrier, which kills it from outside.
STEPS = tuple(f"server:{step}" for step in DialStep if step != DialStep.FINISHED)
MOMENTS = tuple(
    f"carrier:{moment}" for moment in ("asked", "created", "ringing", "answered", "webhook")
)
_START_LIMIT_S = 60.0
_SETTLE_LIMIT_S = 120.0
_LIFE_S = 2.0  # a server whose moment does not come is killed anyway
_GRACE_S = 3.0


class KillReport(msgspec.Struct, frozen=True):
    """How it went."""

    dials: int
    kills: dict[str, int]  # by where
    calls_placed: int
    called_twice: int  # numbers that rang more than once
    without_end: int  # intents or sessions without a terminal status
    misjudged: int  # said never to have been placed, but were
    statuses: dict[str, int]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nobody was called twice and every call has its end."""
        return not (self.called_twice or self.without_end or self.misjudged)


class _Harness:
    def __init__(self, database_url: str, data_dir: Path, dials: int, seed: int) -> None:
        self.url = database_url
        self.data_dir = data_dir
        self.dice = random.Random(seed)
        self.port = _free_port()
        self.numbers = {
            f"kill-{seed}-{n}": f"+1202{2_000_000 + (seed % 500) * 10_000 + n}"
            for n in range(dials)
        }
        self.kills: Counter[str] = Counter()
        self.child: asyncio.subprocess.Process | None = None
        self.armed = ""  # the carrier's moment at which the server is killed

    def watch(self, moment: str, _call_sid: str) -> None:
        if self.armed == f"carrier:{moment}":
            self.kill(self.armed)

    def kill(self, where: str) -> None:
        """kill -9, at once."""
        self.armed = ""
        if self.child is not None and self.child.returncode is None:
            self.child.kill()
            self.kills[where] += 1

    def callee(self, _form: Mapping[str, str]) -> Callee:
        status = self.dice.choice(("answered", "answered", "answered", "busy", "no-answer"))
        return Callee(
            pickup=Pickup(status=status, after_s=self.dice.uniform(0.02, 0.4), verdict_after_s=0.1),
            caller=SilentCaller(self.dice.randrange(100, 900)),
            delay_s=self.dice.choice((0.0, 0.0, 0.3)),
            copies=self.dice.choice((1, 1, 2)),
            reversed=self.dice.random() < 0.2,
        )

    async def start(self, task: Task) -> asyncio.subprocess.Process:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.kills.child"),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdin is not None
        child.stdin.write(msgspec.json.encode(task) + b"\n")
        await child.stdin.drain()
        return child

    def task(self, lab: TwilioLab, dials: list[tuple[str, str]], where: str) -> Task:
        inside = where.removeprefix("server:") if where.startswith("server:") else ""
        return Task(
            database_url=self.url,
            data_dir=str(self.data_dir),
            port=self.port,
            twilio_url=lab.url,
            account_sid=lab.account_sid,
            auth_token=lab.auth_token,
            agent_id=db.DEMO_AGENT_ID,
            dials=dials,
            die_in=self.dice.choice(dials)[0] if inside else "",
            die_after=inside,
            grace_s=_GRACE_S,
        )

    async def live_and_die(self, lab: TwilioLab, dials: list[tuple[str, str]], where: str) -> None:
        """One incarnation: it dials, and is killed."""
        task = self.task(lab, dials, where)
        self.child = await self.start(task)
        await _says(self.child, "ready")
        self.armed = where
        try:
            async with asyncio.timeout(_LIFE_S + 0.1 * len(dials)):
                await self.child.wait()
            if where.startswith("server:"):
                self.kills[where] += 1
        except TimeoutError:
            self.kill("any time")
            await self.child.wait()


async def kill_and_count(
    database_url: str, data_dir: Path, *, dials: int, a_round: int, seed: int = 1
) -> KillReport:
    """Dial `dials` numbers, `a_round` at a time, killing the server once in every round.

    After each kill the next server is also told to dial again what the dead one was told to.
    The database must hold the demo tenant.
    """
    began = time.monotonic()
    harness = _Harness(database_url, data_dir, dials, seed)
    pool = await db.open_pool(database_url, size=2)
    try:
        async with open_twilio(
            connect_to=f"127.0.0.1:{harness.port}",
            callees=harness.callee,
            calls_per_s=100.0,
            price_after_s=0.0,
            watch=harness.watch,
            faults=_Troubled(harness.dice),
        ) as lab:
            await _rounds(harness, lab, a_round)
            await _finish(harness, lab, pool)
            return await _judge(harness, lab, pool, began)
    finally:
        await pool.close()


class _Troubled(FaultPlan):
    """A carrier that is slow, forgets to answer, breaks connections and turns some away."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice

    def take(self) -> Injection:
        self.seen += 1
        luck = self._dice.random()
        if luck < 0.05:
            return Injection(Fault.DROP, after_bytes=self._dice.randrange(2))
        if luck < 0.1:
            return Injection(Fault.SERVER_ERROR, after_bytes=self._dice.randrange(2))
        if luck < 0.15:
            return Injection(Fault.RATE_LIMITED)
        if luck < 0.2:
            return Injection(Fault.SLOW_FIRST_BYTE, delay_s=self._dice.choice((0.2, 1.2)))
        return Injection()


async def _rounds(harness: _Harness, lab: TwilioLab, a_round: int) -> None:
    places = [*STEPS, *MOMENTS]
    harness.dice.shuffle(places)
    everything = list(harness.numbers.items())
    again: list[tuple[str, str]] = []
    for number, begin in enumerate(range(0, len(everything), a_round)):
        batch = everything[begin : begin + a_round]
        await harness.live_and_die(lab, again + batch, places[number % len(places)])
        again = batch


async def _finish(harness: _Harness, lab: TwilioLab, pool: db.Pool) -> None:
    """A last server, which nobody kills, finds everything out."""
    task = harness.task(lab, list(harness.numbers.items()), "")
    harness.child = await harness.start(task)
    try:
        await _says(harness.child, "ready")
        await _says(harness.child, "dialled", limit_s=_SETTLE_LIMIT_S)
        await lab.settle()
        deadline = time.monotonic() + _SETTLE_LIMIT_S
        while await _open(pool, harness) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    finally:
        harness.child.send_signal(signal.SIGKILL)
        await harness.child.wait()


async def _judge(harness: _Harness, lab: TwilioLab, pool: db.Pool, began: float) -> KillReport:
    rang = Counter(call.form["To"] for call in lab.calls)
    placed = {_id_of(call.form["Url"]) for call in lab.calls}
    async with pool.server() as connection:
        rows = await connection.fetch(
            "SELECT id, status, raw_status FROM dial_intents WHERE id = ANY($1)",
            list(harness.numbers),
        )
    misjudged = sum(row["raw_status"] == "never-placed" and row["id"] in placed for row in rows)
    return KillReport(
        dials=len(harness.numbers),
        kills=dict(harness.kills),
        calls_placed=len(lab.calls),
        called_twice=sum(count > 1 for count in rang.values()),
        without_end=len(harness.numbers) - len(rows) + await _open(pool, harness),
        misjudged=misjudged,
        statuses=dict(Counter(row["raw_status"] for row in rows)),
        seconds=round(time.monotonic() - began, 1),
    )


async def _open(pool: db.Pool, harness: _Harness) -> int:
    async with pool.server() as connection:
        return int(
            await connection.fetchval(
                """
                SELECT count(*) FROM dial_intents AS dial
                JOIN call_sessions AS session ON session.id = dial.id
                WHERE dial.id = ANY($1) AND (
                    dial.state <> 'finished' OR dial.settled_at IS NULL
                    OR session.status NOT IN ('completed', 'failed', 'cancelled')
                )
                """,
                list(harness.numbers),
            )
        )


async def _says(
    child: asyncio.subprocess.Process, word: str, *, limit_s: float = _START_LIMIT_S
) -> None:
    assert child.stdout is not None
    async with asyncio.timeout(limit_s):
        while line := await child.stdout.readline():
            if line.decode().strip() == word:
                return
    raise RuntimeError(f"the server ended before it said {word!r}")


def _id_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["call"][0]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
