"""A call's node: what it says, and that changes turn one node into the next."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.mirror_calls import MirrorCall, facts_of
from detectors.assessment import Severity
from tests.mirror.states import state, told
from voice_server.call.live import Line
from voice_server.mirror.node import changes, leaves_of, nested
from voice_server.testing.lab.firebase_tree import path_of, replaced, shown, stored


def test_a_node_says_who_speaks_what_was_heard_and_why_it_is_risky():
    live = state(
        7,
        phase="speaking",
        lines=(Line("caller", "Hello", "", 900), Line("agent", "Good", "morning", 1800)),
        line_count=14,
        severity=Severity.HIGH,
        risk=0.71234567,
        evidence=("gift_card", "urgency"),
        latency_ms=480,
        cost_micro_usd=1234,
    )
    assert nested(leaves_of(live)) == {
        "status": "live",
        "phase": "speaking",
        "speaking": "agent",
        "turn": 0,
        "partial": "",
        "line_count": 14,
        "lines": {
            "000012": {"by": "caller", "heard": "Hello", "at_ms": 900},
            "000013": {"by": "agent", "heard": "Good", "unheard": "morning", "at_ms": 1800},
        },
        "risk": {"severity": "high", "score": 0.7123, "evidence": ["gift_card", "urgency"]},
        "latency_ms": 480,
        "cost_micro_usd": 1234,
        "seq": 7,
        "at_ms": 0,
        "outcome": "",
    }


def test_an_ended_call_says_so_and_how():
    leaves = leaves_of(state(3, "scam"))
    assert (leaves["status"], leaves["outcome"]) == ("ended", "scam")


def test_a_score_that_is_no_number_becomes_zero_for_json_knows_none():
    assert leaves_of(state(1, risk=math.nan))["risk/score"] == 0.0
    assert leaves_of(state(1, risk=math.inf))["risk/score"] == 0.0


def test_long_lines_are_cut_so_that_a_node_stays_small():
    leaves = leaves_of(state(1, lines=(Line("caller", "x" * 5000, "", 0),), line_count=1))
    heard = leaves["lines/000000"]["heard"]
    assert len(heard) == 600
    assert heard.endswith("…")


@given(st.integers(0, 10_000), st.data())
def test_changes_make_one_node_of_another_whatever_was_skipped_between_them(seed, data):
    call = MirrorCall(facts_of(1, "tenant", 0), random.Random(seed), 20)
    states = [live for _, live in call.states()]
    before, after = sorted(data.draw(st.lists(st.sampled_from(range(len(states))), min_size=2))[:2])
    old, new = leaves_of(states[before]), leaves_of(states[after])
    tree = stored(nested(old), None, 0)
    for path, value in changes(old, new).items():
        tree = replaced(tree, path_of(path), stored(value, None, 0))
    assert shown(tree) == told(states[after])


def test_nothing_changes_between_equal_states():
    leaves = leaves_of(state(4))
    assert changes(leaves, leaves) == {}
