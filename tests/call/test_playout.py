"""How much of what was sent was really heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call.playout import MULAW_BYTES_PER_MS, Playout

WORDS = "one two three four five six seven eight nine ten"  # 48 characters


def queue(playout: Playout, text: str, ms: int, media_ms: int = 0) -> str:
    return playout.queue(text, ms * MULAW_BYTES_PER_MS, media_ms)


def test_a_fresh_ledger_is_idle_and_nothing_was_heard():
    playout = Playout()
    assert playout.idle
    assert playout.take() == playout.cut(5_000) == ""


def test_every_piece_gets_a_mark_of_its_own_even_across_cuts():
    playout = Playout()
    marks = [queue(playout, "a", 100), queue(playout, "b", 100)]
    playout.cut(0)
    marks += [queue(playout, "c", 100)]
    assert len(set(marks)) == 3


def test_what_the_carrier_played_was_heard():
    playout = Playout()
    mark = queue(playout, WORDS, 1_000)
    assert not playout.idle
    assert playout.take() == ""
    assert playout.played(mark, 1_000)
    assert playout.idle
    assert playout.take() == WORDS
    assert playout.take() == ""


def test_a_lost_mark_is_made_good_by_a_later_one():
    playout = Playout()
    queue(playout, "one ", 200)
    queue(playout, "two ", 200)
    third = queue(playout, "three ", 200)
    queue(playout, "four", 200)
    assert playout.played(third, 600)
    assert not playout.idle
    assert playout.take() == "one two three "


@pytest.mark.parametrize("name", ["m1", "m9", "", "M2"])
def test_marks_that_are_not_owed_mean_nothing(name: str):
    playout = Playout()
    playout.played(queue(playout, "one ", 200), 200)  # m1, returned once already
    queue(playout, "two", 200, 200)
    assert not playout.played(name, 400)
    assert playout.take() == "one "


def test_marks_of_cleared_audio_mean_nothing():
    playout = Playout()
    first, second = queue(playout, "one ", 500), queue(playout, "two", 500)
    assert playout.cut(0) == ""
    assert not playout.played(first, 10)
    assert not playout.played(second, 10)
    assert playout.take() == ""
    assert playout.idle


@pytest.mark.parametrize(
    ("media_ms", "heard"),
    [
        (0, ""),
        (50, ""),  # in the middle of "one"
        (62, ""),
        (63, "one"),  # 3 of 48 characters
        (145, "one"),
        (146, "one two"),
        (500, "one two three four five"),
        (999, "one two three four five six seven eight nine"),
        (1_000, WORDS),
        (9_000, WORDS),
    ],
)
def test_between_marks_the_media_clock_counts_whole_words(media_ms: int, heard: str):
    playout = Playout()
    queue(playout, WORDS, 1_000)
    assert playout.cut(media_ms) == heard


def test_the_media_clock_never_reaches_past_the_next_mark():
    playout = Playout()
    queue(playout, "one two ", 500)
    queue(playout, "three", 500)
    assert playout.cut(900) == "one two "


def test_the_media_clock_counts_on_from_the_last_mark():
    playout = Playout()
    first = queue(playout, "one two ", 500)
    queue(playout, WORDS, 1_000)
    playout.played(first, 800)  # the carrier began late
    assert playout.cut(1_300) == "one two one two three four five"


def test_audio_after_a_pause_is_timed_from_when_it_was_sent():
    playout = Playout()
    playout.played(queue(playout, "one ", 500), 500)
    queue(playout, WORDS, 1_000, 60_000)
    assert playout.cut(60_500) == "one one two three four five"


def test_a_media_clock_that_runs_backwards_proves_nothing():
    playout = Playout()
    queue(playout, WORDS, 1_000, 5_000)
    assert playout.cut(100) == ""


@pytest.mark.parametrize("media_ms", [0, 1, 10_000])
def test_audio_of_no_length_is_heard_by_its_mark_alone(media_ms: int):
    playout = Playout()
    mark = queue(playout, "hm", 0)
    assert playout.cut(media_ms) == ""
    assert not playout.played(mark, media_ms)


def test_a_single_long_word_is_heard_in_full_or_not_at_all():
    for media_ms, heard in ((999, ""), (1_000, "Donaudampfschiff")):
        playout = Playout()
        queue(playout, "Donaudampfschiff", 1_000)
        assert playout.cut(media_ms) == heard


def test_what_is_sent_behind_an_interjection_is_heard_behind_it():
    playout = Playout()
    playout.interjected(8 * 1_000, 5_000)
    queue(playout, WORDS, 1_000, 5_200)
    assert playout.cut(6_500) == "one two three four five"


def test_a_mark_that_comes_late_does_not_let_the_next_words_overtake_an_interjection():
    playout = Playout()
    first = queue(playout, "one ", 500)
    playout.interjected(8 * 1_000, 1_750)
    queue(playout, WORDS, 1_000, 2_000)
    playout.played(first, 2_100)
    assert playout.cut(2_750) == "one "


def test_nothing_waits_for_an_interjection_that_was_thrown_away():
    playout = Playout()
    playout.interjected(8 * 1_000, 5_000)
    playout.hushed()
    queue(playout, WORDS, 1_000, 5_200)
    assert playout.cut(6_200) == WORDS


def test_an_interjection_is_no_part_of_what_is_owed_or_heard():
    playout = Playout()
    playout.interjected(8 * 1_000, 5_000)
    assert playout.idle
    assert playout.take() == ""


SPANS = st.lists(
    st.tuples(st.text("ab \n", max_size=12), st.integers(0, 2_000)), min_size=1, max_size=6
)


def heard_at(
    spans: list[tuple[str, int]], returned: list[int], media_ms: int, *, mark_every_ms: int = 300
) -> str:
    """What a cut at `media_ms` says was heard, after these marks came back."""
    playout = Playout()
    marks = [queue(playout, text, ms) for text, ms in spans]
    for place, number in enumerate(returned):
        if (at := (place + 1) * mark_every_ms) <= media_ms:
            playout.played(marks[number % len(marks)], at)
    return playout.cut(media_ms)


@given(SPANS, st.lists(st.integers(0, 5), max_size=6), st.integers(0, 5_000))
def test_what_was_heard_is_a_beginning_of_what_was_sent_up_to_a_word(
    spans: list[tuple[str, int]], returned: list[int], media_ms: int
):
    sent = "".join(text for text, _ in spans)
    heard = heard_at(spans, returned, media_ms)
    assert sent.startswith(heard)
    boundaries = {0}
    for text, _ in spans:
        boundaries.add(max(boundaries) + len(text))
    assert len(heard) in boundaries or sent[len(heard)].isspace()


@given(
    SPANS,
    st.lists(st.integers(0, 5), max_size=6),
    st.integers(0, 5_000),
    st.integers(0, 5_000),
)
def test_more_time_never_makes_less_heard(
    spans: list[tuple[str, int]], returned: list[int], one: int, other: int
):
    sooner, later = sorted((one, other))
    first, second = heard_at(spans, returned, sooner), heard_at(spans, returned, later)
    assert second.startswith(first)


@given(SPANS, st.integers(0, 20_000))
def test_in_order_the_marks_bring_back_everything(spans: list[tuple[str, int]], media_ms: int):
    playout = Playout()
    marks = [queue(playout, text, ms) for text, ms in spans]
    assert all(playout.played(mark, media_ms) for mark in marks)
    assert playout.idle
    assert playout.take() == "".join(text for text, _ in spans)


@given(SPANS, st.integers(0, 20_000), st.integers(0, 20_000))
def test_a_ledger_that_was_cut_is_as_good_as_new(
    spans: list[tuple[str, int]], cut_ms: int, later: int
):
    used, fresh = Playout(), Playout()
    for text, ms in spans:
        queue(used, text, ms)
    used.cut(cut_ms)
    start = cut_ms + later
    for playout in (used, fresh):
        queue(playout, WORDS, 1_000, start)
    assert used.cut(start + 300) == fresh.cut(start + 300)
