"""Which text belongs to which audio, and what becomes of a response."""

from __future__ import annotations

import asyncio

import pytest

from tests.hosted.talks import LIMITS
from voice_server.call.events import SpeechReady
from voice_server.errors import ServiceUnavailable
from voice_server.hosted.response import Response
from voice_server.hosted.responses import Responses
from voice_server.hosted.wire import Corrected, Said, Sound
from voice_server.testing.lab import elevenlabs_audio as audio

TEXT = "We can come tomorrow."


def sound(text: str, number: int | None = 1, *, final: bool = False, aligned: bool = True) -> Sound:
    ends = [(char, (at + 1.0) * audio.MS_PER_CHARACTER) for at, char in enumerate(text)]
    return Sound(number, audio.voice(text), ends if aligned else None, final)


def bound(responses: Responses, number: int | None = 1, text: str = TEXT) -> Response:
    """A response that turn 1 says."""
    response = responses.said(Said(number, text))
    assert response is not None
    responses.bind(1, response)
    return response


async def spoken(response: Response) -> list[SpeechReady]:
    return [ready async for ready in response.speak(1, LIMITS)]


def words(sounds: list[SpeechReady]) -> str:
    return "".join(ready.text for ready in sounds)


def test_audio_is_said_with_its_words_and_the_turn_ends_with_the_text(virtual):
    async def scene() -> None:
        responses = Responses()
        response = bound(responses)
        for part in ("We can ", "come ", "tomorrow."):
            responses.hear(sound(part))
        sounds = await spoken(response)
        assert words(sounds) == f"{TEXT} "
        assert audio.said(b"".join(ready.mulaw for ready in sounds)) == TEXT

    virtual(scene())


def test_audio_may_come_before_its_text(virtual):
    async def scene() -> None:
        responses = Responses()
        responses.hear(sound(TEXT, 4))
        response = bound(responses, 4)
        responses.complete(4)
        assert audio.said((await spoken(response))[0].mulaw) == TEXT

    virtual(scene())


def test_a_text_without_a_number_takes_the_audio_that_follows(virtual):
    async def scene() -> None:
        responses = Responses()
        response = bound(responses, None)
        responses.hear(sound(TEXT, 9, final=True))
        assert words(await spoken(response)) == f"{TEXT} "
        assert response.number == 9

    virtual(scene())


def test_two_responses_of_one_number_follow_each_other(virtual):
    async def scene() -> None:
        responses = Responses()
        first = bound(responses, 2, "One moment.")
        responses.hear(sound("One moment.", 2))
        responses.complete(2)
        second = bound(responses, 2, "It is done.")
        responses.hear(sound("It is done.", 2, final=True))
        assert audio.said((await spoken(first))[0].mulaw) == "One moment."
        assert audio.said((await spoken(second))[0].mulaw) == "It is done."

    virtual(scene())


def test_audio_after_the_end_of_its_response_is_dropped(virtual):
    async def scene() -> None:
        responses = Responses()
        response = bound(responses)
        responses.hear(sound(TEXT, final=True))
        await spoken(response)
        responses.hear(sound("More."))
        assert responses.said(Said(2, "Next.")) is not response

    virtual(scene())


def test_an_interruption_ends_what_is_said_and_all_before_it():
    responses = Responses()
    said, later = bound(responses, 1), responses.said(Said(2, "Later."))
    assert later is not None
    assert responses.cut(1)
    assert (said.cut, later.cut) == (True, False)
    assert not responses.cut(1)


def test_an_interruption_of_words_that_nobody_says_interrupts_nobody():
    responses = Responses()
    waiting = responses.said(Said(1, TEXT))
    assert not responses.cut(5)
    assert waiting is not None
    assert waiting.cut


def test_a_response_with_the_number_of_the_interruption_is_a_new_one(virtual):
    async def scene() -> None:
        responses = Responses()
        bound(responses, 3)
        responses.cut(3)
        again = bound(responses, 3, "Of course.")
        responses.hear(sound("Of course.", 3, final=True))
        assert words(await spoken(again)) == "Of course. "

    virtual(scene())


