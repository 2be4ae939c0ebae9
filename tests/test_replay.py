"""The regression net of the core: recorded calls must replay command by command.

A change of the core that alters commands on purpose comes with recordings made anew by
`scripts/make_recordings`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from voice_server.call import events as e
from voice_server.runtime.journal import Journal
from voice_server.testing.plugin import Replay, Simulate

FOLDER = Path(__file__).parent / "recordings"
NAMES = sorted(path.stem for path in FOLDER.glob("*.journal"))
MAX_BYTES = 100_000

# outcome, reason, least turns, what the caller said, what the agent said
CALLS = {
    "booked": ("booked", "agent_goodbye", 9, "Mary Cooper", "You're booked."),
    "handed_over": ("handed_over", "transfer", 2, "real person", "put you through"),
    "interrupted": ("booked", "agent_goodbye", 9, "Peter Brown", "Friday at three"),
    "scam_closed": ("scam", "scam", 2, "refund", "ending the call"),
    "silence": ("silent", "silence", 3, "", "Are you still there?"),
    "wrong_number": ("answered", "agent_goodbye", 2, "wrong number", "Goodbye."),
}


def test_all_recordings_are_there_and_expected():
    assert set(NAMES) == set(CALLS)


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_call_replays_exactly(replay: Replay, name):
    call = replay(f"recordings/{name}.journal")
    outcome, reason, turns, caller, agent = CALLS[name]
    assert (call.outcome, call.reason, call.phase) == (outcome, reason, "ended")
    assert call.turns >= turns
    assert caller in call.said("caller")
    assert agent in call.said("agent")
    assert not call.cut_short
    assert bool(call.order_id) is (outcome == "booked")


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_small_and_holds_no_audio(name):
    path = FOLDER / f"{name}.journal"
    assert path.stat().st_size < MAX_BYTES
    journal = Journal(path)
    assert not journal.header.media
    assert journal.header.facts.caller_number.startswith("+1202555")
    for entry in journal:
        if isinstance(entry.event, e.AudioHeard):
            assert entry.event.mulaw == b""


def test_the_scam_is_flagged_before_anything_is_given_away(replay: Replay):
    call = replay("recordings/scam_closed.journal")
    assert call.severity == "critical"
    assert call.risk > 0.9
    assert call.duration_ms < 40_000


def test_only_what_was_heard_counts_as_said(replay: Replay):
    call = replay("recordings/interrupted.journal")
    [cut] = [line for line in call.lines if line.unheard]
    assert cut.speaker == "agent"
    assert cut.unheard not in call.said("agent")


@pytest.mark.parametrize("name", ["booked", "handed_over", "silence", "wrong_number"])
def test_the_present_agent_brings_a_recorded_caller_to_the_same_end(simulate: Simulate, name):
    call = simulate(f"recordings/{name}.journal")
    assert call.outcome == CALLS[name][0]


def test_a_simulation_shows_what_another_policy_would_have_done(simulate: Simulate):
    blind = simulate("recordings/scam_closed.journal", detect_scams=False)
    assert blind.outcome != "scam"
    assert blind.severity == "minimal"
    greeted = simulate("recordings/wrong_number.journal", greeting="Good morning.")
    assert greeted.said("agent").startswith("Good morning.")


def test_two_simulations_tell_the_same(simulate: Simulate):
    first, second = (simulate("recordings/handed_over.journal") for _ in range(2))
    assert first.lines == second.lines
    assert first.duration_ms == second.duration_ms
