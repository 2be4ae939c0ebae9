"""Named deadlines and the next one due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call.deadlines import Deadline, Deadlines


def armed(**times: int) -> Deadlines:
    """Deadlines by their names in lower case."""
    deadlines = Deadlines()
    for name, at in times.items():
        deadlines.set(Deadline(name), at)
    return deadlines


def drained(deadlines: Deadlines, now: int) -> list[Deadline]:
    """All that is due, in the order in which it is served."""
    out = []
    while (due := deadlines.take_due(now)) is not None:
        out.append(due)
    return out


def test_nothing_is_due_when_nothing_is_set():
    deadlines = Deadlines()
    assert deadlines.next is None
    assert deadlines.take_due(10**12) is None


@pytest.mark.parametrize(
    ("now", "due"), [(99, []), (100, [Deadline.SILENCE]), (101, [Deadline.SILENCE])]
)
def test_a_deadline_is_due_from_its_time_on_and_only_once(now: int, due: list[Deadline]):
    deadlines = armed(silence=100)
    assert drained(deadlines, now) == due
    assert (deadlines.next is None) is bool(due)


def test_setting_again_replaces_the_time():
    deadlines = armed(silence=100)
    deadlines.set(Deadline.SILENCE, 300)
    assert deadlines.next == 300
    assert drained(deadlines, 200) == []


def test_the_next_is_the_soonest():
    deadlines = armed(silence=300, reply=200, max_call=900)
    assert deadlines.next == 200
    deadlines.clear(Deadline.REPLY)
    assert deadlines.next == 300


def test_clearing_what_is_not_set_is_fine():
    deadlines = armed(silence=300)
    deadlines.clear(Deadline.REPLY, Deadline.CLOSING)
    deadlines.clear()
    assert deadlines.next == 300


def test_clearing_all_leaves_nothing():
    deadlines = armed(silence=300, reply=200)
    deadlines.clear_all()
    assert deadlines.next is None
    assert drained(deadlines, 10**9) == []


def test_what_falls_due_together_is_served_in_order_of_importance():
    deadlines = Deadlines()
    for name in reversed(Deadline):
        deadlines.set(name, 50)
    assert drained(deadlines, 50) == list(Deadline)


def test_importance_goes_before_time_among_what_is_due():
    assert drained(armed(silence=10, max_call=90, reply=200), 100) == [
        Deadline.MAX_CALL,
        Deadline.SILENCE,
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from("sct"), st.sampled_from(Deadline), st.integers(0, 1_000)),
        max_size=40,
    )
)
def test_the_next_is_always_the_minimum_of_what_is_set(steps: list[tuple[str, Deadline, int]]):
    deadlines, model = Deadlines(), {}
    for act, name, at in steps:
        match act:
            case "s":
                deadlines.set(name, at)
                model[name] = at
            case "c":
                deadlines.clear(name)
                model.pop(name, None)
            case "t":
                due = [other for other in Deadline if model.get(other, at + 1) <= at]
                assert deadlines.take_due(at) is (due[0] if due else None)
                if due:
                    del model[due[0]]
        assert deadlines.next == min(model.values(), default=None)
    assert drained(deadlines, 1_000) == [name for name in Deadline if name in model]
