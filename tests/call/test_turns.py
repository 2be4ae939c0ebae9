"""When the caller begins, stops and has finished."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call.events import Expectation
from voice_server.call.turns import FRAME_MS, Edge, VoiceGate, patience_ms

RELEASE_MS = 240
SILENT, FAINT, HUM, VOICE = 0, 9, 10, 60


class Ear:
    """A gate with a clock; remembers the edges and when they came."""

    def __init__(self) -> None:
        self.gate = VoiceGate(RELEASE_MS)
        self.now = 1_000
        self.edges: list[tuple[Edge, int]] = []

    def hear(self, loudness: int, ms: int, *, score: int | None = None) -> list[Edge]:
        """Frames of one loudness, each with the model's view of it if there is a model."""
        before = len(self.edges)
        for _ in range(ms // FRAME_MS):
            self.now += FRAME_MS
            if score is not None:
                self.gate.score(score, self.now)
            edge = self.gate.hear(loudness, self.now)
            if edge is not None:
                self.edges.append((edge, self.now))
        return [edge for edge, _ in self.edges[before:]]


@pytest.mark.parametrize(
    ("score", "ms", "opens"),
    [
        (None, 100, False),  # no model: 120 ms of sound
        (None, 120, True),
        (90, 40, False),  # the model is sure: 60 ms
        (90, 60, True),
        (50, 60, True),
        (49, 100, False),  # the model wavers: as if there were none
        (49, 120, True),
        (35, 120, True),
        (34, 2_000, False),  # the model says no: however long the noise
        (0, 2_000, False),
    ],
)
def test_it_takes_so_much_sound_to_open(score: int | None, ms: int, *, opens: bool):
    assert Ear().hear(VOICE, ms, score=score) == ([Edge.OPENED] if opens else [])


@pytest.mark.parametrize("score", [50, 100])
def test_the_model_alone_without_any_sound_opens_nothing(score: int):
    assert Ear().hear(SILENT, 2_000, score=score) == []


def test_a_click_now_and_then_never_adds_up():
    ear = Ear()
    for _ in range(50):
        ear.hear(VOICE, 100)
        ear.hear(SILENT, 20)
    assert ear.edges == []


def test_the_onset_is_where_the_sound_began():
    ear = Ear()
    ear.hear(SILENT, 500)
    began = ear.now
    ear.hear(VOICE, 300)
    assert ear.gate.onset_at == began
    assert ear.gate.last_voice_at == ear.now


def test_frames_that_come_in_one_burst_do_not_set_the_onset_before_the_call():
    gate = VoiceGate(RELEASE_MS)
    edges = [gate.hear(VOICE, 30) for _ in range(6)]
    assert edges[-1] is Edge.OPENED
    assert gate.onset_at == 0


def test_a_pause_shorter_than_the_release_keeps_the_gate_open():
    ear = Ear()
    ear.hear(VOICE, 300)
    for _ in range(10):
        assert ear.hear(SILENT, RELEASE_MS - FRAME_MS) == []
        assert ear.hear(VOICE, 100) == []
    assert ear.gate.open


def test_a_pause_of_the_release_closes_and_remembers_the_last_voice():
    ear = Ear()
    ear.hear(VOICE, 300)
    spoke_at = ear.now
    assert ear.hear(SILENT, RELEASE_MS) == [Edge.CLOSED]
    assert ear.now == spoke_at + RELEASE_MS
    assert ear.gate.last_voice_at == spoke_at
    assert not ear.gate.open


@pytest.mark.parametrize(
    ("score", "loudness", "stays"),
    [
        (None, VOICE, True),
        (34, VOICE, False),  # loud, but no voice: the gate closes over noise
        (35, VOICE, True),
        (35, SILENT, False),
        (49, SILENT, False),
        (50, SILENT, False),  # the score speaks of the frames before
        (49, FAINT, False),
        (50, FAINT, True),  # a voice too soft to be loud
    ],
)
def test_an_open_gate_stays_open_for(score: int | None, loudness: int, *, stays: bool):
    ear = Ear()
    ear.hear(VOICE, 300, score=90)
    ear.hear(SILENT, 20, score=score)
    ear.now += 0 if score is not None else 400  # without a score the old one must expire first
    ear.hear(loudness, 1_000, score=score)
    assert ear.gate.open is stays


def test_a_model_that_falls_silent_is_done_without():
    ear = Ear()
    ear.hear(VOICE, 1_000, score=0)
    assert ear.edges == []
    opened = ear.hear(VOICE, 600)  # 400 ms after its last score it counts as absent
    assert opened == [Edge.OPENED]


def test_a_steady_hum_is_learnt_and_a_voice_stands_out_from_it():
    ear = Ear()
    ear.hear(HUM, 5_000)
    assert not ear.gate.open
    learnt = len(ear.edges)
    ear.hear(HUM, 20_000)
    assert len(ear.edges) == learnt
    assert ear.hear(VOICE, 200) == [Edge.OPENED]
    assert ear.hear(HUM, 400) == [Edge.CLOSED]


def test_a_voice_that_never_pauses_does_not_become_the_noise_floor():
    ear = Ear()
    ear.hear(VOICE, 120_000)
    assert ear.edges == [(Edge.OPENED, 1_120)]


def test_when_the_hum_stops_quiet_voices_count_again():
    ear = Ear()
    ear.hear(40, 10_000)
    assert not ear.gate.open or ear.hear(SILENT, 500)
    ear.hear(SILENT, 500)
    assert ear.hear(12, 200) == [Edge.OPENED]


@pytest.mark.parametrize("loudness", range(7))
def test_what_is_quieter_than_any_speech_never_opens(loudness: int):
    assert Ear().hear(loudness, 3_000, score=100) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 255), st.integers(1, 20), st.none() | st.integers(0, 100)),
        max_size=30,
    )
)
def test_edges_alternate_and_their_times_make_sense(parts: list[tuple[int, int, int | None]]):
    ear = Ear()
    for loudness, frames, score in parts:
        ear.hear(loudness, frames * FRAME_MS, score=score)
        assert ear.gate.onset_at <= ear.gate.last_voice_at <= ear.now
    kinds = [edge for edge, _ in ear.edges]
    assert kinds == [Edge.OPENED, Edge.CLOSED] * (len(kinds) // 2) + [Edge.OPENED] * (
        len(kinds) % 2
    )
    for (_, opened), (_, closed) in zip(ear.edges[::2], ear.edges[1::2], strict=False):
        assert closed - opened >= RELEASE_MS


