"""How long the caller's ear has been without a sound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call.policy import Policy
from voice_server.call.quiet import Heard, Quiet

POLICY = Policy(fillers=("Hm.", "Still there."), tool_fillers=("I look.",), filler_ms=1_000)
SHORTEST_MS = 550  # an answer's chance after a pause that was long already


def quiet(policy: Policy = POLICY) -> Quiet:
    return Quiet(policy)


def asked(now: int = 0) -> Quiet:
    """An interjection was asked for."""
    made = quiet()
    made.next_phrase(now, tool_runs=False)
    return made


def playing(text: str = "one two three four", ms: int = 1_000) -> Quiet:
    """An interjection plays from 5,000 ms on."""
    made = quiet()
    made.interjected(text, ms, 5_000)
    return made


def test_sounds_play_one_behind_the_other():
    made = quiet()
    made.sounds(500, 1_000)
    made.sounds(300, 1_200)
    assert made.audible_until == 1_800
    made.sounds(100, 9_000)
    assert made.audible_until == 9_100


def test_a_cut_ends_the_sound_at_once():
    made = quiet()
    made.sounds(500, 1_000)
    made.cut(1_200)
    assert made.audible_until == 1_200


def test_a_cut_after_the_end_changes_nothing():
    made = quiet()
    made.sounds(500, 1_000)
    made.cut(9_000)
    assert made.audible_until == 1_500


@pytest.mark.parametrize(
    ("audible_until", "spoken_at", "owed_at", "due"),
    [
        (0, 5_000, 5_200, 6_000),  # after the caller's last voice
        (7_000, 5_000, 5_200, 8_000),  # after our last sound
        (0, 1_000, 9_000, 9_000 + SHORTEST_MS),  # after silence that needed no excuse
        (0, 5_000, 5_700, 5_700 + SHORTEST_MS),  # after a long pause of the caller
    ],
)
def test_an_interjection_is_due_when_the_silence_is_too_long(
    audible_until: int, spoken_at: int, owed_at: int, due: int
):
    made = quiet()
    made.sounds(audible_until, 0)
    assert made.due(spoken_at, owed_at, owed=True) == due


def test_what_is_due_does_not_move_while_nothing_happens():
    made = quiet()
    assert made.due(0, 100, owed=True) == made.due(0, 900, owed=True) == 1_000


def test_nothing_is_due_while_no_sound_is_owed():
    made = quiet()
    assert made.due(0, 100, owed=True) is not None
    assert made.due(0, 500, owed=False) is None


def test_a_debt_that_was_paid_is_forgotten():
    made = quiet()
    made.due(0, 100, owed=True)
    made.due(0, 500, owed=False)
    assert made.due(0, 8_000, owed=True) == 8_000 + SHORTEST_MS


def test_a_request_gives_the_shell_its_time():
    assert asked(4_000).due(0, 4_000, owed=True) == 5_000


def test_phrases_take_turns():
    made = quiet()
    said = [made.next_phrase(0, tool_runs=False) for _ in range(3)]
    assert said == ["Hm.", "Still there.", "Hm."]


def test_a_tool_at_work_has_phrases_of_its_own():
    assert quiet().next_phrase(0, tool_runs=True) == "I look."


def test_without_phrases_of_its_own_a_tool_at_work_gets_the_others():
    made = quiet(Policy(fillers=("Hm.",), tool_fillers=()))
    assert made.next_phrase(0, tool_runs=True) == "Hm."


@pytest.mark.parametrize(("text", "taken"), [("Hm.", True), ("I look.", False), ("", False)])
def test_only_the_interjection_that_was_asked_for_is_taken(text: str, *, taken: bool):
    assert asked().takes(text, 0) is taken


def test_an_interjection_is_taken_once():
    made = asked()
    assert made.takes("Hm.", 0)
    assert not made.takes("Hm.", 0)


def test_an_interjection_is_not_taken_once_something_else_sounds():
    made = asked()
    made.sounds(500, 0)
    assert not made.takes("Hm.", 10)


def test_an_interjection_heard_to_its_end_is_told_in_full_and_once():
    made = playing()
    assert made.aside_plays
    assert made.aside_heard(6_000) == Heard("one two three four", 5_000, 6_000)
    assert not made.aside_plays
    assert made.aside_heard(6_000) is None


def test_an_interjection_that_is_told_of_late_ended_when_it_ended():
    assert playing().aside_heard(9_000) == Heard("one two three four", 5_000, 6_000)


@pytest.mark.parametrize(
    ("now", "heard"),
    [(5_500, Heard("one two", 5_000, 5_500)), (5_100, None), (5_000, None)],
)
def test_of_an_interjection_that_is_cut_the_whole_words_were_heard(now: int, heard: Heard | None):
    assert playing().aside_heard(now) == heard


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 2_000)), max_size=20))
def test_silence_that_is_owed_is_broken_in_time_whatever_has_sounded(
    sounds: list[tuple[int, int]],
):
    made, now = quiet(), 0
    for wait, ms in sounds:
        now += wait
        due = made.due(0, now, owed=True)
        assert due is not None
        assert due <= max(made.audible_until, 0) + 1_000 or due <= now + SHORTEST_MS
        made.sounds(ms, now)
