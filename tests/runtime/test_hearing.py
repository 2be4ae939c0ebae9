"""The caller's voice goes to the voice model at once, and to the transcriber once it is open."""

from __future__ import annotations

import pytest

from tests.runtime.fakes import FakeVoiceActivity
from voice_server.call.commands import Commit, Transcribe
from voice_server.runtime.hearing import Hearing


class Listener:
    """A transcriber that notes what it is given."""

    def __init__(self) -> None:
        self.given: list[bytes | int] = []

    def push(self, mulaw: bytes) -> None:
        self.given.append(mulaw)

    def commit(self, utterance: int) -> None:
        self.given.append(utterance)


@pytest.fixture
def activity() -> FakeVoiceActivity:
    return FakeVoiceActivity()


@pytest.fixture
def hearing(activity: FakeVoiceActivity) -> Hearing:
    return Hearing(activity)


def say(hearing: Hearing, *words: bytes | int) -> None:
    """Frames and pauses, in order."""
    for word in words:
        if isinstance(word, int):
            hearing.commit(Commit(word))
        else:
            hearing.hear(Transcribe(word))


def test_an_open_transcriber_gets_everything_at_once(hearing):
    listener = Listener()
    hearing.open(listener)
    say(hearing, b"a", b"b", 1, b"c")
    assert listener.given == [b"a", b"b", 1, b"c"]


def test_what_comes_early_waits_and_keeps_its_order(hearing):
    listener = Listener()
    say(hearing, b"a", 1, b"b")
    hearing.open(listener)
    say(hearing, 2, b"c")
    assert listener.given == [b"a", 1, b"b", 2, b"c"]


def test_what_waited_is_given_once(hearing):
    first, second = Listener(), Listener()
    say(hearing, b"a")
    hearing.open(first)
    hearing.open(second)
    assert (first.given, second.given) == ([b"a"], [])


def test_of_what_waits_too_long_the_oldest_goes(hearing):
    listener = Listener()
    say(hearing, *(bytes([number]) for number in range(150)))
    hearing.open(listener)
    assert listener.given == [bytes([number]) for number in range(50, 150)]


def test_the_voice_model_does_not_wait_for_the_transcriber(hearing, activity):
    say(hearing, b"a", b"b", 1)
    assert activity.pushed == 2


def test_closing_stops_the_voice_model(hearing, activity):
    hearing.close()
    assert activity.closed
