"""Callers who ring us, a human, and what becomes of both: the whole way, and its bill."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.twilio.house import HEARD, MISSED, WARM, Polite, house, picks_up, until
from voice_server.call import Phase
from voice_server.testing.dialling import MUSIC
from voice_server.twilio.twiml import NOBODY

pytestmark = pytest.mark.postgres

CONFERENCE = "twilio.conference.minutes"
INBOUND = "twilio.voice_inbound.minutes"


async def test_a_caller_is_put_through_and_the_human_hangs_up(postgres: str, tmp_path: Path):
    async with house(postgres, tmp_path, human=picks_up(), **WARM) as home:
        home.ring(Polite())
        await home.settled()
        caller, human = home.lab.calls
        assert caller.report.verbs == ("Connect", "Dial", "Hangup")
        assert caller.report.said == (MUSIC,)
        assert HEARD in human.report.said[0]
        assert caller.report.errors == human.report.errors == ()
        (call_id,) = home.calls
        record, told = await home.record(call_id)
        assert (record.status, told["direction"], told["outcome"]) == (
            "completed",
            "inbound",
            "handed_over",
        )
        assert home.metered[CONFERENCE] == 2
        assert await home.costs(call_id) == home.metered


async def test_a_caller_whom_the_human_declines_is_taken_back_and_hangs_up_themself(
    postgres: str, tmp_path: Path
):
    async with house(postgres, tmp_path, human=picks_up("2"), **WARM) as home:
        caller = home.ring(Polite())
        await until(lambda: caller.phone._tape.verbs == ["Connect", "Dial", "Connect"])
        await until(lambda: home.phases() == [Phase.SPEAKING])
        caller.phone.hang_up()
        await home.settled()
        assert caller.report.verbs == ("Connect", "Dial", "Connect")
        assert home.lab.calls[1].report.ended_by == "server"
        (call_id,) = home.calls
        record, told = await home.record(call_id)
        assert (record.status, told["outcome"], told["reason"]) == (
            "completed",
            "abandoned",
            "caller_hung_up",
        )
        lines = msgspec.json.decode(record.conversation_data)
        assert HEARD in [line["text"] for line in lines["transcripts"]]
        assert lines["agent_responses"][-1]["text"] + lines["agent_responses"][-1]["unheard"] == (
            MISSED
        )
        assert (home.metered[INBOUND], home.metered[CONFERENCE]) == (1, 1)
        assert await home.costs(call_id) == home.metered


async def test_a_caller_who_hangs_up_on_hold_pays_for_the_music_and_stops_the_humans_phone(
    postgres: str, tmp_path: Path
):
    slow = picks_up(status="answered")
    slow.pickup = msgspec.structs.replace(slow.pickup, after_s=60.0)
    async with house(postgres, tmp_path, human=slow, **WARM) as home:
        caller = home.ring(Polite())
        await until(lambda: len(home.lab.calls) == 2 and home.lab.calls[1].status == "ringing")
        caller.phone.hang_up()
        await home.settled()
        assert home.lab.calls[1].report.status == "canceled"
        (call_id,) = home.calls
        _, told = await home.record(call_id)
        assert (told["outcome"], told["reason"]) == ("abandoned", "carrier_ended")
        assert home.metered[CONFERENCE] == 1
        assert await home.costs(call_id) == home.metered


async def test_a_server_that_closes_tells_a_caller_on_hold_and_its_record_says_so(
    postgres: str, tmp_path: Path
):
    slow = picks_up()
    slow.pickup = msgspec.structs.replace(slow.pickup, after_s=600.0)
    async with house(postgres, tmp_path, human=slow, **WARM) as home:
        caller = home.ring(Polite())
        await until(lambda: len(home.lab.calls) == 2 and home.lab.calls[1].status == "ringing")
        await home.server.desk.drain(0)
        await home.settled()
        assert caller.report.said == (MUSIC, NOBODY)
        assert home.lab.calls[1].report.status == "canceled"
        (call_id,) = home.calls
        record, told = await home.record(call_id)
        assert (record.status, told["outcome"], told["reason"]) == (
            "failed",
            "failed",
            "server_closing",
        )
        assert await home.costs(call_id) == home.metered


async def test_a_human_who_hears_the_whisper_takes_a_call_from_a_server_that_closes(
    postgres: str, tmp_path: Path
):
    async with house(postgres, tmp_path, human=picks_up(), **WARM) as home:
        home.ring(Polite())
        await until(lambda: len(home.lab.calls) == 2 and home.lab.calls[1].phone._tape.said != [])
        await asyncio.sleep(4)  # of the seven that the whisper takes
        await home.server.desk.drain(0)
        await home.settled()
        assert len(home.lab.rooms.met) == 1
        (call_id,) = home.calls
        _, told = await home.record(call_id)
        assert (told["outcome"], told["reason"]) == ("handed_over", "transfer")
        assert await home.costs(call_id) == home.metered
