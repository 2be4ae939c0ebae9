"""Usage as each provider tells it, and as we reckon it when nobody does."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.llm.remote.minds import TODAY
from voice_server.call.events import Consumed
from voice_server.llm.catalogue import shipped
from voice_server.llm.remote.bill import Bill
from voice_server.llm.remote.usage import (
    OutputCount,
    PromptMemory,
    Usage,
    book,
    from_anthropic,
    from_openai,
    split_anthropic,
    split_openai,
    weigh,
)

LUNA = shipped().resolve("gpt-6-luna", TODAY).card
MINI = shipped().resolve("gpt-4o-mini", TODAY).card
HAIKU = shipped().resolve("claude-haiku-5-5", TODAY).card


def usage(prompt=0, completion=0, total=0, **details: int) -> dict[str, object]:
    return dict(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=total or prompt + completion,
        prompt_tokens_details=dict(**details),
    )


@pytest.mark.parametrize(
    ("told", "normal"),
    [
        (usage(100, 20), Usage(100, 0, 0, 20)),
        (usage(2000, 20, cached_tokens=1920), Usage(80, 1920, 0, 20)),
        (
            usage(2000, 20, cached_tokens=1024, cache_write_tokens=900),
            Usage(76, 1024, 900, 20),
        ),
        (usage(100, 20, total=160), Usage(100, 0, 0, 60)),  # reasoning outside
        (usage(100, 20, cached_tokens=500), Usage(0, 100, 0, 20)),  # cannot be
        (dict(prompt_tokens=7, completion_tokens=None), Usage(7, 0, 0, 0)),
        (usage(), None),
        (None, None),
        ("odd", None),
    ],
)
def test_openai_counts_the_cache_inside_the_prompt(told, normal):
    assert from_openai(told) == normal


def test_anthropic_counts_the_cache_beside_the_input():
    told = dict(
        input_tokens=12,
        cache_creation_input_tokens=30,
        cache_read_input_tokens=900,
        output_tokens=1,
    )
    assert from_anthropic(told, 20) == Usage(12, 900, 30, 20)
    assert from_anthropic(None, 3) == Usage(0, 0, 0, 3)


def test_a_reply_is_booked_by_kind_and_an_estimate_is_marked():
    ledger: Counter[str] = Counter()

    def spend(consumed: Consumed) -> None:
        ledger[consumed.item] += consumed.quantity

    book(spend, LUNA, Usage(1, 2, 0, 4, estimated=True))
    assert ledger == {
        "openai.gpt-6-luna.input_tokens": 1,
        "openai.gpt-6-luna.cached_input_tokens": 2,
        "openai.gpt-6-luna.output_tokens": 4,
        "openai.gpt-6-luna.estimated_replies": 1,
    }


def test_output_is_counted_by_deltas_or_by_characters_whichever_is_more():
    count = OutputCount()
    for piece in ("a", "b", ""):
        count.text(piece)
    assert count.tokens == 2
    count.text("x" * 40)
    assert count.tokens == 11
    count.tool()
    count.text("{}", "tool")
    assert count.tokens == 13
    assert count.characters == 45


PARTS = ["rules " * 1_000, "hello", "again"]


def bill(memory: PromptMemory, parts=PARTS, card=MINI) -> Bill:
    return Bill(card, memory, cache="s", alike="a", parts=parts, split=split_openai)


def settle(owed: Bill, told: Usage | None = None, received: int = 0) -> Counter[str]:
    ledger: Counter[str] = Counter()

    def spend(consumed: Consumed) -> None:
        ledger[consumed.item.rsplit(".", 1)[1]] += consumed.quantity

    owed.settle(spend, told, received)
    owed.settle(spend, told, received)
    return ledger


def test_a_bill_is_settled_once():
    owed = bill(PromptMemory())
    owed.sent()
    assert settle(owed, Usage(5, 0, 0, 7)) == {"input_tokens": 5, "output_tokens": 7}


def test_what_was_never_sent_or_was_refused_costs_nothing():
    assert not settle(bill(PromptMemory()))
    owed = bill(PromptMemory())
    owed.sent()
    owed.refused()
    assert not settle(owed, received=9)


def test_an_estimate_learns_from_the_replies_before():
    memory = PromptMemory()
    first = bill(memory)
    first.sent()
    settle(first, Usage(2_000, 0, 0, 5))
    cut = bill(memory, [*PARTS, "more"])
    cut.sent()
    booked = settle(cut, received=3)
    assert booked["cached_input_tokens"] == 1_408  # the known prefix, in steps of 128
    total = booked["input_tokens"] + booked["cached_input_tokens"]
    assert total == 2_000 + sum(weigh(["more"]))
    assert booked["output_tokens"] == 3
    assert booked["estimated_replies"] == 1


def test_a_beginning_counts_as_known_from_the_moment_it_went_out():
    memory = PromptMemory()
    first, second = bill(memory), bill(memory, [*PARTS, "more"])
    first.sent()
    second.sent()
    assert settle(first)["cached_input_tokens"] == 0
    assert settle(second)["cached_input_tokens"] == 1_408


def test_a_request_that_was_refused_has_not_been_read():
    memory = PromptMemory()
    for refused in (bill(memory), bill(memory, [*PARTS, "more"])):
        refused.sent()
        refused.refused()
    again = bill(memory)
    again.sent()
    assert settle(again)["cached_input_tokens"] == 0
    known = bill(memory)
    known.sent()
    known.refused()
    last = bill(memory)
    last.sent()
    assert settle(last)["cached_input_tokens"] == 1_408


@pytest.mark.parametrize(
    ("card", "total", "known", "split"),
    [
        (MINI, 3_000, 0, (3_000, 0, 0)),
        (MINI, 3_000, 1_000, (3_000, 0, 0)),
        (MINI, 3_000, 1_100, (1_976, 1_024, 0)),
        (LUNA, 3_000, 1_100, (0, 1_024, 1_976)),
        (LUNA, 900, 0, (900, 0, 0)),
    ],
)
def test_how_openai_splits_a_prompt(card, total, known, split):
    assert split_openai(card, total, known) == split


@pytest.mark.parametrize(
    ("total", "known", "split"),
    [(400, 0, (400, 0, 0)), (600, 0, (0, 0, 600)), (700, 600, (0, 600, 100))],
)
def test_how_anthropic_splits_a_prompt(total, known, split):
    assert split_anthropic(HAIKU, total, known) == split


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_no_split_invents_or_loses_tokens(total, known):
    for card in (MINI, LUNA):
        assert sum(split_openai(card, total, known)) == total
    assert sum(split_anthropic(HAIKU, total, known)) == total


def test_the_memory_of_prompts_is_bounded_and_keeps_scopes_apart():
    memory = PromptMemory()
    memory.remember("a", PARTS)
    weights = weigh(PARTS)
    assert memory.known("a", PARTS, weights) == sum(weights)
    assert memory.known("b", PARTS, weights) == 0
    assert memory.known("a", [PARTS[0], "other"], weights[:2]) == weights[0]
    for number in range(30_000):
        memory.remember("c", [number])
    assert memory.known("a", PARTS, weights) == 0
    for number in range(2_000):
        memory.learn(str(number), number)
    assert memory.error("0") == 0
    assert memory.error("1999") == 1999
