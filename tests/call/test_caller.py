"""The caller's side: voice, words, keys and patience."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call.caller import CallerSide
from voice_server.call.events import Expectation
from voice_server.call.policy import Policy
from voice_server.call.turns import Edge

LOUD = 60


def frames(side: CallerSide, loudness: int, since: int, ms: int) -> list[Edge]:
    """Frames of one loudness from a moment on; returns the edges."""
    edges = [side.hear(loudness, at) for at in range(since + 20, since + ms + 1, 20)]
    return [edge for edge in edges if edge is not None]


def paused(utterances: int = 1, policy: Policy | None = None) -> CallerSide:
    """A caller who has said something so many times, one second each, and pauses."""
    side = CallerSide(policy or Policy(commit_ms=240, end_of_turn_ms=700))
    for number in range(utterances):
        frames(side, LOUD, number * 1_000, 500)
        frames(side, 0, number * 1_000 + 500, 500)
    return side


def test_a_fresh_caller_has_said_nothing_and_owes_nothing():
    side = CallerSide(Policy())
    assert not side.speaking
    assert side.transcribed
    assert (side.utterance, side.transcript_at, side.partial, side.silences) == (0, -1, "", 0)


def test_voice_makes_the_caller_speak_and_a_pause_makes_an_utterance():
    side = CallerSide(Policy(commit_ms=240))
    assert frames(side, LOUD, 0, 500) == [Edge.OPENED]
    assert side.speaking
    assert side.utterance == 0
    assert frames(side, 0, 500, 300) == [Edge.CLOSED]
    assert not side.speaking
    assert (side.utterance, side.span, side.spoke_at) == (1, (0, 500), 500)


def test_the_models_view_opens_sooner():
    side = CallerSide(Policy())
    side.score(95, 0)
    assert frames(side, LOUD, 0, 60) == [Edge.OPENED]


@pytest.mark.parametrize(("barge_in_ms", "counts"), [(100, True), (300, True), (301, False)])
def test_an_interruption_must_last(barge_in_ms: int, *, counts: bool):
    side = CallerSide(Policy(barge_in_ms=barge_in_ms))
    frames(side, LOUD, 0, 300)
    assert side.barges_in(300) is counts


def test_a_caller_who_is_silent_interrupts_nobody():
    side = paused(policy=Policy(barge_in_ms=60))
    assert not side.barges_in(100_000)


@pytest.mark.parametrize(
    ("answers", "transcribed"),
    [
        ([], False),
        ([1], False),
        ([2], True),  # in order: the second answers the first as well
        ([1, 2], True),
        ([2, 1], True),
        ([0, 0], False),  # the service's own cuts answer no commit
        ([7], True),  # more than was ever asked for is as good as all
        ([-3], False),
    ],
)
def test_an_utterance_is_transcribed_when_its_commit_is_answered(
    answers: list[int], *, transcribed: bool
):
    side = paused(utterances=2)
    for utterance in answers:
        side.transcript("words", utterance, 2_100)
    assert side.transcribed is transcribed


def test_an_answer_to_a_future_commit_does_not_count_for_it():
    side = paused()
    side.transcript("words", 9, 1_100)
    frames(side, LOUD, 2_000, 500)
    frames(side, 0, 2_500, 500)
    assert not side.transcribed


def test_a_transcript_that_does_not_come_is_given_up():
    side = paused()
    side.give_up_transcript()
    assert side.transcribed


def test_a_partial_is_news_only_when_it_changes_and_goes_with_the_final():
    side = paused()
    assert side.seems_to_say("My")
    assert not side.seems_to_say("My")
    assert side.seems_to_say("My tap")
    side.transcript("My tap leaks.", 1, 1_200)
    assert (side.partial, side.transcript_at) == ("", 1_200)


def test_words_end_the_silence_and_an_empty_transcript_does_not():
    side = paused()
    side.silences = 1
    side.transcript("", 1, 1_100)
    assert (side.silences, side.transcript_at) == (1, -1)
    side.transcript("Yes.", 0, 1_200)
    assert (side.silences, side.transcript_at) == (0, 1_200)


@pytest.mark.parametrize("prompts", [(), ("Hello?",), ("Hello?", "Still there?")])
def test_each_silence_is_asked_about_in_turn_and_words_begin_anew(prompts: tuple[str, ...]):
    side = CallerSide(Policy(silence_prompts=prompts))
    asked = [side.next_prompt() for _ in range(len(prompts) + 2)]
    assert asked == [*prompts, None, None]
    side.transcript("Yes.", 0, 500)
    assert side.next_prompt() == (prompts[0] if prompts else None)


@pytest.mark.parametrize(
    ("expects", "words", "patience"),
    [
        (Expectation.ANYTHING, "My tap leaks.", 700),
        (Expectation.YES_NO, "Yes.", 560),
        (Expectation.DIGITS, "five five", 1_400),
        (Expectation.ANYTHING, "My tap is", 1_190),
    ],
)
def test_the_turn_is_over_when_the_patience_for_this_answer_is(
    expects: Expectation, words: str, patience: int
):
    side = paused()
    side.asked(expects)
    side.transcript(words, 1, 900)
    assert side.finished_at == side.spoke_at + patience


def test_a_new_question_forgets_how_the_last_words_ended():
    side = paused()
    side.transcript("My tap is", 1, 900)
    side.asked(Expectation.ANYTHING)
    assert side.finished_at == side.spoke_at + 700


@pytest.mark.parametrize(
    ("pressed", "complete"),
    [("5", False), ("555", False), ("*", False), ("12#", True), ("#", True)],
)
def test_the_hash_key_completes_an_entry(pressed: str, *, complete: bool):
    side = CallerSide(Policy())
    assert [side.press(digit, 400) for digit in pressed][-1] is complete
    assert side.take_keys(500) == pressed
    assert side.take_keys(600) == ""


def test_keys_end_the_silence_and_are_the_newest_word():
    side = paused()
    side.silences = 2
    side.press("1", 1_500)
    assert side.silences == 0
    assert side.entering
    side.take_keys(4_000)
    assert not side.entering
    assert side.active_at == 1_500
    assert (side.transcript_at, side.done_at) == (4_000, 4_000)
    assert side.spoke_at == 500


def test_without_keys_the_caller_was_done_with_the_last_voice():
    assert paused().done_at == 500


@given(st.lists(st.integers(-2, 6), max_size=12))
def test_transcripts_never_become_unheard_again(answers: list[int]):
    side = paused(utterances=3)
    done = False
    for utterance in answers:
        side.transcript("x", utterance, 3_100)
        assert side.transcribed or not done
        done = side.transcribed
