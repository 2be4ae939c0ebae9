"""The phone network in a box: a whole server and the phones that call it, in one process.

    async with open_box(data_dir) as box:
        result = await box.call(caller_for("tests/callers/book_plumbing.wav"))

Nothing is faked: signed webhooks, real sockets on loopback, the real engines and a real
Postgres. In a `VirtualLoop` the same box lives through a call of a minute in seconds.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, TypeVar, cast

import msgspec

import db
from voice_server import settings as configuration
from voice_server.app import Patience, Server, open_server
from voice_server.ports import LanguageModel
from voice_server.runtime.replay import ReplayedCall, replay
from voice_server.serving import serving
from voice_server.speech.engines import LocalEngines
from voice_server.testing.caller import Caller
from voice_server.testing.phone import Phone
from voice_server.testing.report import PhoneReport
from voice_server.testing.virtual import Unhurried, VirtualLoop, hold_time

T = TypeVar("T")

PUBLIC_URL = "https://voice.localhost"  # what webhooks are signed for; never looked up


class _VirtualPatience:
    def hold(self) -> AbstractContextManager[None]:
        return hold_time()

    def wrap(self, part: T, /) -> T:
        return cast(T, Unhurried(part))


class CallResult(msgspec.Struct, frozen=True):
    """How a call went, in the words of `voice-server call --json`."""

    call_id: str
    status: str  # of `call_sessions`
    outcome: str
    severity: str
    risk_score: float
    order_id: str
    turns: int
    latency_ms: int  # median over the turns, end of the caller's speech to first audio
    cost_usd: float
    journal: str


class Box:
    """A running server and its address. Make calls with `call`, or point phones at `url`."""

    def __init__(self, server: Server, url: str, auth_token: str) -> None:
        self.server = server
        self.url = url
        self.auth_token = auth_token  # what the carrier signs with and the server logs in with

    def phone(self, caller: Caller, **options: Any) -> Phone:
        """A phone that will call the demo agent; `options` are those of `Phone`."""
        options.setdefault("to_number", db.DEMO_NUMBER)
        return Phone(
            f"{PUBLIC_URL}/twilio/voice",
            auth_token=self.auth_token,
            caller=caller,
            connect_to=self.url.removeprefix("http://"),
            **options,
        )

    async def call(self, caller: Caller, **options: Any) -> tuple[CallResult, PhoneReport]:
        """Call the demo agent and wait until everything about the call is stored."""
        phone = self.phone(caller, **options)
        report = await phone.call()
        return await self.result(phone.parameters.get("call", "")), report

    async def result(self, call_id: str) -> CallResult:
        """The result of a call that is over, once its rows are in the database."""
        if runs := [run for run in self.server.desk.runs if run.get_name() == call_id]:
            await asyncio.wait(runs)
        async with asyncio.timeout(30):
            await self.server.outbox.flush()
        records = db.PostgresCallRecords(self.server.pool)
        with hold_time():
            record = await records.call(call_id) if call_id else None
        if record is None:
            return result_of(None, "", status="failed")
        journal = msgspec.json.decode(record.metadata).get("journal", "")
        told = replay(Path(journal)) if journal else None
        told_so_far = result_of(told, journal, status=record.status)
        return msgspec.structs.replace(told_so_far, call_id=call_id)


def result_of(told: ReplayedCall | None, journal: str, *, status: str) -> CallResult:
    """The result of a call as its journal tells it; without one only the status is known."""
    if told is None:
        return CallResult("", status, "", "minimal", 0.0, "", 0, 0, 0.0, journal)
    waits = [ms for ms in told.latencies_ms if ms >= 0]
    return CallResult(
        call_id=told.call_id,
        status=status,
        outcome=told.outcome,
        severity=told.severity,
        risk_score=round(told.risk, 4),
        order_id=told.order_id,
        turns=told.turns,
        latency_ms=int(median(waits)) if waits else 0,
        cost_usd=told.cost_micro_usd / 1_000_000,
        journal=journal,
    )


@asynccontextmanager
async def open_box(
    data_dir: Path,
    *,
    engines: LocalEngines | None = None,
    language_model: LanguageModel | None = None,
    database_url: str | None = None,
    patience: Patience | None = None,
    **overrides: Any,
) -> AsyncIterator[Box]:
    """A server with local engines and signed webhooks on a free port of this machine.

    Give `engines` to share loaded models between boxes, a `language_model` to take the place of
    the receptionist, `database_url` to use a database other than the embedded one; `overrides`
    are further settings by field name.
    """
    token = secrets.token_hex(16)
    chosen: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "data_dir": data_dir} | overrides
    chosen |= {"TWILIO_AUTH_TOKEN": token, "public_url": PUBLIC_URL, "insecure_webhooks": False}
    if database_url is not None:
        chosen["DATABASE_URL"] = database_url
    settings = configuration.load(chosen)
    more: dict[str, Any] = {}
    if isinstance(asyncio.get_running_loop(), VirtualLoop):
        more = {"patience": patience or _VirtualPatience(), "lead_s": math.inf}
    async with (
        open_server(settings, engines=engines, language_model=language_model, **more) as server,
        serving(server) as url,
    ):
        yield Box(server, url, token)
