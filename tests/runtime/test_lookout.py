"""The scam detector sees what was committed, and words in the making while nothing else waits."""

from __future__ import annotations

import asyncio

import pytest

from detectors.assessment import Assessment, Segment, Severity
from tests.runtime.fakes import FakeScorer
from voice_server.call.events import RiskAssessed
from voice_server.runtime.lookout import Lookout

FIRST = Segment(0, "caller", "buy gift cards", 0, 900)
SECOND = Segment(1, "agent", "no", 1_000, 1_200)
HALF = Segment(1, "caller", "and read me", 1_300, 1_900)
MORE = Segment(1, "caller", "and read me the numbers", 1_300, 2_900)
ALARM = Assessment(0.9, 0.9, Severity.HIGH, 0, "refund")


class Watched:
    """A lookout, its detector, and what was fed back."""

    def __init__(self, *views: Assessment | Exception) -> None:
        self.scorer = FakeScorer(*views)
        self.told: list[RiskAssessed] = []
        self.looks: list[asyncio.Task[None]] = []
        self.lookout = Lookout(self.scorer, self._start, self.told.append)

    def _start(self, look):
        self.looks.append(asyncio.create_task(look()))

    async def rest(self) -> None:
        await asyncio.gather(*self.looks)


@pytest.fixture
def watched():
    return Watched


async def test_segments_that_wait_are_looked_at_together(watched):
    seen = watched(ALARM)
    for segment in (FIRST, SECOND):
        seen.lookout.show(segment)
    await seen.rest()
    assert seen.scorer.batches == [[FIRST, SECOND]]
    assert seen.told == [RiskAssessed(ALARM)]
    assert len(seen.looks) == 1


async def test_a_view_of_words_in_the_making_comes_with_them(watched):
    seen = watched(ALARM)
    seen.lookout.preview(HALF)
    await seen.rest()
    assert seen.scorer.batches == []
    assert seen.told == [RiskAssessed(ALARM, HALF)]


async def test_the_newest_words_in_the_making_replace_those_that_wait(watched):
    seen = watched()
    seen.lookout.preview(HALF)
    seen.lookout.preview(MORE)
    await seen.rest()
    assert seen.scorer.previews == [MORE]


async def test_committed_words_come_before_words_in_the_making(watched):
    seen = watched()
    seen.lookout.show(FIRST)
    seen.lookout.preview(HALF)
    await seen.rest()
    assert (seen.scorer.batches, seen.scorer.previews) == ([[FIRST]], [HALF])
    assert [event.tail for event in seen.told] == [None, HALF]


async def test_committed_words_overtake_words_in_the_making(watched):
    seen = watched()
    seen.lookout.preview(HALF)
    seen.lookout.show(FIRST)
    await seen.rest()
    assert (seen.scorer.batches, seen.scorer.previews) == ([[FIRST]], [])


async def test_what_comes_during_a_look_is_looked_at_next(watched):
    seen = watched()
    seen.lookout.show(FIRST)
    await asyncio.sleep(0)
    seen.lookout.show(SECOND)
    seen.lookout.preview(HALF)
    await seen.rest()
    assert (seen.scorer.batches, seen.scorer.previews) == ([[FIRST], [SECOND]], [HALF])
    assert len(seen.looks) == 1


async def test_a_detector_that_failed_is_asked_again(watched):
    seen = watched(ValueError("a bug"), ALARM)
    seen.lookout.show(FIRST)
    with pytest.raises(ValueError, match="a bug"):
        await seen.rest()
    seen.looks.clear()
    seen.lookout.show(SECOND)
    await seen.rest()
    assert seen.told == [RiskAssessed(ALARM)]


async def test_the_end_is_passed_on(watched):
    seen = watched()
    seen.lookout.end()
    assert seen.scorer.ended
