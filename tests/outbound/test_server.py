"""A whole server calls people through a simulated Twilio, from the command to the last row."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner, Result

import db
from benchmarks.trivial import Engines
from tests.twilio.house import PUBLIC, settings_at
from voice_server.app import Server, open_server
from voice_server.cli import main
from voice_server.outbound import DialOrder
from voice_server.serving import serving
from voice_server.testing import wav
from voice_server.testing.caller import SilentCaller
from voice_server.testing.faults import Pickup
from voice_server.testing.lab.twilio import Callee, TwilioLab, open_twilio

pytestmark = pytest.mark.postgres


class Office:
    """The server, its carrier, and ways to dial."""

    def __init__(self, server: Server, lab: TwilioLab, url: str, folder: Path) -> None:
        self.server = server
        self.lab = lab
        self.folder = folder
        self.dials = db.PostgresDials(server.pool)
        self.environment = {
            "DATABASE_URL": url,
            "TWILIO_ACCOUNT_SID": lab.account_sid,
            "TWILIO_AUTH_TOKEN": lab.auth_token,
            "VOICE_SERVER_TWILIO_API_URL": lab.url,
            "VOICE_SERVER_PUBLIC_URL": PUBLIC,
            "VOICE_SERVER_DATA_DIR": str(folder),
        }

    async def dial(self, **changes: Any) -> str:
        """Have the demo agent call somebody nobody has called yet."""
        agent = await db.PostgresAgentDirectory(self.server.pool).by_id(db.DEMO_AGENT_ID)
        assert agent is not None
        number = f"+1202{uuid4().int % 9_000_000 + 1_000_000}"
        order = DialOrder(f"dial-{uuid4()}", agent, number, **changes)
        office = self.server.desk._outbound
        assert office is not None
        assert office.dialler is not None
        await office.dialler.dial(order)
        return order.call_id

    async def over(self, call_id: str) -> tuple[db.DialRow, db.CallRecord]:
        """The intent and the session, once the call and all news of it are stored."""
        await self.lab.settle()
        office = self.server.desk._outbound
        assert office is not None
        if runs := self.server.desk.runs:
            await asyncio.wait(runs)
        await office.flush()
        await self.server.outbox.flush()
        dial = await self.dials.get(call_id)
        record = await db.PostgresCallRecords(self.server.pool).call(call_id)
        assert dial is not None
        assert record is not None
        return dial, record

    async def costs(self, call_id: str) -> dict[str, int]:
        async with self.server.pool.server() as connection:
            rows = await connection.fetch(
                "SELECT item, sum(quantity)::int AS n FROM call_costs WHERE call_id = $1 "
                "AND item LIKE 'twilio.%' GROUP BY item",
                call_id,
            )
        return {row["item"]: row["n"] for row in rows}

    async def command(self, *words: str) -> Result:
        runner = CliRunner(env=self.environment)
        return await asyncio.to_thread(runner.invoke, main, list(words))


@asynccontextmanager
async def open_office(url: str, folder: Path, callee: Callee) -> AsyncIterator[Office]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    async with open_twilio(
        connect_to=f"127.0.0.1:{port}",
        callees=lambda _form: callee,
        calls_per_s=100.0,
        price_after_s=0.0,
        numbers=(db.DEMO_NUMBER,),
    ) as lab:
        settings = settings_at(port, lab, url, folder)
        async with open_server(settings, engines=Engines()) as server, serving(server):
            yield Office(server, lab, url, folder)


def answers(**changes: Any) -> Callee:
    pickup = Pickup(after_s=0.05, verdict_after_s=0.1, **changes.pop("pickup", {}))
    return Callee(pickup=pickup, caller=SilentCaller(800), **changes)


async def test_the_called_person_talks_to_the_agent_and_everything_is_kept(
    postgres: str, tmp_path: Path
):
    async with open_office(postgres, tmp_path, answers()) as office:
        call_id = await office.dial(machine_detection="Enable", record=True)
        dial, record = await office.over(call_id)
        (call,) = office.lab.calls
        assert call.report is not None
        assert call.report.errors == ()
        assert call.report.agent_audio_ms > 300
        assert (dial.state, dial.status, dial.raw_status) == ("finished", "completed", "completed")
        assert dial.answered_by == "human"
        assert record.status == "completed"
        assert msgspec.json.decode(record.metadata)["direction"] == "outbound"
        assert (record.to_number, record.from_number) == (dial.to_number, db.DEMO_NUMBER)
        assert await office.costs(call_id) == dict(office.lab.meter)

        (kept,) = await db.PostgresRecordings(office.server.pool).of_call(call_id)
        assert (kept.status, kept.channels) == ("completed", 2)
        recording = wav.read(tmp_path / kept.path)
        assert len(recording.channels) == 2
        assert (tmp_path / kept.path).stat().st_size == kept.bytes


async def test_what_callbacks_did_not_tell_is_asked_of_the_carrier_and_booked_once(
    postgres: str, tmp_path: Path
):
    async with open_office(postgres, tmp_path, answers(late_news=False)) as office:
        call_id = await office.dial(machine_detection="Enable", record=True)
        dial, _ = await office.over(call_id)
        assert dial.answered_by == ""
        assert "twilio.recording.minutes" not in await office.costs(call_id)
        outbound = office.server.desk._outbound
        for _ in range(2):  # a process that dies half-way does it all again
            call = await outbound.dialler._carrier.call(dial.carrier_call_id)
            await outbound.dialler._late(dial, call)
        while dial.price_micro_usd is None:  # the server's own watch may be about to tell it
            await outbound.dialler.fetch_prices(unchecked_s=0)
            dial, _ = await office.over(call_id)
        assert dial.answered_by == "human"
        assert await office.costs(call_id) == dict(office.lab.meter)
        recordings = db.PostgresRecordings(office.server.pool)
        assert [row.status for row in await recordings.of_call(call_id)] == ["failed"]
        assert await outbound._recorder.resume() >= 1
        (kept,) = await recordings.of_call(call_id)
        assert (kept.status, kept.channels) == ("completed", 2)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
async def test_who_does_not_answer_ends_the_call_at_once(
    postgres: str, tmp_path: Path, status: str, copies: int
):
    callee = answers(pickup={"status": status}, copies=copies, reversed=copies == 2)
    async with open_office(postgres, tmp_path, callee) as office:
        call_id = await office.dial()
        dial, record = await office.over(call_id)
    assert (dial.state, dial.raw_status, record.status) == ("finished", status, "failed")
    assert record.completed_at is not None


async def test_a_machine_is_left_alone_when_the_agent_says_so(postgres: str, tmp_path: Path):
    callee = Callee(
        pickup=Pickup(after_s=0.05, verdict_after_s=0.3, answered_by="machine_start"),
        caller=SilentCaller(60_000),
    )
    async with open_office(postgres, tmp_path, callee) as office:
        async with office.server.pool.server() as connection:
            await connection.execute(
                "UPDATE ai_agents SET behavior_config = "
                "coalesce(behavior_config, '{}') || '{\"on_machine\": \"hang_up\"}' WHERE id = $1",
                db.DEMO_AGENT_ID,
            )
        try:
            async with asyncio.timeout(30):
                dial, _ = await office.over(await office.dial(machine_detection="Enable"))
        finally:
            async with office.server.pool.server() as connection:
                await connection.execute(
                    "UPDATE ai_agents SET behavior_config = behavior_config - 'on_machine' "
                    "WHERE id = $1",
                    db.DEMO_AGENT_ID,
                )
    assert (dial.answered_by, dial.status) == ("machine_start", "completed")


async def test_a_webhook_for_a_call_nobody_meant_is_hung_up_on(postgres: str, tmp_path: Path):
    async with open_office(postgres, tmp_path, answers()) as office:
        rest = office.server.desk._outbound
        assert rest is not None
        assert rest.dialler is not None
        carrier = rest.dialler._carrier
        order = DialOrder(f"dial-{uuid4()}", await _agent(office), "+12025550188")
        await carrier.create_call(rest.dialler._call_order(order, db.DEMO_NUMBER))
        await office.lab.settle()
        (call,) = office.lab.calls
        assert call.report is not None
        assert "Connect" not in call.report.verbs
        assert office.server.desk.live == 0


async def _agent(office: Office) -> Any:
    return await db.PostgresAgentDirectory(office.server.pool).by_id(db.DEMO_AGENT_ID)


async def test_the_command_dials_and_waits_for_the_end(postgres: str, tmp_path: Path):
    async with open_office(postgres, tmp_path, answers()) as office:
        number = f"+1202{uuid4().int % 9_000_000 + 1_000_000}"
        words = ("dial", number, "--agent", db.DEMO_AGENT_ID, "--json")
        result = await office.command(*words)
        assert result.exit_code == 0, result.output
        told = msgspec.json.decode(result.stdout.splitlines()[-1])
        assert (told["state"], told["raw_status"]) == ("finished", "completed")
        assert told["carrier_call_id"] == office.lab.calls[0].sid
        assert number not in result.output

        again = await office.command(*words, "--call-id", told["call_id"])
        assert again.exit_code == 0, again.output
        assert len(office.lab.calls) == 1
        await office.over(told["call_id"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("dial", "+12025550188", "--agent", "nobody"), "no active agent"),
        (("dial", "next door", "--agent", db.DEMO_AGENT_ID), "not a phone number"),
        (("dial", "+15005550003", "--agent", db.DEMO_AGENT_ID), "rejected-21215"),
        (("twilio", "connect", "+12025550188"), "does not own"),
    ],
)
async def test_what_cannot_work_is_said(postgres: str, tmp_path: Path, words, says: str):
    async with open_office(postgres, tmp_path, answers()) as office:
        result = await office.command(*words)
    assert result.exit_code != 0
    assert says in result.output


async def test_a_number_is_connected_once(postgres: str, tmp_path: Path):
    async with open_office(postgres, tmp_path, answers()) as office:
        assert (await office.command("twilio", "connect", db.DEMO_NUMBER, "--check")).exit_code == 1
        first = await office.command("twilio", "connect", db.DEMO_NUMBER, "--json")
        assert first.exit_code == 0, first.output
        assert msgspec.json.decode(first.stdout)["changed"] is True
        (number,) = office.lab.numbers.values()
        assert number["voice_url"] == f"{PUBLIC}/twilio/voice"
        assert number["status_callback"] == f"{PUBLIC}/twilio/status"
        assert (await office.command("twilio", "connect", db.DEMO_NUMBER, "--check")).exit_code == 0