@pytest.mark.parametrize(
    ("expects", "text", "ms"),
    [
        (Expectation.ANYTHING, "My tap leaks.", 1_000),
        (Expectation.ANYTHING, "", 1_000),
        (Expectation.YES_NO, "Yes.", 800),
        (Expectation.DIGITS, "five five", 2_000),
        (Expectation.SPELLING, "S M I", 2_000),
        (Expectation.ADDRESS, "Elm Street", 1_500),
        (Expectation.ANYTHING, "I need a", 1_700),
        (Expectation.ANYTHING, "My name is", 1_700),
        (Expectation.ANYTHING, "It leaks, ", 1_700),
        (Expectation.ANYTHING, "Well…", 1_700),
        (Expectation.ANYTHING, "and then, um...", 1_700),
        (Expectation.ANYTHING, "UH", 1_700),
        (Expectation.YES_NO, "Yes, but", 1_700),
        (Expectation.ADDRESS, "It is on", 1_700),
        (Expectation.DIGITS, "it is", 2_000),  # the longer patience counts
        (Expectation.ANYTHING, "It is your idea", 1_000),
        (Expectation.ANYTHING, "I saw a llama", 1_000),  # ends on a letter, not on a word "a"
    ],
)
def test_patience_depends_on_the_question_and_on_how_the_words_end(
    expects: Expectation, text: str, ms: int
):
    assert patience_ms(1_000, expects, text) == ms


@given(st.integers(1, 10_000), st.sampled_from(Expectation), st.text(max_size=60))
def test_patience_is_always_between_four_fifths_and_twice_the_usual(
    usual: int, expects: Expectation, text: str
):
    assert usual * 80 // 100 <= patience_ms(usual, expects, text) <= usual * 2
