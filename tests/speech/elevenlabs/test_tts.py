from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from tests.speech.conftest import FACTS
from tests.speech.elevenlabs.conftest import Turn, given, mouth, now
from voice_server.errors import KeyRefused, ServiceRejected, ServiceUnavailable
from voice_server.speech.elevenlabs import VoiceConfig, VoiceSettings
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs import Quirks
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection

WORDS = ("Hello, this is Acme Plumbing. ", "How can I help you today?")
TEXT = "".join(WORDS)
DIALOGUE = VoiceConfig(model_id="eleven_v3_conversational")
FLASH = "elevenlabs.tts.eleven_flash_v2_5.characters"


def exact(turn: Turn) -> bool:
    """Whether each piece of audio says exactly the text it comes with."""
    return all(
        sound.said(ready.mulaw).strip() == ready.text.strip()
        for ready in turn.speech
        if len(ready.mulaw) % sound.BYTES_PER_CHARACTER == 0
    )


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(),
        Quirks(snake_case=True),
        Quirks(chars_spelling=True),
        Quirks(snake_case=True, chars_spelling=True),
    ],
    ids=["documented", "snake", "chars", "both"],
)  # fmt: skip
@pytest.mark.parametrize("voice", [VoiceConfig(), DIALOGUE], ids=["speech", "dialogue"])
def test_each_piece_of_audio_carries_the_text_it_says(virtual, voice, quirks):
    async def main():
        async with mouth(voice, quirks=quirks) as it:
            turn = await it.say(*WORDS)
            assert turn.text == TEXT
            assert sound.said(turn.audio).strip() == TEXT
            assert exact(turn)
            assert len(turn.speech) > 3

    virtual(main())


def test_the_first_audio_waits_for_nothing_but_the_service(virtual):
    async def main():
        async with mouth() as it:
            it.voice.warm()
            await asyncio.sleep(0.2)
            turn = await it.say(*WORDS)
            assert turn.first_s == pytest.approx(it.lab.delays.first_audio_s, abs=0.001)
            assert it.sockets.handshakes == 1

    virtual(main())


def test_pieces_are_spoken_as_they_come(virtual):
    async def main():
        async with mouth() as it:
            turn = await it.say(*WORDS, gap_s=3.0)
            assert turn.first_s < 0.1
            assert turn.times[-1] - turn.began > 3.0
            assert turn.text == TEXT

    virtual(main())


def test_audio_without_alignment_is_given_its_words_by_their_length(virtual):
    async def main():
        async with mouth(quirks=Quirks(alignment=False)) as it:
            turn = await it.say(*WORDS)
            assert turn.text == TEXT
            spoken = 0
            for ready in turn.speech:
                spoken += len(ready.mulaw)
                said = len("".join(r.text for r in turn.speech[: turn.speech.index(ready) + 1]))
                assert abs(said - spoken / sound.BYTES_PER_CHARACTER) < 14

    virtual(main())


@pytest.mark.parametrize(
    "pieces",
    [
        ("Hi",),
        ("Hel", "lo ", "you."),
        (" ", "Well. "),
        ("a\n\nb ", " c"),
        ("Ünïcode – “quoted” ",),
        ("",),
        ("  ",),
        (),
    ],
)  # fmt: skip
def test_texts_add_up_to_the_pieces_exactly(virtual, pieces):
    async def main():
        async with mouth() as it:
            assert (await it.say(*pieces)).text == "".join(pieces)

    virtual(main())


def test_a_turn_without_text_costs_nothing(virtual):
    async def main():
        async with mouth() as it:
            turn = await it.say()
            assert turn.speech == []
            assert not it.ledger.items

    virtual(main())


def test_characters_are_booked_when_they_are_sent(virtual):
    async def main():
        async with mouth() as it:
            await it.say("Hello. ")
            assert it.ledger.items == {FLASH: 7}

    virtual(main())


def test_an_abandoned_turn_is_closed_at_the_service_and_books_what_was_sent(virtual):
    async def main():
        async with mouth() as it:
            speech = it.voice.speak(1, given("A first sentence. ", "Never sent. ", gap_s=5), FACTS)
            async with aclosing(speech):
                await anext(speech)
            await asyncio.sleep(2)
            assert it.ledger.items == {FLASH: 18}
            assert [session.contexts for session in it.lab.voices_open] == [0]

    virtual(main())


