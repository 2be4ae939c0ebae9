from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.speech.elevenlabs.subtitles import Subtitles

TEXT = "Hello there, Mr. Smith. We charge $50 an hour."


def aligned(part: str, ms: float = 62.0):
    return [(char, ms * (at + 1)) for at, char in enumerate(part)]


def audio(ms: float) -> bytes:
    return b"\xff" * int(ms * 8)


def test_aligned_audio_says_its_characters_and_the_space_behind_them():
    subtitles = Subtitles()
    subtitles.give(TEXT)
    assert subtitles.hear(audio(5 * 62), aligned("Hello")) == "Hello "
    assert subtitles.hear(audio(7 * 62), aligned("there, ")) == "there, "


def test_alignment_ahead_of_its_audio_waits_for_it():
    subtitles = Subtitles()
    subtitles.give(TEXT)
    assert subtitles.hear(audio(5 * 62), aligned("Hello there, ")) == "Hello "
    assert subtitles.hear(audio(4 * 62), None) == "the"
    assert subtitles.hear(audio(4 * 62), None) == "re, "


def test_times_that_restart_in_each_message_are_accumulated():
    subtitles = Subtitles()
    subtitles.give(TEXT)
    said = [subtitles.hear(audio(62 * 8), aligned(TEXT[at : at + 8])) for at in range(0, 40, 8)]
    assert "".join(said).rstrip() == TEXT[:40]
    assert [len(part.rstrip()) for part in said] == pytest.approx([8] * 5, abs=2)


def test_case_and_spelling_of_the_alignment_do_not_matter():
    subtitles = Subtitles()
    subtitles.give(TEXT)
    subtitles.hear(audio(1500), aligned("HELLO THERE, MR. SMITH. ", 60))
    assert subtitles.position == TEXT.index("We")
    subtitles.hear(audio(2500), aligned("We charge fifty dollars an hour.", 60))
    assert subtitles.position > TEXT.index("$50")


def test_an_aligned_part_after_an_unaligned_one_finds_its_place():
    subtitles = Subtitles()
    subtitles.give(TEXT)
    first = subtitles.hear(audio(24 * 62), None)
    second = subtitles.hear(audio(9 * 62), aligned("We charge"))
    assert (first + second).rstrip() == "Hello there, Mr. Smith. We charge"


def test_unaligned_audio_says_whole_words_in_proportion():
    subtitles = Subtitles()
    subtitles.give(TEXT)
    parts = [subtitles.hear(audio(500), None) for _ in range(6)]
    assert all(part == "" or part.endswith((" ", ".")) for part in parts)
    assert TEXT.startswith("".join(parts))
    assert len("".join(parts)) == pytest.approx(3000 / 62, abs=12)


def test_another_source_begins_with_the_word_that_was_cut():
    subtitles = Subtitles()
    subtitles.give(TEXT)
    subtitles.hear(audio(8 * 62), aligned("Hello th"))
    assert subtitles.cut_word == len("Hello ")
    subtitles.restart(subtitles.cut_word)
    assert subtitles.hear(audio(7 * 62), aligned("there, ")) == "ere, "


def test_a_turn_far_too_short_for_its_text_was_cut():
    subtitles = Subtitles()
    assert not subtitles.is_cut_short
    subtitles.give(TEXT)
    assert subtitles.is_cut_short
    subtitles.hear(audio(len(TEXT) * 50), None)
    assert not subtitles.is_cut_short


alignments = st.one_of(
    st.none(),
    st.lists(
        st.tuples(st.text(max_size=2), st.floats(0, 5000, allow_nan=False)), min_size=1, max_size=30
    ),
)


@given(
    st.lists(st.text(max_size=40), max_size=6),
    st.lists(st.tuples(st.integers(0, 30_000), alignments), max_size=12),
    st.integers(0, 12),
)
def test_whatever_the_service_tells_the_parts_add_up_to_the_text(pieces, chunks, restart_after):
    subtitles = Subtitles()
    said = []
    for at, piece in enumerate(pieces):
        subtitles.give(piece)
        for size, alignment in chunks[at::6]:
            said.append(subtitles.hear(b"\xff" * size, alignment))
            if len(said) == restart_after:
                subtitles.restart(subtitles.cut_word)
    said.append(subtitles.upto(len(subtitles.text)))
    assert "".join(said) == "".join(pieces)
