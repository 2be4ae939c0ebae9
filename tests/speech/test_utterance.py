from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.speech.conftest import FRAME, SILENCE, SPEECH, channel, frames, shared_folder
from voice_server.speech.utterance import BYTES_PER_MS, Utterance

PRE_ROLL = 300 * BYTES_PER_MS
SECOND = 50  # frames


def noise(level: int) -> bytes:
    """A frame of the given loudness."""
    by_level = {1: 0xFA, 2: 0xF7, 5: 0xE7, 8: 0xDF, 10: 0xDB, 20: 0xCC}
    return bytes([by_level[level], by_level[level] & 0x7F] * (FRAME // 2))


def heard(*stretches: tuple[bytes, int]) -> Utterance:
    utterance = Utterance()
    for frame, count in stretches:
        for _ in range(count):
            utterance.push(frame)
    return utterance


def test_a_million_silent_frames_cost_nothing():
    utterance = heard((SILENCE, 1_000_000))

    assert len(utterance) <= 2 * PRE_ROLL
    assert utterance.take() == b""


def test_silence_before_speech_is_kept_only_as_a_pre_roll():
    utterance = heard((SILENCE, 10 * SECOND), (SPEECH, SECOND))

    audio = utterance.take()

    assert PRE_ROLL <= len(audio) - SECOND * FRAME <= 2 * PRE_ROLL
    assert audio.endswith(SPEECH)


def test_a_soft_onset_is_not_lost():
    utterance = heard((SILENCE, SECOND), (noise(2), 5), (SPEECH, 10))

    assert noise(2) * 5 + SPEECH * 10 in utterance.take()


def test_a_long_pause_inside_an_utterance_is_shortened():
    utterance = heard((SPEECH, SECOND), (SILENCE, 60 * SECOND), (SPEECH, SECOND))

    assert len(utterance.take()) < 3 * SECOND * FRAME


@pytest.mark.parametrize("count", [1, 2])
def test_a_click_holds_no_words(count: int):
    utterance = heard((SILENCE, 20), (SPEECH, count), (SILENCE, 20))

    assert not utterance.has_words
    assert utterance.take() == b""


def test_after_a_commit_the_pause_becomes_the_next_pre_roll():
    utterance = heard((SPEECH, SECOND), (noise(1), 12))
    utterance.take()

    assert utterance.audio() == noise(1) * 12
    assert utterance.take() == b""


def test_a_commit_in_the_middle_of_speech_splits_it_without_loss():
    utterance = heard((SPEECH, 30))
    first = utterance.take()
    for _ in range(20):
        utterance.push(SPEECH)

    assert first + utterance.take() == SPEECH * 50


def test_quiet_frames_count_from_the_newest_speech():
    utterance = heard((SPEECH, 5), (SILENCE, 7))
    assert utterance.quiet_frames == 7

    utterance.push(SPEECH)
    assert utterance.quiet_frames == 0


def test_steady_noise_stops_being_speech_after_a_while():
    utterance = heard((noise(8), 20 * SECOND))
    utterance.take()
    for _ in range(10 * SECOND):
        utterance.push(noise(8))

    assert utterance.take() == b""


def test_speech_over_steady_noise_is_still_heard():
    utterance = heard((noise(5), 20 * SECOND))
    utterance.take()
    for _ in range(SECOND):
        utterance.push(SPEECH)

    assert utterance.has_words


def test_the_floor_falls_at_once_when_the_noise_stops():
    utterance = heard((noise(10), 30 * SECOND), (SILENCE, 1))
    utterance.take()
    utterance.push(noise(5))

    assert utterance.voiced == 1


def test_it_is_full_after_fifteen_seconds_of_speech():
    utterance = heard((SPEECH, 15 * SECOND - 1))
    assert not utterance.is_full

    utterance.push(SPEECH)
    assert utterance.is_full


def test_a_too_long_utterance_is_cut_in_its_newest_pause():
    utterance = heard((SPEECH, 12 * SECOND), (SILENCE, 10), (SPEECH, 3 * SECOND))

    head = utterance.cut()

    assert len(head) // FRAME in range(12 * SECOND, 12 * SECOND + 10)
    assert utterance.audio().endswith(SPEECH * 3 * SECOND)


def test_without_any_pause_it_cuts_late_and_loses_nothing():
    utterance = heard((SPEECH, 15 * SECOND))

    head = utterance.cut()

    assert len(head) > 14 * SECOND * FRAME
    assert head + utterance.take() == SPEECH * 15 * SECOND


@given(st.lists(st.tuples(st.sampled_from([SILENCE, SPEECH, noise(2)]), st.integers(1, 400))))
def test_it_never_holds_more_than_fifteen_seconds_when_cut_in_time(stretches):
    utterance = Utterance()
    for frame, count in stretches:
        for _ in range(count):
            utterance.push(frame)
            if utterance.is_full:
                utterance.cut()
            assert len(utterance) <= 15_000 * BYTES_PER_MS


@given(st.lists(st.binary(min_size=1, max_size=900), max_size=40))
def test_frames_of_any_size_and_content_are_taken(blobs: list[bytes]):
    utterance = Utterance()
    for blob in blobs:
        utterance.push(blob)
        if utterance.is_full:
            utterance.cut()
    utterance.take()

    assert len(utterance) <= PRE_ROLL + sum(map(len, blobs))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["rc_amazon_order", "tel_us_narrowband_1", "cc_auto_repair_40"])
def test_real_calls_open_the_ear_for_a_part_of_the_time_only(name: str):
    utterance = Utterance()
    audio = channel(shared_folder() / "data" / "calls" / f"{name}.wav")
    voiced = 0
    for frame in frames(audio):
        utterance.push(frame)
        voiced += utterance.quiet_frames == 0
        if utterance.is_full:
            utterance.cut()

    assert 0.3 < voiced / (len(audio) / FRAME) < 0.97
