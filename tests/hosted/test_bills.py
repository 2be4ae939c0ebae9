"""What the language model of a hosted agent has cost, told by the service after a call."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr

from tests.hosted.talks import agent
from voice_server.call.events import Consumed
from voice_server.errors import KeyRefused
from voice_server.hosted import Door, HostedBills
from voice_server.speech.elevenlabs import Access
from voice_server.testing.lab.elevenlabs import ElevenLabsLab, open_elevenlabs
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID

LLM = "elevenlabs.agents_llm.micro_usd"
CONVERSATION = "conv_1"


@asynccontextmanager
async def account(
    *, key: str = "", public: bool = False
) -> AsyncIterator[tuple[ElevenLabsLab, Door]]:
    async with open_elevenlabs(agents={AGENT_ID: agent()}) as lab, httpx.AsyncClient() as http:
        access = None if public else Access(SecretStr(key or lab.key), lab.url)
        yield lab, Door(AGENT_ID, lab.url, access, lambda: http)


def talk(lab: ElevenLabsLab, *, thoughts: int = 3, billed_after_s: float = 8.0) -> None:
    """A conversation is over."""
    ended = agent(billed_after_s=billed_after_s)
    lab.house.end(lab, CONVERSATION, ended, ms=61_000, thoughts=thoughts)


class Ledger(Counter[str]):
    def spend(self, consumed: Consumed) -> None:
        self[consumed.item] += consumed.quantity


@pytest.mark.parametrize(("thoughts", "booked"), [(3, {LLM: 1_200}), (0, {})])
def test_the_price_is_booked_once_it_is_told(virtual, thoughts, booked):
    async def scene() -> None:
        ledger, bills = Ledger(), HostedBills()
        async with account() as (lab, door):
            talk(lab, thoughts=thoughts)
            bills.ask(door, CONVERSATION, ledger.spend)
            await asyncio.sleep(7)
            assert ledger == {}
            await asyncio.sleep(60)
            assert ledger == booked
            assert ledger.get(LLM, 0) == lab.meter.items.get(LLM, 0)
            await bills.close()

    virtual(scene())


@pytest.mark.parametrize("billed_after_s", [2.0, 600.0])
def test_a_server_that_stops_asks_once_more(virtual, billed_after_s):
    async def scene() -> None:
        ledger, bills = Ledger(), HostedBills()
        async with account() as (lab, door):
            talk(lab, billed_after_s=billed_after_s)
            bills.ask(door, CONVERSATION, ledger.spend)
            await asyncio.sleep(3)
            await bills.close()
        assert (ledger == {LLM: 1_200}) is (billed_after_s < 3)

    virtual(scene())


def test_a_conversation_that_is_never_billed_is_given_up_with_a_word(virtual, caplog):
    async def scene() -> None:
        ledger, bills = Ledger(), HostedBills(pauses_s=(1.0, 2.0))
        async with account() as (_, door):  # which knows no such conversation
            bills.ask(door, CONVERSATION, ledger.spend)
            await asyncio.sleep(60)
            await bills.close()
        assert ledger == {}
        assert "is not booked" in caplog.text

    virtual(scene())


async def test_a_public_agent_is_asked_by_nobody():
    async with account(public=True) as (_, door):
        assert not door.has_account
        assert await door.llm_micro_usd(CONVERSATION, 1.0) is None


async def test_a_refused_key_learns_nothing():
    async with account(key="wrong") as (lab, door):
        talk(lab)
        with pytest.raises(KeyRefused):
            await door.llm_micro_usd(CONVERSATION, 1.0)