def test_late_audio_of_an_abandoned_turn_never_reaches_the_next(virtual):
    async def main():
        async with mouth() as it:
            speech = it.voice.speak(1, given("Something long that goes on and on. "), FACTS)
            async with aclosing(speech):
                await anext(speech)
            turn = await it.say("Short. ")
            assert sound.said(turn.audio).strip() == turn.text.strip() == "Short."
            assert it.sockets.handshakes == 1

    virtual(main())


def test_many_interruptions_never_open_a_sixth_context(virtual):
    async def main():
        async with mouth() as it:
            for _ in range(12):
                speech = it.voice.speak(1, given("A sentence that takes a while. " * 8), FACTS)
                async with aclosing(speech):
                    await anext(speech)
            turn = await it.say("Still here. ")
            assert turn.text == "Still here. "
            assert it.lab.contexts_opened == 13
            assert it.sockets.count <= 3

    virtual(main())


def test_calls_share_sockets_of_five_turns_each(virtual):
    async def main():
        async with mouth() as it:
            turns = await asyncio.gather(*(it.say(*WORDS) for _ in range(12)))
            assert [turn.text for turn in turns] == [TEXT] * 12
            assert all(exact(turn) for turn in turns)
            assert it.sockets.handshakes == 3

    virtual(main())


def test_the_sixth_turn_at_once_finds_a_socket_that_the_fifth_has_opened(virtual):
    async def main():
        async with mouth() as it:
            await asyncio.gather(*(it.say(*WORDS, gap_s=3.0) for _ in range(4)))
            assert it.sockets.handshakes == 1
            five = asyncio.gather(*(it.say(*WORDS, gap_s=3.0) for _ in range(5)))
            await asyncio.sleep(1)
            assert it.sockets.handshakes == 2
            await it.say("Hello. ")
            assert it.sockets.handshakes == 2
            await five

    virtual(main())


def test_a_warm_socket_stays_open_between_turns(virtual):
    async def main():
        async with mouth() as it:
            for _ in range(3):
                assert (await it.say("Hello. ")).error is None
                await asyncio.sleep(100)
            assert it.sockets.handshakes == 1

    virtual(main())


def test_an_unused_socket_is_let_go(virtual):
    async def main():
        async with mouth() as it:
            await it.say("Hello. ")
            await asyncio.sleep(400)
            assert it.sockets.count == 0
            assert (await it.say("Again. ")).text == "Again. "

    virtual(main())


@pytest.mark.parametrize("voice", [VoiceConfig(), DIALOGUE], ids=["speech", "dialogue"])
def test_a_language_model_that_thinks_for_a_minute_finds_its_context_open(virtual, voice):
    async def main():
        async with mouth(voice) as it:
            turn = await it.say("One moment. ", "Here I am.", gap_s=60)
            assert turn.text == "One moment. Here I am."
            assert it.lab.contexts_opened == 1

    virtual(main())


@pytest.mark.parametrize("voice", [VoiceConfig(), DIALOGUE], ids=["speech", "dialogue"])
@pytest.mark.parametrize("after", [0, 3000, 9000, 20000])
@pytest.mark.parametrize(
    "fault", [Fault.DROP, Fault.CLOSE, Fault.GARBAGE, Fault.RATE_LIMITED, Fault.SERVER_ERROR]
)
def test_when_the_socket_fails_http_goes_on_from_the_word_that_was_cut(
    virtual, fault, after, voice
):
    async def main():
        plan = FaultPlan(otherwise=Injection(fault, after_bytes=after))
        async with mouth(voice, voice_faults=plan) as it:
            turn = await it.say(*WORDS)
            assert turn.error is None
            assert turn.text == TEXT
            words = sound.said(turn.audio[: -(len(turn.audio) % 496) or None])
            assert words.strip().endswith("today?")
            assert len(words) < len(TEXT) + 12  # at most one word twice

    virtual(main())


def test_a_stalled_socket_is_left_for_http_within_the_limits(virtual):
    async def main():
        plan = FaultPlan(otherwise=Injection(Fault.STALL, delay_s=30))
        async with mouth(voice_faults=plan) as it:
            turn = await it.say(*WORDS)
            assert turn.text == TEXT
            assert turn.first_s < 1.4

    virtual(main())


def test_a_stall_in_mid_sentence_is_left_for_http(virtual):
    async def main():
        plan = FaultPlan(otherwise=Injection(Fault.STALL, after_bytes=9000, delay_s=30))
        async with mouth(voice_faults=plan) as it:
            turn = await it.say(*WORDS)
            assert turn.text == TEXT
            gaps = [b - a for a, b in zip(turn.times, turn.times[1:], strict=False)]
            assert 1.2 < max(gaps) < 1.4

    virtual(main())


