"""All tools of a call: routing, validation, idempotency, cost."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest

from tests.llm.conversation import facts
from tests.orders.books import MemoryMessages, MemoryOrders
from voice_server.call.events import Consumed
from voice_server.errors import ServiceRejected, ServiceUnavailable
from voice_server.limits import Limits
from voice_server.llm.search import WebSearch
from voice_server.llm.toolbox import CombinedToolbox
from voice_server.orders.toolbox import OrderToolbox
from voice_server.testing.lab.faults import Fault, FaultPlan
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.serpapi import SerpApiSimulator

LIMITS = Limits(first_byte_s=4.0, between_s=4.0, total_s=5.0)
BOOK = msgspec.json.encode(
    {
        "customer_name": "Mary Cooper",
        "customer_phone": "+12025550147",
        "service_type": "plumbing",
        "description": "A leaking tap.",
    }
).decode()


class Post:
    """Sends messages after a second, or fails as told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.problem: Exception | None = None

    async def send_message(self, *, to: str, sender: str, body: str) -> str:
        self.sent.append((to, sender, body))
        await asyncio.sleep(1.0)
        if self.problem is not None:
            raise self.problem
        return "SM1"


class Bench:
    def __init__(self, search: WebSearch | None = None) -> None:
        self.orders = MemoryOrders()
        self.post = Post()
        self.ledger: Counter[str] = Counter()
        self.tools = CombinedToolbox(
            OrderToolbox(self.orders, MemoryMessages({"call-1"})),
            self.spend,
            search=search,
            sender=self.post,
        )

    def spend(self, consumed: Consumed) -> None:
        self.ledger[consumed.item] += consumed.quantity

    async def run(self, name: str, arguments: str, key: str = "r1", **about: str) -> Any:
        result = await self.tools.run(facts(**about), key, name, arguments)
        return msgspec.json.decode(result)


def sms(text: str) -> str:
    return msgspec.json.encode({"message": text}).decode()


def test_order_tools_go_to_the_order_book_once(virtual):
    async def story() -> None:
        bench = Bench()
        first = await bench.run("book_order", BOOK)
        assert await bench.run("book_order", BOOK) == first
        assert len(bench.orders.rows) == 1
        assert not bench.ledger

    virtual(story())


def test_two_runs_of_one_request_at_once_are_one(virtual):
    async def story() -> None:
        bench = Bench()
        both = await asyncio.gather(*(bench.run("send_sms", sms("Hi")) for _ in range(3)))
        assert both == [{"status": "sent"}] * 3
        assert len(bench.post.sent) == 1

    virtual(story())


def test_a_message_goes_to_the_caller_from_the_number_called_and_is_booked(virtual):
    async def story() -> None:
        bench = Bench()
        assert await bench.run("send_sms", sms("a" * 200)) == {"status": "sent"}
        assert bench.post.sent == [("+12125554217", "+12125550100", "a" * 200)]
        assert bench.ledger == {"twilio.sms.segments": 2}

    virtual(story())


def test_on_an_outbound_call_the_other_end_is_the_number_called(virtual):
    async def story() -> None:
        bench = Bench()
        about = msgspec.structs.replace(facts(), direction="outbound")
        await bench.tools.run(about, "r1", "send_sms", sms("Hi"))
        assert bench.post.sent[0][:2] == ("+12125550100", "+12125554217")

    virtual(story())


@pytest.mark.parametrize(
    ("name", "arguments", "field"),
    [
        ("send_sms", "{}", "message"),
        ("send_sms", sms(""), "message"),
        ("send_sms", sms("   "), "message"),
        ("send_sms", sms("a" * 481), "message"),
        ("send_sms", '{"message": 3}', "message"),
        ("send_sms", '{"message": "x", "to": "+1900"}', "to"),
        ("send_sms", "not json", "arguments"),
        ("send_sms", "[]", "arguments"),
        ("search_web", "{}", "query"),
        ("search_web", '{"query": ""}', "query"),
        ("search_web", '{"query": " "}', "query"),
        ("search_web", '{"query": "' + "x" * 201 + '"}', "query"),
        ("nonsense", "{}", "name"),
    ],
)
def test_wrong_arguments_come_back_with_field_problem_and_fix(virtual, name, arguments, field):
    async def story() -> None:
        search = WebSearch("k", LIMITS, base_url="http://127.0.0.1:9")
        bench = Bench(search)
        error = (await bench.run(name, arguments))["error"]
        assert error["field"] == field
        assert error["problem"]
        assert error["fix"]
        assert not bench.post.sent
        assert not bench.ledger
        await search.close()

    virtual(story())


