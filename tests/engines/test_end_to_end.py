"""Whole calls over simulated providers, picked by configuration alone; then they fail."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import msgspec
import pytest

from tests.db.server import fetch
from tests.engines.lab import providers, tell
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.virtual import hold_time

pytestmark = [pytest.mark.weights, pytest.mark.postgres, pytest.mark.slow]

ORDER = "You're booked"
LONGEST_WAIT_MS = 1_500


@pytest.mark.parametrize("mind", ["openai", "anthropic", "google", "grok"])
def test_a_caller_books_over_providers_and_every_unit_is_in_the_books(virtual, box, postgres, mind):
    async def scene() -> None:
        async with providers(mind) as labs, box(**labs.settings) as opened:
            story = await tell(opened, postgres)
        assert story.report.errors == story.report.wire_problems == ()
        assert (story.result.status, story.result.outcome) == ("completed", "booked")
        assert story.orders == 1
        assert ORDER in story.heard

        assert story.booked == labs.metered
        assert {item.split(".")[0] for item in story.booked} == {"elevenlabs", mind}
        with hold_time():
            prices = await fetch(
                postgres,
                "SELECT DISTINCT ON (item) item, micro_usd, per FROM prices "
                "WHERE effective_from <= now() ORDER BY item, effective_from DESC",
            )
            [session] = await fetch(
                postgres, "SELECT * FROM call_sessions WHERE id = $1", story.result.call_id
            )
        rates = {row["item"]: (row["micro_usd"], row["per"]) for row in prices}
        for item, quantity in labs.metered.items():
            micro_usd, per = rates[item]
            assert story.cost[item] == -(-quantity * micro_usd // per), item
        told = msgspec.json.decode(session["conversation_data"])
        said = " ".join(line["text"] for line in told["agent_responses"])
        assert ORDER in said

    virtual(scene())


def plan(number: int, first: Injection | Fault, then: Injection | Fault) -> FaultPlan:
    """All is well until `number`, which meets `first`; all later ones meet `then`."""
    return FaultPlan({n: Fault.NONE for n in range(1, number)} | {number: first}, otherwise=then)


def faulty(what: str) -> dict[str, object]:
    """The options of `providers` for one way to die."""
    drop, stall = Injection(Fault.DROP, 60_000), Injection(Fault.STALL, 60_000)
    down, refused = Fault.SERVER_ERROR, Fault.UNAUTHORIZED
    return {
        "a wrong key for speech": {"speech_key": "wrong"},
        "ears refused at start": {"ears_faults": FaultPlan(otherwise=refused)},
        "ears dropped in mid-call": {"ears_faults": plan(1, drop, down)},
        "ears stalled in mid-call": {"ears_faults": plan(1, stall, Fault.SLOW_FIRST_BYTE)},
        "voice out of quota at start": {
            "voice_faults": FaultPlan(otherwise=Fault.QUOTA),
            "http_faults": FaultPlan(otherwise=Fault.QUOTA),
        },
        "voice dropped in mid-sentence": {
            "voice_faults": plan(1, drop, down),
            "http_faults": FaultPlan(otherwise=down),
        },
        "voice stalled in mid-sentence": {
            "voice_faults": plan(1, stall, Fault.SLOW_FIRST_BYTE),
            "http_faults": FaultPlan(otherwise=Fault.SLOW_FIRST_BYTE),
        },
        "mind refused at start": {"mind_options": {"plan": FaultPlan(otherwise=refused)}},
        "mind down in mid-call": {"mind_options": {"plan": plan(4, down, down)}},
        "mind silent in mid-call": {
            "mind_options": {"plan": plan(4, Fault.SLOW_FIRST_BYTE, Fault.SLOW_FIRST_BYTE)}
        },
        "mind dropped in mid-answer": {
            "mind_options": {"plan": plan(4, Injection(Fault.DROP, 20), Injection(Fault.DROP, 20))}
        },
    }[what]


FAULTS = (
    "a wrong key for speech",
    "ears refused at start",
    "ears dropped in mid-call",
    "ears stalled in mid-call",
    "voice out of quota at start",
    "voice dropped in mid-sentence",
    "voice stalled in mid-sentence",
    "mind refused at start",
    "mind down in mid-call",
    "mind silent in mid-call",
    "mind dropped in mid-answer",
)


@pytest.fixture(scope="module")
def waits(pytestconfig) -> Iterator[dict[str, list[int]]]:
    """Collects how long each caller waited for us after their own words, and shows it."""
    collected: dict[str, list[int]] = {}
    yield collected
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or capture is None:
        return
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        reporter.line("from the caller's last word to our next sound, in ms; 700 is their pause")
        reporter.line(f"{'fault':32}{'p50':>7}{'p100':>7}")
        for what, found in collected.items():
            reporter.line(f"{what:32}{int(median(found)):7}{max(found):7}")


@pytest.mark.parametrize("what", FAULTS)
def test_the_local_engine_takes_over_and_the_order_is_booked(virtual, box, postgres, waits, what):
    async def scene() -> None:
        async with providers(**faulty(what)) as labs, box(**labs.settings) as opened:
            story = await tell(opened, postgres)
        waits[what] = story.waits_ms
        assert story.report.errors == story.report.wire_problems == ()
        assert story.result.outcome == "booked"
        assert story.orders == 1
        assert ORDER in story.heard
        assert max(story.waits_ms) <= LONGEST_WAIT_MS
        assert story.booked == labs.metered

    virtual(scene())
