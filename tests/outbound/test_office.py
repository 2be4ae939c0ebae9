"""Who may come in as a call of ours, and what is noted of calls nobody holds."""

from __future__ import annotations

import asyncio

import pytest

from db import NewDial, Pool, PostgresAgentDirectory, PostgresDials
from db.rows import CallRow
from tests.db.tenants import ANNA
from voice_server.outbound import OutboundOffice
from voice_server.twilio.desk import CarrierStatus, StatusChange

pytestmark = pytest.mark.postgres


@pytest.fixture
def noted() -> list[CallRow]:
    return []


@pytest.fixture
async def office(dials: PostgresDials, pool: Pool, noted: list[CallRow]) -> OutboundOffice:
    await dials.intend(NewDial("call-1", ANNA, "agent-anna", "+12025550177", "+12025550111"))
    await dials.request("call-1")
    return OutboundOffice(dials, PostgresAgentDirectory(pool), noted.append)


def says(status: str, *, call_id: str = "call-1", carrier: str = "CA1") -> StatusChange:
    return StatusChange(carrier, CarrierStatus(status), 7, call_id)


async def test_the_webhook_may_come_before_the_carriers_reply(office, dials):
    arrival = await office.arrived("call-1", "CA1")
    assert arrival is not None
    assert (arrival.agent.agent_id, arrival.dial.state) == ("agent-anna", "placed")
    assert await dials.place("call-1", "CA1") is not None


async def test_a_second_call_under_the_same_id_is_turned_away(office):
    assert await office.arrived("call-1", "CA1") is not None
    assert await office.arrived("call-1", "CA2") is None
    assert await office.arrived("unknown", "CA3") is None


async def test_a_call_that_is_over_or_without_its_agent_is_turned_away(office, dials, pool):
    async with pool.server() as connection:
        await connection.execute("UPDATE ai_agents SET status = 'inactive'")
    assert await office.arrived("call-1", "CA1") is None
    await dials.finish("call-1", "failed", "never-placed")
    assert await office.arrived("call-1", "CA1") is None


@pytest.mark.parametrize(
    ("status", "ends"),
    [("busy", "failed"), ("no-answer", "failed"), ("failed", "failed"), ("canceled", "cancelled")],
)
async def test_a_call_nobody_holds_is_closed_by_the_carriers_last_word(office, dials, status, ends):
    for word in ("initiated", "ringing", status, status):
        office.reported(says(word))
        await office.flush()
    row = await dials.get("call-1")
    assert row is not None
    assert (row.state, row.status, row.raw_status) == ("finished", ends, status)
    assert row.carrier_call_id == "CA1"


async def test_the_end_of_an_answered_call_is_a_row_and_the_last_word_somebody_elses(
    office, dials, noted
):
    for word in ("ringing", "in-progress", "completed"):
        office.reported(says(word))
    await office.flush()
    assert {row.raw_status for row in noted} == {"ringing", "in-progress", "completed"}
    row = await dials.get("call-1")
    assert row is not None
    assert row.state == "placed"


async def test_news_of_another_call_under_our_id_changes_nothing(office, dials, noted):
    await office.arrived("call-1", "CA1")
    office.reported(says("busy", carrier="CA2"))
    office.reported(says("ringing", carrier="CA2"))
    office.reported(says("busy", call_id="unknown", carrier="CA3"))
    await office.flush()
    assert noted == []
    row = await dials.get("call-1")
    assert row is not None
    assert row.state == "placed"


async def test_a_lost_database_is_told_of_and_the_sweep_repeats(office, dials, pool, caplog):
    await pool.close()
    office.reported(says("busy"))
    await office.flush()
    assert "not noted" in caplog.text
    assert "+1202" not in caplog.text


async def test_an_office_without_an_account_waits_and_leaves_nothing_behind(office):
    running = asyncio.ensure_future(office.run())
    await asyncio.sleep(0)
    office.reported(says("busy"))
    running.cancel()
    await asyncio.wait([running])
    await office.flush()
