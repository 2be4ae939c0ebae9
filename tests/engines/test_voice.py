"""Voices in a chain: every word is said once, whoever says it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.engines import DOWN, LIMITS, REFUSED, Voice, slowly
from tests.runtime.fakes import FACTS
from voice_server.call.events import SpeechReady
from voice_server.engines.health import Health
from voice_server.engines.voice import VoiceChain, VoiceLink
from voice_server.errors import ServiceRejected, ServiceUnavailable
from voice_server.testing.virtual import VirtualLoop

TEXT = "The plumber comes on Monday at ten. Is that all right?"


def chain(*voices: Voice) -> tuple[VoiceChain, list[Health]]:
    healths = [Health(f"voice {place}") for place in range(len(voices))]
    return VoiceChain(
        [VoiceLink(v, health, LIMITS) for v, health in zip(voices, healths, strict=True)]
    ), healths


async def speak(
    speaker: VoiceChain, pieces: Sequence[str] = (TEXT,), gap_s: float = 0.0
) -> list[tuple[float, str]]:
    loop = asyncio.get_running_loop()
    return [
        (round(loop.time(), 3), sound.text)
        async for sound in speaker.speak(1, slowly(pieces, gap_s), FACTS)
        if isinstance(sound, SpeechReady)
    ]


def words(said: list[tuple[float, str]]) -> str:
    return "".join(text for _, text in said)


def test_a_voice_that_works_is_the_only_one_asked(virtual):
    first, second = Voice(), Voice()
    assert words(virtual(speak(chain(first, second)[0]))) == TEXT
    assert (first.closed, second.asked) == (1, 0)


@pytest.mark.parametrize("error", [DOWN, REFUSED])
def test_a_voice_that_fails_at_once_is_replaced_for_the_whole_turn(virtual, error):
    first, second = Voice(moods={0: error}), Voice()
    assert words(virtual(speak(chain(first, second)[0]))) == TEXT
    assert second.given == TEXT


def test_the_next_voice_goes_on_with_the_words_that_were_not_said(virtual):
    first, second = Voice(moods={4: DOWN}), Voice()
    assert words(virtual(speak(chain(first, second)[0]))) == TEXT
    assert second.given == "Monday at ten. Is that all right?"


def test_a_word_that_was_cut_is_said_again_but_counted_once(virtual):
    first, second = Voice(moods={1: "3"}), Voice()
    said = virtual(speak(chain(first, second)[0]))
    assert [text for _, text in said][:3] == ["The ", "plu", "mber "]
    assert words(said) == TEXT
    assert second.given.startswith("plumber comes")


@pytest.mark.parametrize(("word", "silent_s"), [(0, 1.0), (3, 0.5)])
def test_a_voice_that_falls_silent_is_replaced_when_its_limit_is_over(virtual, word, silent_s):
    first, second = Voice(moods={word: 9.0}), Voice()
    said = virtual(speak(chain(first, second)[0]))
    assert words(said) == TEXT
    assert said[word][0] == pytest.approx(0.1 * word + silent_s + 0.1)
    assert first.closed == 1


def test_slow_words_are_not_the_voices_fault(virtual):
    first, second = Voice(), Voice()
    pieces = ("Let me see. ", "Yes, ", "there is one.")
    assert words(virtual(speak(chain(first, second)[0], pieces, gap_s=4.0))) == "".join(pieces)
    assert second.asked == 0


def test_words_that_come_late_are_owed_from_then_on(virtual):
    first, second = Voice(moods={3: 9.0}), Voice()
    said = virtual(speak(chain(first, second)[0], ("Let me see. ", "Yes."), gap_s=3.3))
    assert said[-1] == (pytest.approx(3.3 + 0.5 + 0.1), "Yes.")


def test_blanks_at_the_end_are_owed_by_nobody(virtual):
    class Trimming(Voice):
        async def speak(self, turn, pieces, facts):
            async for piece in pieces:
                yield SpeechReady(turn, b"\x20", piece.rstrip())
                await asyncio.sleep(3)

    second = Voice()
    said = virtual(speak(chain(Trimming(), second)[0], ("Hello there. ",)))
    assert (words(said), second.asked) == ("Hello there.", 0)


def test_a_voice_that_ends_before_its_text_is_helped_out(virtual):
    class Lazy(Voice):
        async def speak(self, turn, pieces, facts):
            async for piece in pieces:
                yield SpeechReady(turn, b"\x20", piece[:4])

    assert words(virtual(speak(chain(Lazy(), Voice())[0]))) == TEXT


def test_the_error_of_the_last_voice_is_raised(virtual):
    async def scene() -> None:
        with pytest.raises(ServiceRejected):
            await speak(chain(Voice(moods={0: DOWN}), Voice(moods={2: REFUSED}))[0])

    virtual(scene())


def test_a_voice_with_a_bug_is_not_replaced(virtual):
    async def scene() -> None:
        with pytest.raises(KeyError):
            await speak(chain(Voice(moods={0: KeyError("bug")}), Voice())[0])

    virtual(scene())


def test_the_error_of_the_words_is_raised_after_what_was_said(virtual):
    async def broken() -> AsyncIterator[str]:
        yield "Hello. "
        raise ServiceUnavailable("words", "broke off")

    async def scene() -> None:
        sounds = chain(Voice(), Voice())[0].speak(1, broken(), FACTS)
        assert (await anext(sounds)).text == "Hello. "
        with pytest.raises(ServiceUnavailable, match="broke off"):
            await anext(sounds)

    virtual(scene())


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.1, 0.35, 2.0])
def test_an_interrupted_turn_leaves_no_task_and_closes_the_voice(virtual, after_s):
    first, second = Voice(moods={3: 9.0}), Voice(word_s=0.3)

    async def scene() -> None:
        task = asyncio.ensure_future(speak(chain(first, second)[0]))
        await asyncio.sleep(after_s)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    virtual(scene())
    assert (first.closed, second.closed) == (first.asked, second.asked)


def test_a_voice_that_failed_is_not_waited_for_again_in_the_same_minute_of_the_call(virtual):
    first = Voice(moods={0: 9.0})

    async def scene() -> None:
        speaker, _ = chain(first, Voice())
        for _ in range(6):
            await speak(speaker, ("Hello.",))
        assert first.asked == 1
        await asyncio.sleep(60)
        first.moods = {}
        await speak(speaker, ("Hello.",))
        assert first.asked == 2

    virtual(scene())


def test_a_voice_that_fails_in_call_after_call_is_left_alone(virtual):
    first = Voice(moods={0: DOWN})
    health = Health("x")

    async def scene() -> None:
        for _ in range(6):
            links = [VoiceLink(first, health, LIMITS), VoiceLink(Voice(), Health("y"), LIMITS)]
            await speak(VoiceChain(links), ("Hello.",))

    virtual(scene())
    assert first.asked == 3


def test_the_wait_for_a_voice_counts_from_its_words(virtual):
    async def late() -> AsyncIterator[str]:
        await asyncio.sleep(5)
        yield "Hello."

    async def scene() -> None:
        speaker, healths = chain(Voice(word_s=0.2), Voice())
        for _ in range(8):
            assert [s.text async for s in speaker.speak(1, late(), FACTS)] == ["Hello."]
        assert healths[0].hedge_s == pytest.approx(0.2)

    virtual(scene())


_MOODS = st.dictionaries(
    st.integers(0, 8),
    st.sampled_from([DOWN, REFUSED, 9.0, 0.3, "1", "2"]),
    max_size=3,
)


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(["Yes. ", "We come ", "on Monday, ", "at ten."]), max_size=5),
    _MOODS,
    _MOODS,
    st.sampled_from([0.0, 0.2, 2.0]),
)
def test_every_word_is_accounted_for_once_whatever_fails(pieces, mood_1, mood_2, gap_s):
    async def scene() -> str:
        speaker, _ = chain(Voice(moods=mood_1), Voice(moods=mood_2), Voice())
        return words(await speak(speaker, pieces, gap_s))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(scene()) == "".join(pieces)
