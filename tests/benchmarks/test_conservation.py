"""A slice of the chaotic calls: what providers metered is what we booked, to the micro-dollar."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import date
from pathlib import Path

import msgspec
import pytest

import db
from benchmarks.conservation.books import Ledger, read
from benchmarks.conservation.callers import Plan, hire, plans
from benchmarks.conservation.run import Report, conserve
from benchmarks.conservation.town import Dice
from voice_server.llm.catalogue import shipped
from voice_server.llm.remote.mind import wanted_provider
from voice_server.testing.lab.faults import Fault, Injection
from voice_server.testing.virtual import VirtualLoop


async def furnish(database: str) -> None:
    pool = await db.open_pool(database, size=1)
    await db.seed_demo(pool)
    await pool.close()


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(90)
def test_every_unit_of_chaotic_calls_is_on_both_sides(tmp_path: Path, database: str) -> None:
    asyncio.run(furnish(database))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        report = runner.run(
            conserve(tmp_path, database, calls=14, alone=5, seed=7, fault_share=0.2)
        )
    assert [check for check in report.checks if not check.ok] == []
    assert sum(report.kinds.values()) == report.calls == 14
    assert {line.item.split(".")[0] for line in report.lines} >= {"elevenlabs", "openai"}
    assert all(line.ours == line.metered > 0 for line in report.lines)
    assert report.struck, "no fault met a call"
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


@pytest.mark.postgres
async def test_the_books_of_an_empty_database_are_empty(database: str) -> None:
    ledger = await read(database)
    assert (ledger.sessions, ledger.all_micro_usd, ledger.totals) == (0, 0, Counter())
    assert ledger.rates["serpapi.search.requests"] == (15_000, 1)


@pytest.mark.postgres
async def test_the_agents_of_the_calls_are_hired_once(database: str) -> None:
    await furnish(database)
    await hire(database)
    await hire(database)
    pool = await db.open_pool(database, size=1)
    directory = db.PostgresAgentDirectory(pool)
    agents = [await directory.for_number(f"+1202555010{number}") for number in range(6)]
    await pool.close()
    hired = [agent for agent in agents if agent is not None]
    assert len({agent.agent_id for agent in hired}) == 6
    makers = {wanted_provider(one.llm_config, shipped(), date(2026, 11, 22)) for one in hired}
    assert makers == {None, "openai", "anthropic", "google", "grok"}


def test_money_is_rounded_up_for_each_item_of_a_call():
    ledger = Ledger({}, {}, {"a": (100, 1_000), "b": (5, 1)}, 0, 0, 0, 0, 0)
    assert ledger.worth({"a": 1, "b": 2, "unpriced": 7}) == {"a": 1, "b": 10, "unpriced": 0}
    assert ledger.worth({"a": 10}) == {"a": 1}
    assert ledger.worth({"a": 11}) == {"a": 2}


def told(planned: list[Plan]) -> list[tuple[object, ...]]:
    return [(plan.kind, plan.to_number, plan.hang_up_at_s) for plan in planned]


def test_a_seed_gives_the_same_calls_and_each_has_its_own_number():
    first, again, other = (list(plans(40, seed)) for seed in (1, 1, 2))
    assert told(first) == told(again) != told(other)
    assert len({plan.from_number for plan in first}) == 40


def test_faults_strike_by_chance_and_are_counted():
    dice = Dice(random.Random(1), 0.5, 100, (Fault.DROP, Fault.STALL))
    fates = [dice.take() for _ in range(200)]
    struck = [fate for fate in fates if fate != Injection()]
    assert 60 < len(struck) < 140
    assert sum(dice.struck.values()) == len(struck)
    assert {fate.fault for fate in struck} == {Fault.DROP, Fault.STALL}
    assert {fate.after_bytes == 0 for fate in struck} == {True, False}
    assert all(0 <= fate.after_bytes < 100 for fate in fates)