def test_a_withheld_number_gets_no_message(virtual):
    async def story() -> None:
        bench = Bench()
        answer = await bench.tools.run(facts("anonymous"), "r1", "send_sms", sms("Hi"))
        assert "withheld" in answer
        assert not bench.post.sent

    virtual(story())


def test_the_same_words_are_sent_once_and_three_messages_are_enough(virtual):
    async def story() -> None:
        bench = Bench()
        for number, text in enumerate(("a", "a", "b", "c", "d")):
            await bench.run("send_sms", sms(text), f"r{number}")
        assert [body for _, _, body in bench.post.sent] == ["a", "b", "c"]
        assert bench.ledger == {"twilio.sms.segments": 3}

    virtual(story())


def test_a_refused_message_costs_nothing_and_may_be_tried_again(virtual):
    async def story() -> None:
        bench = Bench()
        bench.post.problem = ServiceRejected("twilio", "HTTP 400")
        assert "refused" in (await bench.run("send_sms", sms("Hi")))["error"]["problem"]
        assert not bench.ledger
        bench.post.problem = None
        assert await bench.run("send_sms", sms("Hi"), "r2") == {"status": "sent"}

    virtual(story())


def test_a_message_of_unknown_fate_is_booked_and_not_sent_again(virtual):
    async def story() -> None:
        bench = Bench()
        bench.post.problem = ServiceUnavailable("twilio", "ReadTimeout")
        assert "not known" in (await bench.run("send_sms", sms("Hi")))["error"]["problem"]
        bench.post.problem = None
        assert "already" in (await bench.run("send_sms", sms("Hi"), "r2"))["error"]["problem"]
        assert len(bench.post.sent) == 1
        assert bench.ledger == {"twilio.sms.segments": 1}

    virtual(story())


def test_a_cancelled_message_is_booked_and_its_request_is_not_run_again(virtual):
    async def story() -> None:
        bench = Bench()
        task = asyncio.ensure_future(bench.run("send_sms", sms("Hi")))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "not known" in (await bench.run("send_sms", sms("Hi")))["error"]["problem"]
        assert len(bench.post.sent) == 1
        assert bench.ledger == {"twilio.sms.segments": 1}

    virtual(story())


def test_a_search_is_told_in_words_and_remembered_for_the_call(virtual):
    async def story() -> None:
        simulator = SerpApiSimulator()
        async with hosting(simulator.app) as url:
            search = WebSearch("k", LIMITS, base_url=url)
            bench = Bench(search)
            first = await bench.run("search_web", '{"query": "Tap  washers"}')
            assert len(first["results"]) == 3
            assert set(first["results"][0]) == {"title", "text", "source"}
            assert await bench.run("search_web", '{"query": "tap washers"}', "r2") == first
            assert simulator.queries == ["Tap washers"]
            assert bench.ledger == simulator.meter.items
            await search.close()

    virtual(story())


def test_a_call_searches_ten_times_at_most(virtual):
    async def story() -> None:
        simulator = SerpApiSimulator()
        async with hosting(simulator.app) as url:
            search = WebSearch("k", LIMITS, base_url=url)
            bench = Bench(search)
            answers = [
                await bench.run("search_web", f'{{"query": "q{number}"}}', f"r{number}")
                for number in range(12)
            ]
            assert sum("error" in answer for answer in answers) == 2
            assert len(simulator.queries) == 10
            await search.close()

    virtual(story())


def test_a_search_that_fails_tells_so_and_may_be_tried_again(virtual):
    async def story() -> None:
        simulator = SerpApiSimulator(plan=FaultPlan({1: Fault.SERVER_ERROR}))
        async with hosting(simulator.app) as url:
            search = WebSearch("k", LIMITS, base_url=url)
            bench = Bench(search)
            assert "error" in await bench.run("search_web", '{"query": "x"}')
            assert "results" in await bench.run("search_web", '{"query": "x"}', "r2")
            await search.close()

    virtual(story())


def test_tools_a_call_does_not_have_are_unknown(virtual):
    async def story() -> None:
        bench = Bench()
        assert (await bench.run("search_web", '{"query": "x"}'))["error"]["field"] == "name"

    virtual(story())