def test_a_socket_that_cannot_be_had_is_not_waited_for_again_at_once(virtual):
    async def main():
        plan = FaultPlan(otherwise=Fault.SERVER_ERROR)
        async with mouth(voice_faults=plan) as it:
            for _ in range(5):
                assert (await it.say("Hello. ")).text == "Hello. "
            assert plan.seen == 1
            await asyncio.sleep(11)
            await it.say("Hello. ")
            assert plan.seen == 2

    virtual(main())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.UNAUTHORIZED, KeyRefused),
        (Fault.QUOTA, ServiceRejected),
        (Fault.RATE_LIMITED, ServiceUnavailable),
        (Fault.SERVER_ERROR, ServiceUnavailable),
        (Fault.DROP, ServiceUnavailable),
        (Fault.STALL, ServiceUnavailable),
        (Fault.GARBAGE, ServiceUnavailable),
        (Fault.SLOW_FIRST_BYTE, ServiceUnavailable),
    ],
)
def test_when_nothing_works_the_reason_is_raised(virtual, fault, kind, caplog):
    async def main():
        broken = FaultPlan(otherwise=Fault.SERVER_ERROR)
        plan = FaultPlan(otherwise=Injection(fault, delay_s=30))
        async with mouth(voice_faults=broken, http_faults=plan) as it:
            turn = await it.say(*WORDS)
            assert type(turn.error) is kind
            assert turn.error_at < 1.6
            assert TEXT not in str(turn.error)

    virtual(main())


def test_a_quota_that_ends_in_mid_turn_is_not_tried_again(virtual):
    async def main():
        plan = FaultPlan(otherwise=Injection(Fault.QUOTA, after_bytes=9000))
        async with mouth(voice_faults=plan) as it:
            turn = await it.say(*WORDS)
            assert isinstance(turn.error, ServiceRejected)
            assert "quota" in str(turn.error)
            assert TEXT.startswith(turn.text)
            assert it.lab.http_faults.seen == 0

    virtual(main())


@pytest.mark.parametrize(
    "voice", [VoiceConfig(voice_id="no-such-voice"), VoiceConfig(model_id="eleven_monolingual_v1")]
)
def test_an_unknown_voice_or_model_is_refused_by_name_of_the_setting(virtual, voice):
    async def main():
        async with mouth(voice) as it:
            turn = await it.say(*WORDS)
            assert isinstance(turn.error, ServiceRejected)
            assert "voice_config" in str(turn.error)

    virtual(main())


def test_a_wrong_key_is_refused(virtual):
    async def main():
        async with mouth(key="sk-wrong") as it:
            turn = await it.say(*WORDS)
            assert isinstance(turn.error, ServiceRejected)
            assert "sk-wrong" not in str(turn.error)

    virtual(main())


def test_settings_go_with_the_first_message_of_a_context_only(virtual):
    async def main():
        settings = VoiceSettings(stability=0.4, similarity_boost=0.8, speed=1.1)
        for voice in (VoiceConfig(settings=settings), DIALOGUE):
            async with mouth(voice) as it:
                for _ in range(3):
                    turn = await it.say(*WORDS)
                    assert (turn.error, turn.text) == (None, TEXT)

    virtual(main())


def test_a_cancelled_turn_leaves_nothing_behind(virtual):
    async def main():
        async with mouth() as it:
            task = asyncio.create_task(it.say(*WORDS, gap_s=10))
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(1)
            assert [session.contexts for session in it.lab.voices_open] == [0]

    virtual(main())


def test_closing_the_sockets_says_goodbye_and_takes_two_seconds_at_most(virtual):
    async def main():
        async with mouth() as it:
            await it.say("Hello. ")
            began = now()
            await it.sockets.close()
            assert now() - began < 0.1
            assert it.sockets.count == 0

    virtual(main())


class ModelFailed(Exception):
    pass


def test_an_error_of_the_text_is_passed_on_after_what_was_said(virtual):
    async def failing():
        yield "Half a sentence. "
        raise ModelFailed

    async def main():
        async with mouth() as it:
            said = []

            async def listen():
                async for ready in it.voice.speak(1, failing(), FACTS):
                    said.append(ready.text)

            with pytest.raises(ModelFailed):
                await listen()
            assert "".join(said) == "Half a sentence. "

    virtual(main())
