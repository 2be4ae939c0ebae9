"""Phrases are at hand when they are needed, in the best voice there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import numpy as np
import pytest

from tests.engines.engines import slowly
from tests.runtime.fakes import FACTS
from voice_server.call.events import Consumed, SpeechReady, TurnId
from voice_server.engines.phrases import TONE, PhraseBook, Phrases, PreparedVoice
from voice_server.errors import ServiceUnavailable
from voice_server.ports import CallFacts
from voice_server.speech import g711

TEXTS = ("One moment, please.", "I'm still on it.")
DOWN = ServiceUnavailable("acme", "no answer in time")


class Speaker:
    """Says its own name before each text; each character costs a unit."""

    def __init__(self, name: str, *, takes_s: float = 0.1, fails_on: str = "") -> None:
        self.name = name
        self.said: list[str] = []
        self._takes_s = takes_s
        self._fails_on = fails_on

    async def speak(self, turn: TurnId, pieces: AsyncIterator[str], facts: CallFacts):
        async for piece in pieces:
            yield Consumed(self.name, len(piece))
            await asyncio.sleep(self._takes_s)
            if piece == self._fails_on:
                raise DOWN
            self.said.append(piece)
            yield SpeechReady(turn, self.sound(piece), piece)

    def sound(self, text: str) -> bytes:
        return f"{self.name}: {text}".encode()


def spoken() -> asyncio.Event:
    """The first words of the call have been said."""
    event = asyncio.Event()
    event.set()
    return event


async def prepared(phrases: Phrases, texts: Sequence[str] = TEXTS) -> dict[str, int]:
    """Prepare, and return what it cost."""
    cost: dict[str, int] = {}
    async with aclosing(phrases.prepare(texts, FACTS, spoken())) as costs:
        async for consumed in costs:
            cost[consumed.item] = cost.get(consumed.item, 0) + consumed.quantity
    return cost


def test_a_phrase_that_nobody_has_said_is_a_soft_tone():
    assert Phrases(PhraseBook(Speaker("local"))).audio("Hm.") == TONE
    samples = g711.decode_float(TONE)
    assert len(samples) == 2_000  # 250 ms
    assert 0.05 < np.abs(samples).max() < 0.2
    assert np.abs(samples[[0, -1]]).max() < 0.01


def test_phrases_are_said_by_the_calls_own_voice(virtual):
    local, remote = Speaker("local"), Speaker("remote")
    phrases = Phrases(PhraseBook(local), remote, "Rachel")
    cost = virtual(prepared(phrases))
    assert [phrases.audio(text) for text in TEXTS] == [remote.sound(text) for text in TEXTS]
    length = sum(map(len, TEXTS))
    assert cost == {"local": length, "remote": length}


def test_a_call_without_a_service_has_the_local_voice_say_them_once(virtual):
    local = Speaker("local")
    phrases = Phrases(PhraseBook(local))
    virtual(prepared(phrases))
    assert phrases.audio(TEXTS[0]) == local.sound(TEXTS[0])
    assert local.said == list(TEXTS)


def test_until_the_own_voice_is_free_the_local_one_stands_in(virtual):
    local, remote = Speaker("local"), Speaker("remote")
    phrases = Phrases(PhraseBook(local), remote, "Rachel")

    async def scene() -> None:
        after = asyncio.Event()

        async def prepare() -> None:
            async for _ in phrases.prepare(TEXTS, FACTS, after):
                pass

        preparing = asyncio.ensure_future(prepare())
        await asyncio.sleep(5)
        assert phrases.audio(TEXTS[0]) == local.sound(TEXTS[0])
        assert remote.said == []
        after.set()
        await preparing
        assert phrases.audio(TEXTS[0]) == remote.sound(TEXTS[0])

    virtual(scene())


def test_what_was_said_for_one_call_costs_the_next_nothing(virtual):
    book, remote = PhraseBook(Speaker("local")), Speaker("remote")
    virtual(prepared(Phrases(book, remote, "Rachel")))
    assert virtual(prepared(Phrases(book, remote, "Rachel"))) == {}


def test_two_calls_at_once_have_a_phrase_said_once(virtual):
    book, remote = PhraseBook(Speaker("local")), Speaker("remote")

    async def scene() -> None:
        await asyncio.gather(*(prepared(Phrases(book, remote, "Rachel")) for _ in range(2)))

    virtual(scene())
    assert sorted(remote.said) == sorted(TEXTS)


def test_voices_do_not_lend_each_other_their_phrases(virtual):
    book = PhraseBook(Speaker("local"))
    virtual(prepared(Phrases(book, Speaker("remote"), "Rachel")))
    assert Phrases(book, Speaker("other"), "Adam").own(TEXTS[0]) is None


def test_a_phrase_that_the_local_voice_said_for_another_is_not_kept_as_its_own(virtual):
    local = Speaker("local")
    phrases = Phrases(PhraseBook(local), local, "Rachel")  # a chain that ended at the local voice
    virtual(prepared(phrases))
    assert phrases.own(TEXTS[0]) is None
    assert phrases.audio(TEXTS[0]) == local.sound(TEXTS[0])


def test_a_voice_that_fails_leaves_what_it_has_said_and_is_asked_again_by_the_next_call(virtual):
    book, local = PhraseBook(Speaker("local")), Speaker("local")
    failing = Phrases(book, Speaker("remote", fails_on=TEXTS[1]), "Rachel")
    virtual(prepared(failing))
    assert failing.own(TEXTS[0]) is not None
    assert failing.audio(TEXTS[1]) == local.sound(TEXTS[1])
    again = Speaker("remote")
    virtual(prepared(Phrases(book, again, "Rachel")))
    assert again.said == [TEXTS[1]]


def test_work_that_was_cancelled_can_be_done_by_the_next_call(virtual):
    book = PhraseBook(Speaker("local"))
    remote = Speaker("remote", takes_s=60)

    async def scene() -> None:
        preparing = asyncio.ensure_future(prepared(Phrases(book, remote, "Rachel")))
        await asyncio.sleep(10)
        preparing.cancel()
        await asyncio.wait([preparing])
        again = Speaker("remote")
        await prepared(Phrases(book, again, "Rachel"))
        assert again.said == list(TEXTS)

    virtual(scene())


def test_a_full_book_forgets_what_was_not_used_for_longest():
    book = PhraseBook(Speaker("local"), limit_bytes=20)
    book.keep("a", "one", bytes(8))
    book.keep("a", "two", bytes(8))
    assert book.look_up("a", "one") is not None
    book.keep("a", "three", bytes(8))
    assert book.look_up("a", "two") is None
    assert book.look_up("a", "one") is not None
    book.keep("a", "long", bytes(21))
    assert all(book.look_up("a", text) is None for text in ("one", "three", "long"))


def test_a_phrase_said_anew_takes_the_place_of_the_old_one():
    book = PhraseBook(Speaker("local"), limit_bytes=20)
    for _ in range(3):
        book.keep("a", "one", bytes(15))
    assert book.look_up("a", "one") == bytes(15)


@pytest.mark.parametrize(
    ("pieces", "asked"),
    [
        ([TEXTS[0]], []),
        (["Yes."], ["Yes."]),
        ([TEXTS[0], "Yes.", TEXTS[1]], ["Yes.", TEXTS[1]]),
        (list(TEXTS), []),
        ([], []),
    ],
)
def test_what_is_at_hand_is_said_without_the_service(virtual, pieces, asked):
    remote = Speaker("remote")
    phrases = Phrases(PhraseBook(Speaker("local")), remote, "Rachel")
    virtual(prepared(phrases))
    remote.said.clear()

    async def scene() -> list[str]:
        voice = PreparedVoice(remote, phrases)
        sounds = [sound async for sound in voice.speak(3, slowly(pieces, 0.1), FACTS)]
        spoken = [sound for sound in sounds if isinstance(sound, SpeechReady)]
        assert {sound.turn for sound in spoken} <= {3}
        assert [sound.mulaw for sound in spoken] == [remote.sound(piece) for piece in pieces]
        return [sound.text for sound in spoken]

    assert virtual(scene()) == list(pieces)
    assert remote.said == asked


def test_a_voice_that_is_down_can_still_apologise(virtual):
    phrases = Phrases(PhraseBook(Speaker("local")), Speaker("remote"), "Rachel")
    virtual(prepared(phrases, ["I'm sorry."]))

    async def scene() -> list[str]:
        voice = PreparedVoice(Speaker("remote", fails_on="I'm sorry."), phrases)
        return [s.text async for s in voice.speak(1, slowly(["I'm sorry."], 0), FACTS)]

    assert virtual(scene()) == ["I'm sorry."]
