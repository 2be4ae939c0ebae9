"""The soak, scaled down: `python -m benchmarks.mirror` runs it in full."""

from __future__ import annotations

from benchmarks.mirror import soak


def test_with_firebase_failing_at_random_the_last_states_arrive_within_the_budget():
    found = soak(12, 90, seed=3)
    assert found.failed_requests > 0
    assert found.unhealthy_s > 0
    assert found.wrong_finals == 0
    assert found.writes_per_s_most <= 4
    assert found.busiest_second <= 5  # requests of two different seconds may arrive in one
    assert found.lag_p99_ms < 500
    assert found.lags > 500


def test_with_nothing_failing_nobody_waits_long():
    found = soak(5, 30, calm=True)
    assert (found.failed_requests, found.wrong_finals) == (0, 0)
    assert found.lag_most_ms < 500
    assert found.late_s < 0.5
    assert found.writes <= found.states + 5
