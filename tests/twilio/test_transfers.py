"""Callers are put through to humans by a whole server, and come back when nobody takes them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.twilio.house import HEARD, HUMAN, MISSED, WARM, house, picks_up, until
from voice_server.runtime.replay import replay
from voice_server.testing.dialling import MUSIC
from voice_server.testing.faults import DialResult, Pickup
from voice_server.testing.lab.twilio import Callee

pytestmark = pytest.mark.postgres


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
        assert await home.costs(record.call_id) == home.metered


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
        assert home.lab.rooms.met == [f"transfer-{record.call_id}-1"]
        assert caller.report.errors == human.report.errors == ()
        assert told["outcome"] == "handed_over"
        assert home.metered["twilio.conference.minutes"] == 2  # one for each who was in it
        assert await home.costs(record.call_id) == home.metered


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
        assert home.metered["twilio.conference.minutes"] == 1  # to hear music
        assert await home.costs(record.call_id) == home.metered


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
