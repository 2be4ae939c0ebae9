from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.speech.conftest import FACTS, pieces
from voice_server.call.events import Consumed, SpeechReady
from voice_server.errors import ServiceRejected
from voice_server.speech.pool import InferencePool
from voice_server.speech.speaker import LocalTextToSpeech


class Mouth:
    """Says every text as its own bytes, ten of them a letter; may be held up or broken."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()
        self.broken = False

    def say(self, text: str) -> bytes:
        self.said.append(text)
        self.entered.set()
        assert self.free.wait(5)
        if self.broken:
            raise LookupError("the secret words of the agent")
        return text.encode() * 10 if any(map(str.isalnum, text)) else b""


@pytest.fixture
def mouth():
    return Mouth()


@pytest.fixture
def pool():
    made = InferencePool(1)
    yield made
    made.close()


@pytest.fixture
def speaker(mouth, pool):
    return LocalTextToSpeech(lambda: mouth, pool)


async def spoken(speaker: LocalTextToSpeech, *texts: str) -> list:
    async with asyncio.timeout(30):
        return [event async for event in speaker.speak(3, pieces(*texts), FACTS)]


def speech(events: list) -> list[SpeechReady]:
    return [event for event in events if isinstance(event, SpeechReady)]


def characters(events: list) -> int:
    return sum(event.quantity for event in events if isinstance(event, Consumed))


async def test_clauses_come_as_audio_with_their_text(speaker):
    events = await spoken(speaker, "Good morning. ", "How are you?")

    assert events == [
        Consumed("local.tts.characters", 14),
        SpeechReady(3, b"Good morning." * 10, "Good morning. "),
        Consumed("local.tts.characters", 12),
        SpeechReady(3, b"How are you?" * 10, "How are you?"),
    ]


async def test_the_first_clause_is_there_before_the_text_is_complete(speaker):
    more = asyncio.Event()

    async def slow_pieces():
        yield "Good morning. "
        await more.wait()
        yield "How are you?"

    async with asyncio.timeout(30), aclosing(speaker.speak(1, slow_pieces(), FACTS)) as events:
        assert isinstance(await anext(events), Consumed)
        assert (await anext(events)).text == "Good morning. "
        more.set()
        assert isinstance(await anext(events), Consumed)
        assert (await anext(events)).text == "How are you?"


async def test_what_was_said_before_costs_nothing(speaker, mouth):
    first = await spoken(speaker, "Good morning. How are you?")
    second = await spoken(speaker, "Good morning. How are you?")

    assert speech(first) == speech(second)
    assert characters(second) == 0
    assert mouth.said == ["Good morning.", "How are you?"]
    assert speaker.synthesised == 2


async def test_spaces_around_a_clause_do_not_matter_to_the_cache(speaker, mouth):
    await spoken(speaker, "Good morning.")
    await spoken(speaker, " Good morning.  ")

    assert mouth.said == ["Good morning."]


async def test_warmed_prompts_are_free_from_the_first_time_on(speaker, mouth):
    await speaker.warm(["Hello, how can I help you today?", "Goodbye."])
    said = len(mouth.said)

    events = await spoken(speaker, "Hello, how can I help you today?")

    assert len(mouth.said) == said
    assert characters(events) == 0


async def test_equal_clauses_at_the_same_time_are_said_once(speaker, mouth):
    mouth.free.clear()
    both = asyncio.gather(spoken(speaker, "Good morning."), spoken(speaker, "Good morning."))
    await asyncio.to_thread(mouth.entered.wait, 5)
    mouth.free.set()

    one, other = await both
    assert speech(one) == speech(other)
    assert mouth.said == ["Good morning."]
    assert characters(one) + characters(other) == 13


async def test_when_one_of_two_leaves_the_other_is_still_served(speaker, mouth):
    mouth.free.clear()
    leaving = asyncio.ensure_future(spoken(speaker, "Good morning."))
    staying = asyncio.ensure_future(spoken(speaker, "Good morning."))
    await asyncio.to_thread(mouth.entered.wait, 5)
    leaving.cancel()
    await asyncio.sleep(0)
    mouth.free.set()

    assert speech(await staying)[0].mulaw == b"Good morning." * 10
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_an_abandoned_turn_takes_its_clause_out_of_the_line(speaker, mouth, pool):
    mouth.free.clear()
    busy = asyncio.ensure_future(spoken(speaker, "Somebody else is speaking."))
    await asyncio.to_thread(mouth.entered.wait, 5)
    abandoned = asyncio.ensure_future(spoken(speaker, "Never mind. ", "Nor this."))
    await asyncio.sleep(0)
    abandoned.cancel()
    with pytest.raises(asyncio.CancelledError):
        await abandoned
    mouth.free.set()
    await busy
    await spoken(speaker, "Next please.")

    assert mouth.said == ["Somebody else is speaking.", "Next please."]


async def test_an_abandoned_turn_has_booked_its_work(speaker):
    async with aclosing(speaker.speak(1, pieces("Good morning."), FACTS)) as events:
        assert await anext(events) == Consumed("local.tts.characters", 13)


async def test_a_clause_given_up_can_be_asked_for_again(speaker, mouth):
    mouth.free.clear()
    first = asyncio.ensure_future(spoken(speaker, "Good morning."))
    await asyncio.to_thread(mouth.entered.wait, 5)
    first.cancel()
    await asyncio.sleep(0)
    again = asyncio.ensure_future(spoken(speaker, "Good morning."))
    await asyncio.sleep(0)
    mouth.free.set()

    assert speech(await again)[0].mulaw == b"Good morning." * 10


async def test_the_cache_keeps_to_its_size_and_forgets_the_oldest(mouth, pool):
    speaker = LocalTextToSpeech(lambda: mouth, pool, cache_bytes=100)
    for text in ("one.", "two.", "one.", "three", "one.", "two."):
        await spoken(speaker, text)

    assert mouth.said == ["one.", "two.", "three", "two."]


async def test_a_clause_larger_than_the_cache_is_not_kept(mouth, pool):
    speaker = LocalTextToSpeech(lambda: mouth, pool, cache_bytes=50)
    await spoken(speaker, "short")
    await spoken(speaker, "far too long")
    await spoken(speaker, "short")

    assert mouth.said == ["short", "far too long"]


async def test_a_broken_voice_is_a_service_error_without_the_agents_words(speaker, mouth):
    mouth.broken = True

    with pytest.raises(ServiceRejected, match="local text to speech") as failure:
        await spoken(speaker, "Good morning.")

    assert "secret" not in str(failure.value)
    mouth.broken = False
    assert speech(await spoken(speaker, "Good morning."))


@pytest.mark.parametrize("text", [" ", "...", "***", "\n\n"])
async def test_text_without_sound_still_comes_back_as_text(speaker, text: str):
    (event,) = speech(await spoken(speaker, text))

    assert event.text == text
    assert event.mulaw == b"\xff" * 160


async def test_no_text_is_no_speech(speaker):
    assert await spoken(speaker) == []
    assert await spoken(speaker, "", "") == []


@given(st.lists(st.text(max_size=40), max_size=8))
def test_the_text_of_all_speech_is_exactly_what_was_given(texts: list[str]):
    async def play() -> list:
        pool = InferencePool(1)
        events = await spoken(LocalTextToSpeech(Mouth, pool), *texts)
        pool.close()
        return events

    events = speech(asyncio.run(play()))

    assert "".join(event.text for event in events) == "".join(texts)
    assert all(event.mulaw for event in events)


def test_a_loop_that_ended_in_the_middle_does_not_block_the_next(mouth, pool):
    speaker = LocalTextToSpeech(lambda: mouth, pool)
    mouth.free.clear()

    async def leave() -> None:
        task = asyncio.ensure_future(spoken(speaker, "Good morning."))
        await asyncio.to_thread(mouth.entered.wait, 5)
        task.cancel()

    asyncio.run(leave())
    mouth.free.set()

    assert speech(asyncio.run(spoken(speaker, "Good morning.")))
