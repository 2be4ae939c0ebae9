from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.speech.conftest import FACTS, SILENCE, SPEECH
from voice_server.call.events import Consumed, FinalTranscript, PartialTranscript
from voice_server.errors import ServiceRejected
from voice_server.speech.pool import InferencePool
from voice_server.speech.transcriber import LocalSpeechToText, LocalTranscriber

LOUD = 0.1


class Ears:
    """Hears how many frames of speech the audio holds; may be held up, may be broken."""

    def __init__(self) -> None:
        self.runs = 0
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()
        self.broken = False

    def transcribe(self, samples: np.ndarray, should_stop: Callable[[], bool]) -> str:
        self.runs += 1
        self.entered.set()
        while not self.free.wait(0.002):
            if should_stop():
                return "stopped"
        if self.broken:
            raise LookupError("the secret words of the caller")
        whole = len(samples) // 320 * 320
        loud = (np.abs(samples[:whole].reshape(-1, 320)).mean(axis=1) > LOUD).sum()
        return f"{loud} frames" if loud else ""


class Bench:
    """A transcriber over `Ears`, and everything it said so far."""

    def __init__(self, ears: Ears, transcriber: LocalTranscriber) -> None:
        self.ears = ears
        self.transcriber = transcriber
        self._iterator = aiter(transcriber)

    def push(self, frame: bytes, count: int) -> None:
        for _ in range(count):
            self.transcriber.push(frame)

    async def next(self):
        async with asyncio.timeout(30):
            return await anext(self._iterator)

    async def finals(self, last: int) -> list[FinalTranscript]:
        """The finals up to that of utterance `last`."""
        finals: list[FinalTranscript] = []
        while not (finals and finals[-1].utterance == last):
            event = await self.next()
            if isinstance(event, FinalTranscript):
                finals.append(event)
        return finals


@pytest.fixture
async def bench():
    ears = Ears()
    pool = InferencePool(1)
    async with LocalSpeechToText(lambda: ears, pool).listen(FACTS) as transcriber:
        yield Bench(ears, transcriber)
        ears.free.set()
    pool.close()


async def test_a_commit_is_answered_with_the_words_and_the_time_used(bench: Bench):
    bench.push(SPEECH, 20)
    bench.transcriber.commit(1)

    assert await bench.next() == FinalTranscript("20 frames", 1)
    assert await bench.next() == Consumed("local.stt.milliseconds", 400)


@pytest.mark.parametrize("frames", [0, 1, 500])
async def test_a_commit_of_silence_is_answered_without_the_model(bench: Bench, frames: int):
    bench.push(SILENCE, frames)
    bench.transcriber.commit(7)

    assert await bench.next() == FinalTranscript("", 7)
    assert bench.ears.runs == 0


async def test_an_hour_of_silence_runs_no_model(bench: Bench):
    bench.push(SILENCE, 180_000)

    assert bench.ears.runs == 0


async def test_partials_come_while_the_caller_goes_on(bench: Bench):
    bench.push(SPEECH, 30)
    first = await bench.next()
    bench.push(SPEECH, 30)
    second = await bench.next()

    assert isinstance(first, PartialTranscript)
    assert isinstance(second, PartialTranscript)
    assert int(first.text.split()[0]) < int(second.text.split()[0])


async def test_partials_of_a_long_utterance_get_rarer(bench: Bench):
    for _ in range(14):
        bench.push(SPEECH, 50)
        await asyncio.sleep(0.01)

    assert bench.ears.runs < 14


async def test_a_partial_that_heard_it_all_becomes_the_final_at_once(bench: Bench):
    bench.push(SPEECH, 20)
    bench.push(SILENCE, 8)
    assert await bench.next() == PartialTranscript("20 frames")
    bench.push(SILENCE, 4)
    bench.transcriber.commit(1)

    assert await bench.next() == FinalTranscript("20 frames", 1)
    assert bench.ears.runs == 1


async def test_a_partial_under_way_that_hears_it_all_becomes_the_final(bench: Bench):
    bench.ears.free.clear()
    bench.push(SPEECH, 20)
    bench.push(SILENCE, 8)
    await asyncio.to_thread(bench.ears.entered.wait, 5)
    bench.transcriber.commit(1)
    bench.ears.free.set()

    assert await bench.finals(1) == [FinalTranscript("20 frames", 1)]
    assert bench.ears.runs == 1


async def test_a_partial_under_way_that_misses_words_makes_room_for_the_final(bench: Bench):
    bench.ears.free.clear()
    bench.push(SPEECH, 30)
    await asyncio.to_thread(bench.ears.entered.wait, 5)
    bench.push(SPEECH, 10)
    bench.transcriber.commit(1)
    bench.ears.free.set()

    assert await bench.next() == FinalTranscript("40 frames", 1)


async def test_finals_come_in_order_of_their_commits(bench: Bench):
    for number in range(1, 6):
        bench.push(SPEECH, 5 + number)
        bench.transcriber.commit(number)

    assert await bench.finals(5) == [FinalTranscript(f"{5 + n} frames", n) for n in range(1, 6)]


