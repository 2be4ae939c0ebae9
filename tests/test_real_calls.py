"""Real recordings through the whole server: robocalls are flagged, contact centres are not.

The calls run side by side on one server in virtual time.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

import db
from tests.conftest import shared_folder
from voice_server.runtime.replay import ReplayedCall, replay
from voice_server.testing import wav
from voice_server.testing.caller import Monologue
from voice_server.testing.virtual import hold_time

pytestmark = [pytest.mark.shared, pytest.mark.weights, pytest.mark.postgres]

ROBOCALLS = ("rc_amazon_order", "rc_court_warrant", "rc_ssa_legal_threat", "rc_ssn_suspended")
CONTACT_CENTRE = ("cc_auto_repair_40", "cc_bank_agent_side", "cc_bank_rewards_agent_side")
STAY_MS = 30_000  # of each contact-centre call: what a scam shield sees of a call at first


class Seen(msgspec.Struct):
    """What one call left behind."""

    told: ReplayedCall
    status: str
    detections: list[db.DetectionRecord]

    @property
    def evidence(self) -> set[str]:
        """Names of what speaks for a scam, over all that was stored."""
        lists = [
            json.loads(text) for one in self.detections for text in (one.patterns, one.behaviour)
        ]
        return {finding["name"] for found in lists for finding in found}


def voice_of(name: str, most_ms: int | None = None) -> Monologue:
    """Channel 0 of a recording, as somebody who talks whatever the agent does."""
    folder = shared_folder()
    assert folder is not None
    mulaw = wav.read(folder / "data" / "calls" / f"{name}.wav").channels[0]
    return Monologue(mulaw if most_ms is None else mulaw[: most_ms * 8])


@pytest.fixture
def hear(virtual, box):
    """Lets the server take calls side by side and tells what became of them."""

    async def calls(callers: dict[str, Monologue]) -> dict[str, Seen]:
        async with box() as opened:
            results = await asyncio.gather(*(opened.call(caller) for caller in callers.values()))
            records = db.PostgresCallRecords(opened.server.pool)
            seen = {}
            for name, (result, report) in zip(callers, results, strict=True):
                assert report.errors == report.wire_problems == ()
                with hold_time():
                    detections = await records.detections(result.call_id)
                told = replay(Path(result.journal))
                assert told.difference is None
                seen[name] = Seen(told, result.status, detections)
            return seen

    return lambda callers: virtual(calls(callers))


def test_real_robocalls_are_flagged_with_their_evidence(hear):
    seen = hear({name: voice_of(name) for name in ROBOCALLS})
    for name, call in seen.items():
        assert call.told.severity in {"high", "critical"}, name
        assert call.detections, name
        assert call.evidence, name
        assert any(one.severity in {"high", "critical"} for one in call.detections), name
        assert call.status == "completed", name
        assert not call.told.order_id, name


def test_real_contact_centre_calls_are_not_ended_as_scam(hear):
    seen = hear({name: voice_of(name, STAY_MS) for name in CONTACT_CENTRE})
    for name, call in seen.items():
        assert call.told.outcome != "scam", name
        assert call.told.severity != "critical", name
        assert call.told.said("caller"), name
        assert call.status == "completed", name
