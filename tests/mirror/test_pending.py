"""What is written when: budget, coalescing, failures, refusals, and finals that are never lost."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mirror.states import state, told, without_times
from voice_server.mirror.pending import Batch, Pace, Pending, Result
from voice_server.testing.lab.firebase_tree import Tree, path_of, replaced, shown, stored, value_at

QUARTER = Pace(writes_per_s=4.0, gather_s=0.05, beat_s=60.0, lease_s=240.0, keep_s=600.0)


def pending() -> Pending:
    return Pending(QUARTER, jitter=lambda: 1.0)


def taken(queue: Pending, now: float) -> Batch:
    batch = queue.take(now, int(now * 1000))
    assert batch is not None
    return batch


def written(queue: Pending, now: float) -> Batch:
    batch = taken(queue, now)
    queue.settle(batch, Result.WRITTEN, now)
    return batch


def test_the_first_state_goes_out_at_once_and_whole():
    queue = pending()
    queue.put("c", "t", state(1))
    batch = taken(queue, 5.0)
    assert set(batch.updates) == {"t/c"}
    node = batch.updates["t/c"]
    assert node["seq"] == 1
    assert node["updated_at"] == {".sv": "timestamp"}
    assert node["expires_at"] == 5_000 + 240_000


def test_later_states_wait_for_their_turn_and_only_the_newest_is_written_as_its_changes():
    queue = pending()
    queue.put("c", "t", state(1))
    written(queue, 0.0)
    for sequence in range(2, 9):
        queue.put("c", "t", state(sequence, turn=sequence))
    assert queue.next_at() == 0.25
    assert queue.take(0.2, 0) is None
    updates = taken(queue, 0.25).updates
    assert set(updates) == {"t/c/seq", "t/c/turn", "t/c/updated_at", "t/c/expires_at"}
    assert updates["t/c/seq"] == 8


def test_calls_that_are_due_together_travel_together():
    queue = pending()
    for number in range(150):
        queue.put(f"c{number}", "t", state(1))
    assert len(written(queue, 0.0).items) == 100
    assert queue.take(0.01, 0) is None  # others may come to travel with the rest
    assert queue.next_at() == 0.05
    assert len(written(queue, 0.05).items) == 50


def test_a_state_that_is_older_than_a_known_one_changes_nothing():
    queue = pending()
    queue.put("c", "t", state(5))
    queue.put("c", "t", state(4, "booked"))
    assert taken(queue, 0.0).updates["t/c"]["seq"] == 5


def test_ended_calls_go_before_live_ones_and_leave_the_queue_once_written():
    queue = pending()
    for number in range(120):
        queue.put(f"live{number}", "t", state(1))
    queue.put("over", "t", state(9, "booked"))
    batch = taken(queue, 0.0)
    assert batch.items[0].call_id == "over"
    assert batch.updates["t/over"]["expires_at"] == 600_000
    assert queue.settle(batch, Result.WRITTEN, 0.0) == ("over",)
    assert queue.finals == 0
    assert len(queue) == 120


def test_a_call_without_news_is_written_now_and_then_so_that_it_does_not_expire():
    queue = pending()
    queue.put("c", "t", state(1))
    written(queue, 0.0)
    assert queue.next_at() == 60.0
    updates = taken(queue, 60.0).updates
    assert set(updates) == {"t/c/updated_at", "t/c/expires_at"}
    assert updates["t/c/expires_at"] == 300_000


def test_after_a_failure_everything_waits_longer_each_time_and_is_then_written_whole():
    queue = pending()
    queue.put("c", "t", state(1))
    written(queue, 0.0)
    queue.put("c", "t", state(2))
    waits, now = [], 1.0
    for _ in range(9):
        queue.settle(taken(queue, now), Result.UNAVAILABLE, now)
        assert not queue.healthy
        retry = queue.next_at()
        assert retry is not None
        assert queue.take(retry - 0.01, 0) is None
        waits.append(retry - now)
        now = retry
    assert waits == pytest.approx([0.25, 0.5, 1, 2, 4, 5, 5, 5, 5])
    assert set(written(queue, now).updates) == {"t/c"}
    assert queue.healthy


def test_a_state_that_came_while_its_call_was_being_written_is_written_next():
    queue = pending()
    queue.put("c", "t", state(1))
    batch = taken(queue, 0.0)
    queue.put("c", "t", state(2, "booked"))
    assert queue.settle(batch, Result.WRITTEN, 0.1) == ()
    last = taken(queue, 0.25)
    assert last.updates["t/c/status"] == "ended"
    assert queue.settle(last, Result.WRITTEN, 0.3) == ("c",)


def test_one_node_that_is_refused_does_not_hold_up_the_others():
    queue = pending()
    for name in ("good", "bad", "fine"):
        queue.put(name, "t", state(1))
    delivered, now = set(), 0.0
    while now < 20:
        batch = queue.take(now, 0)
        if batch is None:
            now = max(now + 0.01, queue.next_at() or 0)
            continue
        names = {item.call_id for item in batch.items}
        refused = "bad" in names
        delivered |= set() if refused else names
        queue.settle(batch, Result.REFUSED if refused else Result.WRITTEN, now)
        assert now < 1 or names == {"bad"} or not refused
    assert delivered == {"good", "fine"}
    assert queue.healthy


def test_there_is_room_for_so_many_calls_and_no_more():
    queue = pending()
    assert all(queue.put(f"c{number}", "t", state(1)) for number in range(2_000))
    assert not queue.put("one-more", "t", state(1))
    assert queue.put("c7", "t", state(2, "booked"))


def test_nothing_known_is_nothing_to_do():
    assert pending().next_at() is None
    assert pending().take(1e9, 0) is None


def test_when_every_node_is_refused_it_is_the_database_that_is_not_to_be_had():
    queue = pending()
    for number in range(64):
        queue.put(f"c{number}", "t", state(1))
    now, sizes = 0.0, []
    while now < 60:
        batch = queue.take(now, 0)
        if batch is not None:
            sizes.append(len(batch.items))
            queue.settle(batch, Result.REFUSED, now)
        now += 0.05
    assert sizes[:7] == [64, 32, 16, 8, 4, 2, 1]
    assert len(sizes) < 30
    assert not queue.healthy
    now = queue.next_at() or 0
    while batch := queue.take(now, 0):
        queue.settle(batch, Result.WRITTEN, now)
        now += 0.1
    assert queue.healthy
    assert now < 60 + 20


FATES = ["written", "written", "written", "lost", "done but lost", "refused"]
OUTCOMES = st.sampled_from(FATES)


@settings(max_examples=60)
@given(st.lists(OUTCOMES, max_size=60), st.integers(0, 1 << 30))
def test_whatever_fails_the_last_state_of_every_call_arrives_within_the_budget(fates, seed):
    chance = random.Random(seed)
    queue = Pending(QUARTER, chance.random)
    calls = {f"c{number}": 0 for number in range(5)}
    last, attempts = {}, {call_id: list[float]() for call_id in calls}
    tree: Tree = None
    now, pending_fates = 0.0, list(fates)
    while now < 16 or queue.finals:
        for call_id in calls:
            if call_id in last and last[call_id].outcome:
                continue
            if now >= 15 or chance.random() < 0.5:
                calls[call_id] += 1
                ends = now >= 15
                last[call_id] = state(calls[call_id], "booked" if ends else "", turn=int(now))
                queue.put(call_id, "t", last[call_id])
        batch = queue.take(now, 0)
        if batch is not None:
            for item in batch.items:
                attempts[item.call_id].append(now)
            fate = pending_fates.pop() if pending_fates else "written"
            if fate not in ("lost", "refused"):
                for path, value in batch.updates.items():
                    tree = replaced(tree, path_of(path), stored(value, None, 0))
            results = {"written": Result.WRITTEN, "refused": Result.REFUSED}
            queue.settle(batch, results.get(fate, Result.UNAVAILABLE), now)
        now += 0.1
        assert now < 3_000
    for call_id, live in last.items():
        assert without_times(shown(value_at(tree, ("t", call_id)))) == told(live)
        gaps = [b - a for a, b in zip(attempts[call_id], attempts[call_id][1:], strict=False)]
        assert all(gap >= 0.25 - 1e-9 for gap in gaps)