async def test_an_empty_commit_does_not_overtake(bench: Bench):
    bench.ears.free.clear()
    bench.push(SPEECH, 10)
    bench.transcriber.commit(1)
    bench.transcriber.commit(2)
    bench.ears.free.set()

    assert await bench.finals(2) == [FinalTranscript("10 frames", 1), FinalTranscript("", 2)]


async def test_speech_beyond_fifteen_seconds_is_cut_by_itself(bench: Bench):
    bench.push(SPEECH, 600)
    bench.push(SILENCE, 10)
    bench.push(SPEECH, 250)
    bench.transcriber.commit(4)

    said = await bench.finals(4)

    assert [event.utterance for event in said] == [0, 4]
    assert sum(int(event.text.split()[0]) for event in said) in range(848, 853)


async def test_overload_costs_words_but_never_a_final(bench: Bench):
    bench.ears.free.clear()
    for number in range(1, 21):
        bench.push(SPEECH, 10)
        bench.transcriber.commit(number)
    bench.ears.free.set()

    finals = await bench.finals(20)

    assert [event.utterance for event in finals] == list(range(1, 21))
    assert bench.transcriber.shed > 0
    assert finals[-1].text == "10 frames"


async def test_a_broken_model_is_a_service_error_without_the_callers_words(bench: Bench):
    bench.ears.broken = True
    bench.push(SPEECH, 10)
    bench.transcriber.commit(1)

    with pytest.raises(ServiceRejected, match="local speech to text") as failure:
        await bench.next()

    assert "secret" not in str(failure.value)


async def test_leaving_the_context_ends_the_iteration_and_the_work():
    ears = Ears()
    ears.free.clear()
    pool = InferencePool(1)
    async with LocalSpeechToText(lambda: ears, pool).listen(FACTS) as transcriber:
        for _ in range(20):
            transcriber.push(SPEECH)
        transcriber.commit(1)
        reading = asyncio.ensure_future(_read_all(transcriber))
        await asyncio.to_thread(ears.entered.wait, 5)

    async with asyncio.timeout(30):
        assert await reading == []
    pool.close()


async def _read_all(transcriber: LocalTranscriber) -> list:
    return [event async for event in transcriber]


async def test_a_final_of_one_call_overtakes_the_partials_of_others():
    ears = Ears()
    ears.free.clear()
    pool = InferencePool(1)
    speech_to_text = LocalSpeechToText(lambda: ears, pool)
    async with (
        speech_to_text.listen(FACTS) as busy,
        speech_to_text.listen(FACTS) as chatty,
        speech_to_text.listen(FACTS) as waiting,
    ):
        order: list[str] = []
        for transcriber in (busy, chatty):
            for _ in range(25):
                transcriber.push(SPEECH)
        await asyncio.to_thread(ears.entered.wait, 5)
        for _ in range(10):
            waiting.push(SPEECH)
        waiting.commit(1)

        async def first_word(name: str, transcriber: LocalTranscriber) -> None:
            async for _ in transcriber:
                order.append(name)
                return

        ears.free.set()
        async with asyncio.timeout(30):
            await asyncio.gather(first_word("chatty", chatty), first_word("waiting", waiting))
    pool.close()

    assert order == ["waiting", "chatty"]


async def test_who_holds_back_the_next_frame_hears_all_that_can_be_known(bench: Bench):
    assert await bench.transcriber.settled() == []
    bench.push(SPEECH, 25)
    assert await bench.transcriber.settled() == [PartialTranscript("25 frames")]
    bench.transcriber.commit(1)
    heard = await bench.transcriber.settled()
    assert heard == [FinalTranscript("25 frames", 1), Consumed("local.stt.milliseconds", 500)]
    assert await bench.transcriber.settled() == []


async def test_who_waits_learns_that_the_model_is_broken(bench: Bench):
    bench.ears.broken = True
    bench.push(SPEECH, 25)
    with pytest.raises(ServiceRejected):
        await bench.transcriber.settled()


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("speech"), st.integers(1, 60)),
            st.tuples(st.just("silence"), st.integers(1, 60)),
            st.tuples(st.just("commit"), st.just(1)),
        ),
        max_size=25,
    )
)
def test_every_commit_has_exactly_one_final_whatever_happens(script):
    async def play() -> list:
        pool = InferencePool(2)
        ears = Ears()
        async with LocalSpeechToText(lambda: ears, pool).listen(FACTS) as transcriber:
            bench = Bench(ears, transcriber)
            commits = 0
            for what, count in script:
                if what == "commit":
                    commits += 1
                    transcriber.commit(commits)
                else:
                    bench.push(SPEECH if what == "speech" else SILENCE, count)
                await asyncio.sleep(0)
            transcriber.commit(99)
            finals = await bench.finals(99)
        pool.close()
        return [*range(1, commits + 1), 99], finals

    expected, finals = asyncio.run(play())

    assert [final.utterance for final in finals if final.utterance] == expected
