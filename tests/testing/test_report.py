from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.testing.network import tone
from voice_server.testing.report import (
    BargeIn,
    barge_ins,
    longest_agent_gap,
    replies,
    spurts,
)


def quiet(ms: int) -> bytes:
    return b"\xff" * (8 * ms)


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        (b"", ()),
        (quiet(1000), ()),
        (quiet(200) + tone(500) + quiet(500), ((200, 700),)),
        (tone(100) + quiet(280) + tone(100), ((0, 480),)),
        (tone(100) + quiet(300) + tone(100), ((0, 100), (400, 500))),
        (quiet(100) + tone(40) + quiet(1000), ()),  # a click
        (tone(70), ((0, 80),)),  # the last frame counts whole
    ],
)
def test_speech_is_found_and_pauses_inside_it_are_bridged(track, expected):
    assert spurts(track) == expected


@pytest.mark.parametrize(
    ("caller", "agent", "expected"),
    [
        ([(1000, 2000)], [(2500, 3000)], (500,)),
        ([(1000, 2000)], [(0, 900), (2500, 3000), (4000, 5000)], (500,)),
        ([(1000, 2000), (2300, 3000)], [(3400, 4000)], (400,)),  # only the last words wait
        ([(1000, 2000)], [(0, 900)], ()),
        ([(1000, 2000), (5000, 6000)], [(2100, 3000), (6300, 7000)], (100, 300)),
        ([(1000, 2000)], [(1500, 3000)], ()),
    ],
)
def test_replies_are_timed_from_the_caller_s_last_word(caller, agent, expected):
    assert replies(caller, agent) == expected


@pytest.mark.parametrize(
    ("caller", "agent", "clears", "expected"),
    [
        ([(1000, 2000)], [(0, 1300)], [1290], (BargeIn(1000, 290),)),
        ([(1000, 2000)], [(0, 3000)], [], (BargeIn(1000, None),)),
        ([(1000, 2000)], [(0, 3000)], [500], (BargeIn(1000, None),)),
        ([(1000, 2000)], [(0, 1100)], [1300], (BargeIn(1000, 300),)),  # cut in a pause
        ([(1000, 2000)], [(0, 1100)], [4000], (BargeIn(1000, None),)),
        ([(1000, 2000)], [(0, 900)], [1300], ()),
        ([(1000, 2000)], [(1500, 1900)], [1900], ()),  # the agent spoke over the caller
    ],
)
def test_barge_ins_are_timed_from_the_caller_s_first_sound_to_the_cut(
    caller, agent, clears, expected
):
    assert barge_ins(caller, agent, clears) == expected


@pytest.mark.parametrize(
    ("caller", "agent", "length", "expected"),
    [
        ([], [], 5000, 5000),
        ([], [(700, 2000)], 60_000, 700),  # after its words it is the caller's turn
        ([(3000, 4000)], [(500, 2000), (5200, 6000)], 9000, 1200),
        ([(3000, 4000)], [(500, 2000)], 9000, 5000),
        ([(1000, 2000), (2600, 3000)], [(0, 500), (3200, 3500)], 4000, 600),
        ([(1000, 2000)], [(0, 1500), (2100, 2500)], 3000, 100),
    ],
)
def test_the_agent_s_longest_gap_leaves_out_silences_that_are_the_caller_s(
    caller, agent, length, expected
):
    assert longest_agent_gap(caller, agent, length) == expected


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=20))
def test_spurts_are_ordered_apart_and_inside_the_track(parts):
    track = b"".join((tone if loud else quiet)(20 * size) for loud, size in parts)
    found = spurts(track)
    flat = [instant for spurt in found for instant in spurt]
    assert flat == sorted(set(flat))
    assert all(0 <= instant <= len(track) // 8 for instant in flat)
