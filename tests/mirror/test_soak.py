"""The soak, scaled down: `python -m benchmarks.mirror` runs it in full."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

import pytest

from benchmarks.mirror import soak
from benchmarks.mirror_calls import MirrorCall, facts_of, unlike_postgres
from voice_server.mirror.node import leaves_of, nested

pytestmark = pytest.mark.postgres


def test_with_firebase_failing_at_random_the_last_states_arrive_within_the_budget(postgres):
    found = soak(12, 90, postgres, seed=3)
    assert found.failed_requests > 0
    assert found.unhealthy_s > 0
    assert found.wrong_finals == found.unlike_postgres == 0
    assert found.writes_per_s_most <= 4
    assert found.busiest_second <= 5  # requests of two different seconds may arrive in one
    assert found.lag_p99_ms < 500
    assert found.lags > 500


def test_with_nothing_failing_nobody_waits_long(postgres):
    found = soak(5, 30, postgres, calm=True)
    assert (found.failed_requests, found.wrong_finals) == (0, 0)
    assert found.lag_most_ms < 500
    assert found.late_s < 0.5
    assert found.writes <= found.states + 5


def test_a_node_that_says_something_else_than_its_session_is_found(postgres):
    call = MirrorCall(facts_of(1, str(uuid4()), 1_800_000_000_000), random.Random(5), 20)
    (*_, last) = [live for _, live in call.states()]
    node = nested(leaves_of(last))
    call_id = call.facts.call_id
    assert asyncio.run(unlike_postgres(postgres, [call], {call_id: node})) == []
    changes = ({"line_count": 0}, {"cost_micro_usd": 1}, {"outcome": "booked"}, {"lines": {}}, {})
    for change in changes:
        odd = {call_id: node | change} if change else {}
        assert asyncio.run(unlike_postgres(postgres, [call], odd)) == [call_id]
