"""Whatever happens to a call, in whatever order: its promises hold."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.call.watch import Rule, held
from tests.call.world import POLICIES, World, live, tape_of
from voice_server.call import MOVES, Call, Disposition, Phase
from voice_server.call import commands as c

TAPES = st.binary(min_size=2, max_size=300)
SEARCH = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
LONG_CALLS = 250


def hung_up_on(tape: bytes) -> World:
    """A call whose caller leaves at the end of the tape."""
    world = live(tape)
    world.hang_up()
    return world


@SEARCH
@given(TAPES)
def test_every_promise_holds_until_the_caller_hangs_up(tape: bytes):
    live(tape).hang_up()


@SEARCH
@given(TAPES)
def test_a_call_left_alone_answers_or_closes_and_ends_by_itself(tape: bytes):
    live(tape).wait_for_the_end()


@SEARCH
@given(TAPES)
def test_the_same_events_at_the_same_times_give_the_same_commands(tape: bytes):
    log = hung_up_on(tape).watch.log
    again = Call(POLICIES[tape[0] % len(POLICIES)])
    for event, now, commands in log:
        held(Rule.SAME_AGAIN, tuple(again.handle(event, now)) == commands, event)


def test_every_promise_holds_through_long_calls():
    for seed in range(LONG_CALLS):
        try:
            live(tape_of(seed)).hang_up()
            live(tape_of(seed, 40)).wait_for_the_end()
        except AssertionError as failure:
            failure.add_note(f"seed {seed}")
            raise


def test_the_worlds_reach_the_depths_of_a_call():
    commands: Counter[type] = Counter()
    moves: set[tuple[Phase, Phase]] = set()
    ends: set[Disposition] = set()
    turns = 0
    for seed in range(LONG_CALLS):
        world = hung_up_on(tape_of(seed))
        watch = world.watch
        turns = max(turns, watch.turn)
        assert world.call.outcome is not None
        ends.add(world.call.outcome.disposition)
        phases = [Phase.WAITING]
        for _, _, answer in watch.log:
            commands.update(type(command) for command in answer)
            shown = [Phase(x.state.phase) for x in answer if isinstance(x, c.Publish)]
            phases += [phase for phase in shown if phase is not phases[-1]]
        moves.update(pairwise(phases))
    assert set(c.Command.__args__) == set(commands)
    assert min(commands.values()) > 5, commands
    assert turns > 10
    assert {(a, b) for a, targets in MOVES.items() for b in targets} <= moves
    assert ends == set(Disposition)
