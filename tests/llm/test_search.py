"""The web search against a simulated SerpApi on a real socket."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call.events import Consumed
from voice_server.errors import ServiceError, ServiceRejected, ServiceUnavailable
from voice_server.limits import Limits
from voice_server.llm.search import Found, WebSearch, found_in, spoken
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.serpapi import SerpApiSimulator

LIMITS = Limits(first_byte_s=4.0, between_s=4.0, total_s=5.0)
KEY = "serp-secret"


class Ledger(Counter[str]):
    def spend(self, consumed: Consumed) -> None:
        self[consumed.item] += consumed.quantity


@asynccontextmanager
async def open_search(**options: Any) -> AsyncIterator[tuple[SerpApiSimulator, WebSearch, Ledger]]:
    simulator = SerpApiSimulator(**options)
    async with hosting(simulator.app) as url:
        search = WebSearch(KEY, LIMITS, base_url=url)
        try:
            yield simulator, search, Ledger()
        finally:
            await search.close()


def test_a_search_brings_three_short_hits_and_is_booked(virtual):
    async def story() -> None:
        async with open_search() as (simulator, search, ledger):
            found = await search.search("opening hours", ledger.spend)
            assert len(found.hits) == 3
            assert found.hits[0].source == "Example"
            assert "number 1." in found.hits[0].text
            assert ledger == simulator.meter.items == {"serpapi.search.requests": 1}

    virtual(story())


def test_a_search_from_the_providers_cache_is_free(virtual):
    async def story() -> None:
        async with open_search() as (simulator, search, ledger):
            for _ in range(3):
                await search.search("opening hours", ledger.spend)
            await asyncio.sleep(3_700)
            await search.search("opening hours", ledger.spend)
            assert ledger == simulator.meter.items == {"serpapi.search.requests": 2}

    virtual(story())


def test_no_hits_are_an_answer_that_costs(virtual):
    async def story() -> None:
        async with open_search(hits=lambda _: []) as (simulator, search, ledger):
            assert await search.search("zzqx", ledger.spend) == Found()
            assert ledger == simulator.meter.items == {"serpapi.search.requests": 1}

    virtual(story())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.UNAUTHORIZED, ServiceRejected),
        (Fault.RATE_LIMITED, ServiceUnavailable),
        (Fault.QUOTA, ServiceUnavailable),
        (Fault.SERVER_ERROR, ServiceUnavailable),
        (Fault.DROP, ServiceUnavailable),
        (Fault.GARBAGE, ServiceUnavailable),
        (Fault.STALL, ServiceUnavailable),
        (Fault.SLOW_FIRST_BYTE, ServiceUnavailable),
    ],
)
def test_a_fault_is_an_error_in_time_and_its_cost_is_booked(virtual, fault, kind, caplog):
    caplog.set_level("INFO")

    async def story() -> None:
        plan = FaultPlan({1: Injection(fault, delay_s=60.0)})
        async with open_search(plan=plan) as (simulator, search, ledger):
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(kind) as raised:
                await search.search("opening hours", ledger.spend)
            assert loop.time() - began < LIMITS.total_s + 0.1
            assert KEY not in str(raised.value)
            assert ledger == simulator.meter.items

    virtual(story())
    assert KEY not in caplog.text


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.GARBAGE, Fault.STALL, Fault.SERVER_ERROR])
@pytest.mark.parametrize("failures", [1, 2])
def test_a_search_that_is_repeated_until_it_is_answered_is_booked_once(virtual, fault, failures):
    async def story() -> None:
        fate = Injection(fault, delay_s=60.0)
        plan = FaultPlan(dict.fromkeys(range(1, failures + 1), fate))
        async with open_search(plan=plan) as (simulator, search, ledger):
            for _ in range(failures):
                with pytest.raises(ServiceUnavailable):
                    await search.search("opening hours", ledger.spend)
            for _ in range(2):
                await search.search("opening hours", ledger.spend)
            assert ledger == simulator.meter.items == {"serpapi.search.requests": 1}

    virtual(story())


def test_a_repetition_without_an_answer_is_taken_to_come_from_the_cache(virtual):
    async def story() -> None:
        lost = Injection(Fault.DROP)
        plan = FaultPlan({2: lost, 3: lost, 4: lost})
        async with open_search(plan=plan) as (simulator, search, ledger):
            await search.search("opening hours", ledger.spend)
            for wait_s, booked in ((0, 1), (3_700, 2), (0, 2)):
                await asyncio.sleep(wait_s)
                with pytest.raises(ServiceUnavailable):
                    await search.search("opening hours", ledger.spend)
                assert ledger == simulator.meter.items == {"serpapi.search.requests": booked}

    virtual(story())


def test_a_cancelled_search_is_booked(virtual):
    async def story() -> None:
        async with open_search() as (simulator, search, ledger):
            task = asyncio.ensure_future(search.search("opening hours", ledger.spend))
            await asyncio.sleep(0.4)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ledger == simulator.meter.items == {"serpapi.search.requests": 1}

    virtual(story())


def test_nobody_there_costs_nothing(virtual):
    async def story() -> None:
        search, ledger = WebSearch(KEY, LIMITS, base_url="http://127.0.0.1:9"), Ledger()
        with pytest.raises(ServiceUnavailable):
            await search.search("opening hours", ledger.spend)
        with pytest.raises(ServiceUnavailable):
            await search.searches_left()
        await search.close()
        assert not ledger

    virtual(story())


def test_a_key_is_checked_for_free(virtual):
    async def story() -> None:
        async with open_search(keys=frozenset({KEY}), searches_left=7) as (simulator, search, _):
            assert await search.searches_left() == 7
            assert not simulator.meter.items
        async with open_search(keys=frozenset({"another"})) as (_, search, ledger):
            for attempt in (search.searches_left(), search.search("x", ledger.spend)):
                with pytest.raises(ServiceRejected, match="key is refused"):
                    await attempt
            assert not ledger

    virtual(story())


def test_the_best_of_an_answer():
    found = found_in(
        {
            "answer_box": {"answer": "42 km/h"},
            "organic_results": [{"title": "A", "snippet": ""}, "odd", {"title": "B", "snippet": 3}],
            "local_results": {
                "places": [{"title": "Shop", "address": "12 Oak Street", "phone": "+1 202"}]
            },
        }
    )
    assert found.answer == "42 km/h"
    (hit,) = found.hits
    assert (hit.title, hit.text) == ("Shop", "12 Oak Street, +1 202")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("See https://example.com/x?y=1 for **more** [1].", "See for more ."),
        ("One. " + "two " * 100 + "end.", "One."),
        ("word " * 100, ("word " * 48).strip() + "…"),
        ("Short.", "Short."),
    ],
)
def test_text_is_cut_and_cleaned_for_speech(text, said):
    assert spoken(text) == said


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | (
                st.dictionaries(
                    st.sampled_from(
                        [
                            "organic_results",
                            "local_results",
                            "places",
                            "answer_box",
                            "snippet",
                            "title",
                        ]
                    ),
                    inner,
                )
            )
        ),
    )
)
def test_odd_answers_never_raise(answer):
    found = found_in(answer if isinstance(answer, dict) else {"organic_results": answer})
    assert len(found.hits) <= 3


def test_service_errors_are_the_only_ones(virtual):
    async def story() -> None:
        async with open_search(more={"search_metadata": {"status": "Error"}}) as (
            _,
            search,
            ledger,
        ):
            with pytest.raises(ServiceError, match="did not succeed"):
                await search.search("x", ledger.spend)
            assert not ledger

    virtual(story())
