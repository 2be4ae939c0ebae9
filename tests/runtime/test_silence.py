"""The caller is never left in silence that nothing explains, whoever does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import pytest

from db.rows import CostBooked, LineSaid
from tests.runtime.fakes import FakeEars, FakeMind, FakePhrases, FakeToolbox, FakeVoice, Stage
from voice_server.call import Phase, Policy
from voice_server.call import events as e
from voice_server.errors import ServiceUnavailable
from voice_server.ports import CallFacts

STALL_S = 30
WATCHED_S = 20  # of the stall
LIMIT_S = 1.5
DOWN = ServiceUnavailable("acme", "no answer within 5 s")


class SlowVoice(FakeVoice):
    """Stalls on a piece that holds a word."""

    async def speak(self, turn: e.TurnId, pieces: AsyncIterator[str], facts: CallFacts):
        async for piece in pieces:
            if "fix" in piece:
                await asyncio.sleep(STALL_S)
            async for sound in super().speak(turn, _one(piece), facts):
                yield sound


async def _one(piece: str) -> AsyncIterator[str]:
    yield piece


class SlowEars(FakeEars):
    """Hears, but does not tell."""

    async def __aiter__(self):
        await asyncio.sleep(STALL_S)
        yield e.FinalTranscript("", 0)


ASKS = (("r1", "look_up_order", "{}"),)
STALLS: dict[str, Callable[[], dict[str, object]]] = {
    "the model": lambda: {"mind": FakeMind([STALL_S])},
    "the model, in mid-answer": lambda: {"mind": FakeMind(["We can fix that. ", STALL_S])},
    "the voice": lambda: {"mind": FakeMind(["We can fix that."]), "voice": SlowVoice()},
    "the voice, in mid-answer": lambda: {
        "mind": FakeMind(["Yes, of course, at once. ", "We can fix that."]),
        "voice": SlowVoice(),
    },
    "the transcriber": lambda: {"ears": SlowEars()},
    "a tool": lambda: {"mind": FakeMind(ASKS), "toolbox": FakeToolbox(takes_s=STALL_S)},
    "a tool, after words": lambda: {
        "mind": FakeMind(["I will look. ", *ASKS]),
        "toolbox": FakeToolbox(takes_s=STALL_S),
    },
    "a model that dies": lambda: {"mind": FakeMind([1.2, DOWN])},
    "a model that dies in mid-answer": lambda: {"mind": FakeMind(["We can fix that. ", 2.5, DOWN])},
}


def silences(stage: Stage, begin: float, end: float) -> list[float]:
    """How long it was silent between two instants, each time."""
    heard = [(begin, begin), *((a, b) for a, b in stage.line.heard if b > begin), (end, end)]
    return [later[0] - sooner[1] for sooner, later in pairwise(heard)]


def leaves_the_word_to_the_caller(stage: Stage) -> bool:
    """The agent has said all it will say, the caller is next."""
    own = ("Hello.", *Policy().fillers, *Policy().tool_fillers)
    last = [row.text for row in stage.of(LineSaid) if row.speaker == "agent"][-1]
    return stage.call.phase is Phase.LISTENING and last not in own


@pytest.mark.parametrize("who", STALLS)
def test_a_caller_hears_something_while_we_wait_for(virtual, who: str):
    async def scene() -> None:
        partners = {"ears": FakeEars("My tap leaks.")} | STALLS[who]()
        stage = Stage(Policy(greeting="Hello."), **partners)
        stage.start()
        await stage.hush(1_000)
        await stage.speak()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while loop.time() - begin < WATCHED_S and not leaves_the_word_to_the_caller(stage):
            await stage.hush(100)
        assert max(silences(stage, begin, loop.time())) <= LIMIT_S
        await stage.hang_up()

    virtual(scene())


def test_a_greeting_that_stalls_is_excused_too(virtual):
    async def scene() -> None:
        stage = Stage(Policy(greeting="We fix everything."), voice=SlowVoice())
        begin = asyncio.get_running_loop().time()
        stage.start()
        await stage.hush(5_000)
        assert max(silences(stage, begin, begin + 5)) <= LIMIT_S
        await stage.hang_up()

    virtual(scene())


def test_an_interjection_stands_in_the_transcript_and_not_before_the_model(virtual):
    async def scene() -> None:
        mind = FakeMind([1.0, "We can fix that."], ["Bye."])
        stage = Stage(ears=FakeEars("My tap leaks.", "Thanks."), mind=mind)
        stage.start()
        await stage.hush(1_000)
        for _ in range(2):
            await stage.speak()
            await stage.hush(5_000)
        await stage.hang_up()
        lines = [row.text for row in stage.of(LineSaid)]
        assert lines[:4] == ["Hello.", "My tap leaks.", Policy().fillers[0], "We can fix that."]
        assert stage.phrases.asked == [Policy().fillers[0]]
        shown = [entry.text for entry in mind.asked[1].history]
        assert shown == ["Hello.", "My tap leaks.", "We can fix that.", "Thanks."]

    virtual(scene())


def test_phrases_are_prepared_after_the_first_words_and_booked_to_the_call(virtual):
    async def scene() -> None:
        stage = Stage(phrases=FakePhrases(cost=7))
        stage.start()
        await stage.hush(200)
        assert stage.phrases.prepared == []
        await stage.hush(6_000)
        assert stage.phrases.prepared == list(Policy().phrases)
        await stage.hang_up()
        booked = [row.quantity for row in stage.of(CostBooked) if row.item == "phrases"]
        assert booked == [7] * len(Policy().phrases)

    virtual(scene())


@pytest.mark.parametrize("ms", [100, 1_500])
def test_a_call_that_ends_does_not_wait_for_its_phrases(virtual, ms: int):
    async def scene() -> None:
        stage = Stage()
        stage.start()
        await stage.hush(ms)
        loop = asyncio.get_running_loop()
        before = loop.time()
        await stage.hang_up()
        assert loop.time() - before < 1
        assert len(stage.phrases.prepared) < len(Policy().phrases)

    virtual(scene())
