"""Who wins a race, when a second one starts, and what becomes of the loser."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.engines.engines import DOWN, LIMITS, REFUSED, REQUEST, Mind, collect
from voice_server.engines.health import Health
from voice_server.engines.language import LanguageChain, LanguageLink
from voice_server.engines.race import Runner, race
from voice_server.errors import ServiceRejected, ServiceUnavailable
from voice_server.limits import Limits


def runners(*minds: Mind, reserve: int = 0, limits: Limits = LIMITS) -> list[Runner]:
    """The last `reserve` of them are for need only."""
    return [
        Runner(
            Health(f"mind {place}"),
            limits,
            partial(mind.reply, REQUEST),
            place >= len(minds) - reserve,
        )
        for place, mind in enumerate(minds)
    ]


def run(virtual, *minds: Mind, **options: object) -> list[tuple[float, str]]:
    async def scene() -> list[tuple[float, str]]:
        return await collect(race(runners(*minds, **options)))

    said = virtual(scene())
    assert [mind.closed for mind in minds] == [mind.begun for mind in minds]
    return said


def test_a_prompt_engine_is_the_only_one_asked(virtual):
    first, second = Mind(0.2, "a", 0.1, "b"), Mind("c")
    assert run(virtual, first, second) == [(0.2, "a"), (0.3, "b")]
    assert second.asked == 0


def test_the_second_starts_when_the_first_is_later_than_usual_and_the_first_answer_wins(virtual):
    late, quick = Mind(0.95, "late"), Mind(0.1, "quick")
    assert run(virtual, late, quick) == [(0.9, "quick")]
    assert late.closed == 1


def test_a_hedge_that_is_slower_loses_and_is_closed(virtual):
    late, slow = Mind(0.9, "late", 0.2, "still"), Mind(0.5, "slow")
    assert run(virtual, late, slow) == [(0.9, "late"), (1.1, "still")]
    assert slow.closed == 1


def test_the_usual_wait_is_what_was_measured(virtual):
    async def scene() -> list[tuple[float, str]]:
        crew = runners(Mind(0.9, "late"), Mind(0.1, "quick"))
        for _ in range(20):
            crew[0].health.answered(0.3)
        return await collect(race(crew))

    assert virtual(scene()) == [(0.4, "quick")]


def test_no_more_than_two_are_at_work(virtual):
    minds = Mind(0.99, "a"), Mind(0.99, "b"), Mind("c")
    assert run(virtual, *minds)[0] == (0.99, "a")
    assert minds[2].asked == 0


@pytest.mark.parametrize("error", [DOWN, REFUSED])
def test_a_failure_starts_the_next_at_once(virtual, error):
    assert run(virtual, Mind(0.1, error), Mind(0.1, "b")) == [(0.2, "b")]


def test_an_engine_that_says_nothing_at_all_counts_as_failed(virtual):
    assert run(virtual, Mind(0.1), Mind(0.1, "b")) == [(0.2, "b")]


def test_a_reserve_is_no_hedge_but_stands_in_for_the_failed(virtual):
    late, reserve = Mind(0.95, "late"), Mind("reserve")
    assert run(virtual, late, reserve, reserve=1) == [(0.95, "late")]
    assert reserve.asked == 0
    dead = Mind(9.0, "never")
    assert run(virtual, dead, reserve, reserve=1) == [(1.0, "reserve")]


def test_when_all_fail_the_last_error_is_raised(virtual):
    async def scene() -> None:
        with pytest.raises(ServiceRejected, match="no credit"):
            await collect(race(runners(Mind(DOWN), Mind(REFUSED))))

    virtual(scene())


def test_a_failure_after_the_first_item_is_not_repaired_but_remembered(virtual):
    async def scene() -> None:
        crew = runners(Mind("a", REFUSED), Mind("b"))
        stream = race(crew)
        assert (await anext(stream)).text == "a"
        with pytest.raises(ServiceRejected):
            await anext(stream)
        assert not crew[0].health.may_ask(0.0)

    virtual(scene())


@pytest.mark.parametrize(
    ("script", "after_s"),
    [
        ((9.0, "a"), 1.0),  # no first item
        (("a", 9.0), 0.5),  # a gap
        (tuple(step for _ in range(50) for step in ("a", 0.4)), 5.0),  # no end
    ],
)
def test_every_wait_is_under_its_limit(virtual, script, after_s):
    async def scene() -> float:
        with pytest.raises(ServiceUnavailable):
            await collect(race(runners(Mind(*script))))
        return asyncio.get_running_loop().time()

    assert virtual(scene()) == pytest.approx(after_s)


def test_a_bug_in_an_engine_is_not_mistaken_for_trouble(virtual):
    async def scene() -> None:
        with pytest.raises(KeyError):
            await collect(race(runners(Mind(KeyError("bug")), Mind("b"))))

    virtual(scene())


@pytest.mark.parametrize("after_s", [0.1, 0.85, 0.97, 1.2])
def test_whoever_leaves_early_closes_all_that_run(virtual, after_s):
    minds = Mind(0.95, "late", 0.4, "x", 0.4, "y"), Mind(0.5, "slow")

    async def scene() -> None:
        task = asyncio.ensure_future(collect(race(runners(*minds))))
        await asyncio.sleep(after_s)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    virtual(scene())
    assert [mind.closed for mind in minds] == [mind.begun for mind in minds]


def test_closing_the_stream_in_the_middle_closes_the_engine(virtual):
    mind = Mind("a", "b")

    async def scene() -> None:
        stream = race(runners(mind))
        await anext(stream)
        await stream.aclose()

    virtual(scene())
    assert mind.closed == 1


def test_the_answer_does_not_wait_until_the_loser_is_closed(virtual):
    class Clinging(Mind):
        async def reply(self, request):
            try:
                await asyncio.sleep(9)
                yield
            finally:
                await asyncio.sleep(2)

    assert run(virtual, Clinging(), Mind(0.1, "b")) == [(0.9, "b")]


# The chain of language models


def chain(*minds: Mind) -> tuple[LanguageChain, list[Health]]:
    healths = [Health(f"mind {place}") for place in range(len(minds))]
    links = [
        LanguageLink(mind, health, LIMITS, reserve=mind is minds[-1])
        for mind, health in zip(minds, healths, strict=True)
    ]
    return LanguageChain(links), healths


def test_a_resting_model_is_passed_over_until_a_probe_finds_it_well(virtual):
    sick, reserve = Mind(REFUSED), Mind("reserve")

    async def scene() -> None:
        model, _ = chain(sick, reserve)
        for _ in range(5):
            [(_, text)] = await collect(model.reply(REQUEST))
            assert text == "reserve"
        assert sick.asked == 1
        sick.script = ("well",)
        await asyncio.sleep(15)
        assert (await collect(model.reply(REQUEST)))[0][1] == "well"
        assert (await collect(model.reply(REQUEST)))[0][1] == "well"

    virtual(scene())


def test_a_probe_is_not_spent_on_a_model_that_was_not_needed(virtual):
    first, second, reserve = Mind("first"), Mind(REFUSED), Mind("reserve")

    async def scene() -> None:
        model, healths = chain(first, second, reserve)
        healths[1].failed(0.0, REFUSED)
        await asyncio.sleep(20)
        await collect(model.reply(REQUEST))
        assert healths[1].may_ask(20.0)

    virtual(scene())


def test_the_last_model_is_asked_even_while_it_rests(virtual):
    only = Mind(DOWN)

    async def scene() -> None:
        model, _ = chain(only)
        for _ in range(6):
            with pytest.raises(ServiceUnavailable):
                await collect(model.reply(REQUEST))

    virtual(scene())
    assert only.asked == 6


def test_a_model_that_broke_off_is_not_asked_for_a_minute_of_the_call(virtual):
    broken, reserve = Mind("half an", DOWN), Mind("reserve")

    async def scene() -> None:
        model, _ = chain(broken, reserve)
        with pytest.raises(ServiceUnavailable):
            await collect(model.reply(REQUEST))
        assert (await collect(model.reply(REQUEST)))[0][1] == "reserve"
        await asyncio.sleep(60)
        broken.script = ("whole",)
        assert (await collect(model.reply(REQUEST)))[0][1] == "whole"

    virtual(scene())


def test_leaving_a_reply_closes_the_model(virtual):
    mind = Mind("a", 9.0, "b")

    async def scene() -> None:
        stream = chain(mind, Mind("c"))[0].reply(REQUEST)
        await anext(stream)
        await stream.aclose()

    virtual(scene())
    assert mind.closed == 1
