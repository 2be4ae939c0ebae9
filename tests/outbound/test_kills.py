"""kill -9 between any two steps: nobody is called twice, and every call has an end."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kills.run import kill_and_count


@pytest.mark.postgres
@pytest.mark.slow
async def test_a_server_killed_again_and_again_calls_everybody_at_most_once(
    postgres: str, tmp_path: Path
):
    report = await kill_and_count(postgres, tmp_path, dials=60, a_round=15, seed=7)
    assert report.ok, report
    assert sum(report.kills.values()) == 4
    assert report.calls_placed > 30
