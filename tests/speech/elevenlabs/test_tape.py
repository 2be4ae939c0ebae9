from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voice_server.speech.elevenlabs.tape import BYTES_PER_MS, MOST_BYTES, Tape

FRAME = bytes(range(160))
LEAST = 640


def taken(tape: Tape, least: int = LEAST, most: int = 4000) -> list[bytes | int]:
    items = []
    while (item := tape.take(least, most)) is not None:
        items.append(item)
    return items


def test_audio_waits_for_a_whole_portion():
    tape = Tape()
    for _ in range(3):
        tape.push(FRAME)
    assert taken(tape) == []
    tape.push(FRAME)
    assert taken(tape) == [FRAME * 4]
    assert tape.unsent == 0


def test_a_commit_sends_what_is_left_and_fills_it_up():
    tape = Tape()
    tape.push(FRAME)
    tape.commit(7)
    assert taken(tape) == [FRAME, b"\xff" * (2400 - 160), 7]
    assert tape.outstanding


def test_a_long_segment_needs_no_silence():
    tape = Tape()
    tape.push(FRAME * 20)
    tape.commit(1)
    assert taken(tape) == [FRAME * 20, 1]


def test_audio_after_a_commit_goes_on_before_the_answer():
    tape = Tape()
    tape.push(FRAME * 20)
    tape.commit(1)
    taken(tape)
    tape.push(FRAME * 4)
    assert taken(tape) == [FRAME * 4]
    assert tape.answer() == 1
    assert not tape.outstanding


def test_answers_come_in_the_order_of_the_commits():
    tape = Tape()
    for number in (1, 2, 3):
        tape.push(FRAME * 20)
        tape.commit(number)
    taken(tape)
    assert [tape.answer(), tape.answer(), tape.answer(), tape.answer()] == [1, 2, 3, 0]


def test_a_new_connection_gets_everything_without_an_answer():
    tape = Tape()
    for number in (1, 2):
        tape.push(FRAME * 20)
        tape.commit(number)
    tape.push(FRAME * 4)
    taken(tape)
    tape.answer()
    tape.rewind()
    assert taken(tape) == [FRAME * 20, 2, FRAME * 4]


def test_a_cut_of_the_services_own_forgets_what_was_sent_and_keeps_the_rest():
    tape = Tape()
    tape.push(FRAME * 5)
    taken(tape)
    tape.push(FRAME)
    assert tape.answer() == 0
    assert tape.backlog() == [FRAME]
    tape.commit(1)
    assert taken(tape)[0] == FRAME


def test_beyond_ten_seconds_the_oldest_audio_goes():
    tape = Tape()
    for number in range(600):
        tape.push(bytes([number % 256]) * 160)
    (kept,) = tape.backlog()
    assert len(kept) == MOST_BYTES == 10_000 * BYTES_PER_MS
    assert kept[0] == 100
    assert tape.dropped == 100 * 160


def test_audio_that_was_sent_is_no_loss_when_it_goes():
    tape = Tape()
    for _ in range(700):
        tape.push(FRAME)
        taken(tape)
    assert tape.dropped == 0
    assert tape.unsent == 0


def test_a_commit_survives_the_loss_of_its_audio():
    tape = Tape()
    tape.push(FRAME)
    tape.commit(1)
    for _ in range(600):
        tape.push(FRAME)
    assert tape.take(LEAST, 4000) == b"\xff" * 2400
    assert tape.take(LEAST, 4000) == 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(1, 30)),
        st.just(("commit", 0)),
        st.just(("take", 0)),
        st.just(("answer", 0)),
        st.just(("rewind", 0)),
    ),
    max_size=60,
)


@given(steps)
def test_commits_are_answered_in_order_and_once_and_nothing_is_sent_out_of_order(moves):
    """Whatever happens: audio leaves in order, each utterance once, the tape stays bounded."""
    tape, commits, pushed = Tape(), 0, 0
    answered, wire = [], []
    for move, size in moves:
        if move == "push":
            tape.push(b"".join((pushed + n).to_bytes(2, "big") * 80 for n in range(size)))
            pushed += size
        elif move == "commit":
            commits += 1
            tape.commit(commits)
        elif move == "take":
            wire += [item for item in taken(tape) if isinstance(item, int)]
        elif move == "rewind":
            tape.rewind()
        elif tape.outstanding:
            answered.append(tape.answer())
    assert answered == list(range(1, len(answered) + 1))
    assert set(answered) <= set(wire)
    tape.rewind()
    rest = [item for item in taken(tape, least=1) if isinstance(item, int)]
    assert answered + rest == list(range(1, commits + 1))
    assert sum(len(item) for item in tape.backlog() if isinstance(item, bytes)) <= MOST_BYTES
