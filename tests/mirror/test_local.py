"""The mirror in memory: newest states, watchers, a bounded past."""

from __future__ import annotations

from tests.mirror.states import state
from voice_server.call.live import LiveState
from voice_server.mirror.local import LocalMirror


def test_the_newest_state_of_each_call_is_kept():
    mirror = LocalMirror()
    mirror.put("a", state(1))
    mirror.put("b", state(1))
    mirror.put("a", state(2))
    assert mirror.state("a") == state(2)
    assert mirror.state("b") == state(1)
    assert mirror.state("c") is None
    assert set(mirror.live()) == {"a", "b"}


def test_a_call_that_has_ended_is_known_but_not_live():
    mirror = LocalMirror()
    mirror.put("a", state(1, "booked"))
    assert mirror.state("a") == state(1, "booked")
    assert mirror.live() == {}


def test_only_the_last_hundred_calls_are_remembered_and_all_that_live():
    mirror = LocalMirror()
    for number in range(300):
        mirror.put(f"live-{number}", state(1))
        mirror.put(f"call-{number}", state(1, "booked"))
    assert mirror.state("call-199") is None
    assert mirror.state("call-200") is not None
    assert len(mirror.live()) == 300


def test_watchers_see_every_change_until_they_leave():
    mirror, seen = LocalMirror(), []
    leave = mirror.watch(lambda call_id, newest: seen.append((call_id, newest.sequence)))
    mirror.put("a", state(1))
    mirror.put("a", state(2))
    leave()
    mirror.put("a", state(3))
    assert seen == [("a", 1), ("a", 2)]


def test_a_watcher_may_leave_while_it_is_told():
    mirror, seen = LocalMirror(), []

    def once(call_id: str, newest: LiveState) -> None:
        seen.append("once")
        leave()

    leave = mirror.watch(once)
    mirror.watch(lambda call_id, newest: seen.append("always"))
    mirror.put("a", state(1))
    mirror.put("a", state(2))
    assert seen == ["once", "always", "always"]
