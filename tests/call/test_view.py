"""The snapshots that others watch."""

from __future__ import annotations

import msgspec

from detectors.assessment import Assessment, Finding, Severity
from voice_server.call.live import Line, LiveState
from voice_server.call.view import LiveView


def snapshot(view: LiveView, **changes: object) -> LiveState:
    """The next snapshot of a call of which nothing else is known."""
    facts: dict[str, object] = {
        "now": 0,
        "phase": "listening",
        "speaking": "nobody",
        "partial": "",
        "turn": 0,
        "assessment": None,
        "cost_micro_usd": 0,
        "outcome": "",
    }
    return view.state(**(facts | changes))  # type: ignore[arg-type]


def assessment(*weights: float) -> Assessment:
    """A view with findings of these weights, named after them."""
    findings = tuple(Finding("pattern", f"w{w}", w, 0, 0, 1, "x") for w in weights)
    return Assessment(0.7, 0.9, Severity.HIGH, 3, "refund", ("pattern",), findings)


def test_every_snapshot_has_the_next_number():
    view = LiveView()
    assert [snapshot(view).sequence for _ in range(4)] == [1, 2, 3, 4]


def test_a_snapshot_says_what_it_was_told():
    state = snapshot(
        LiveView(),
        now=900,
        phase="speaking",
        speaking="agent",
        partial="My t",
        turn=4,
        cost_micro_usd=77,
        outcome="booked",
    )
    assert (state.at_ms, state.phase, state.speaking) == (900, "speaking", "agent")
    assert (state.partial, state.turn, state.cost_micro_usd) == ("My t", 4, 77)
    assert state.outcome == "booked"


def test_without_an_assessment_the_risk_is_minimal():
    state = snapshot(LiveView())
    assert (state.severity, state.risk, state.evidence) == (Severity.MINIMAL, 0.0, ())


def test_the_strongest_findings_are_shown_first_and_only_five_of_them():
    state = snapshot(LiveView(), assessment=assessment(0.1, 0.9, 0.3, 0.5, 0.2, 0.4, 0.8))
    assert state.evidence == ("w0.9", "w0.8", "w0.5", "w0.4", "w0.3")
    assert (state.severity, state.risk) == (Severity.HIGH, 0.7)


def test_equal_findings_keep_their_order():
    findings = tuple(Finding("pattern", name, 0.5, 0, 0, 1, "x") for name in "cab")
    view = Assessment(0.7, 0.9, Severity.HIGH, 3, "", (), findings)
    assert snapshot(LiveView(), assessment=view).evidence == ("c", "a", "b")


def test_the_newest_lines_are_shown_and_all_are_counted():
    view = LiveView()
    for n in range(30):
        view.line("caller", f"line {n}", "", n)
    state = snapshot(view)
    assert state.line_count == 30
    assert [line.text for line in state.lines] == [f"line {n}" for n in range(18, 30)]


def test_a_line_tells_what_nobody_heard():
    view = LiveView()
    view.line("agent", "We can", "fix that.", 500)
    assert snapshot(view).lines == (Line("agent", "We can", "fix that.", 500),)


def test_a_snapshot_given_out_does_not_change_afterwards():
    view = LiveView()
    before = snapshot(view)
    view.line("caller", "Hi.", "", 0)
    view.latency_ms = 800
    assert (before.lines, before.line_count, before.latency_ms) == ((), 0, 0)
    assert snapshot(view).latency_ms == 800


def test_a_snapshot_survives_being_sent():
    view = LiveView()
    view.line("caller", "Grüß Gott", "", 0)
    state = snapshot(view, assessment=assessment(0.5))
    assert msgspec.json.decode(msgspec.json.encode(state), type=LiveState) == state
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=LiveState) == state