def test_what_is_cut_while_it_is_said_keeps_its_rest_to_itself(virtual):
    async def scene() -> None:
        responses = Responses()
        response = bound(responses)
        responses.hear(sound("We can "))
        heard = []
        async for ready in response.speak(1, LIMITS):
            heard.append(ready)
            responses.cut(1)
        assert words(heard) == "We can "

    virtual(scene())


def test_a_correction_changes_what_is_to_come_and_never_what_was_said(virtual):
    async def scene() -> None:
        responses = Responses()
        response = bound(responses)
        responses.hear(sound("We can "))
        heard = []
        async for ready in response.speak(1, LIMITS):
            heard.append(ready)
            if len(heard) == 1:
                responses.correct(Corrected(TEXT, "We did not."))  # is not what was said
                responses.correct(Corrected(TEXT, "We can today."))
                responses.hear(sound("today.", final=True))
        assert words(heard) == "We can today. "

    virtual(scene())


@pytest.mark.parametrize("aligned", [True, False])
def test_audio_whose_end_nobody_tells_is_over_when_it_pauses(virtual, aligned):
    async def scene() -> None:
        responses = Responses()
        response = bound(responses)
        responses.hear(sound(TEXT, aligned=aligned))
        sounds = await spoken(response)
        assert words(sounds) == f"{TEXT} "
        assert asyncio.get_running_loop().time() < 1.0

    virtual(scene())


@pytest.mark.parametrize("aligned", [True, False])
def test_audio_that_pauses_in_mid_sentence_has_broken_off(virtual, aligned):
    async def scene() -> None:
        responses = Responses()
        response = bound(responses)
        responses.hear(sound("We can ", aligned=aligned))
        with pytest.raises(ServiceUnavailable, match="fell silent"):
            await spoken(response)
        assert TEXT[: response.spoken.cut_word] in ("We can ", "We ")

    virtual(scene())


def test_a_text_that_gets_no_audio_is_given_up(virtual):
    async def scene() -> None:
        response = bound(Responses())
        with pytest.raises(ServiceUnavailable, match="fell silent"):
            await spoken(response)
        assert asyncio.get_running_loop().time() == pytest.approx(LIMITS.first_byte_s)

    virtual(scene())


def test_a_lost_conversation_gives_what_has_come_and_then_fails(virtual):
    async def scene() -> None:
        responses = Responses()
        response = bound(responses)
        responses.hear(sound("We can "))
        responses.lose()
        speech = response.speak(1, LIMITS)
        assert (await anext(speech)).text == "We can "
        with pytest.raises(ServiceUnavailable, match="broke off"):
            await anext(speech)

    virtual(scene())


def test_a_conversation_that_ends_in_good_order_leaves_its_words_whole(virtual):
    async def scene() -> None:
        responses = Responses()
        response = bound(responses)
        responses.hear(sound(TEXT))
        responses.end()
        responses.lose()
        assert words(await spoken(response)) == f"{TEXT} "

    virtual(scene())


def test_a_turn_that_is_released_says_nothing_more(virtual):
    async def scene() -> None:
        responses = Responses()
        response = bound(responses)
        responses.hear(sound(TEXT))
        responses.release(1)
        assert await spoken(response) == []
        assert responses.script(1) == []
        assert not responses.cut(9)

    virtual(scene())


def test_more_than_two_minutes_of_audio_are_dropped(virtual):
    async def scene() -> None:
        responses = Responses()
        response = bound(responses)
        for _ in range(200):
            responses.hear(Sound(1, bytes(8_000), None, False))
        responses.complete(1)
        total = sum(len(ready.mulaw) for ready in await spoken(response))
        assert 960_000 <= total <= 970_000

    virtual(scene())


def test_an_empty_response_is_none():
    assert Responses().said(Said(1, "")) is None
