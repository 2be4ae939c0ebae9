"""Exact replay of journals written by the driver."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec
import pytest

from tests.runtime.fakes import FACTS, FakeEars, FakeMind, Stage
from voice_server.call import Policy
from voice_server.call import events as e
from voice_server.call.history import CallerSaid, ToolUsed
from voice_server.runtime.journal import MAGIC, Header, Journal, JournalWriter
from voice_server.runtime.replay import booked_order, replay

POLICY = Policy(greeting="Hello.")
RECORD = 12  # the tag of `Record`


def recorded(folder: Path, virtual, *, media: bool = True, finish: bool = True) -> Path:
    """The journal of a call that books an order."""
    path = folder / "call.journal"

    async def scene() -> None:
        log = JournalWriter(path, Header(FACTS, POLICY, media))
        mind = FakeMind(
            ["One moment. ", ("r1", "book_order", "{}")],
            ["Booked."],
            ["Bye.", ("r2", "end_call", "{}")],
        )
        ears = FakeEars("My tap leaks.", "That's all.")
        stage = Stage(POLICY, log=log, ears=ears, mind=mind)
        stage.start()
        await stage.hush(1_000)
        await stage.speak()
        await stage.hush(4_000)
        await stage.speak()
        await stage.hush(800 if not finish else 4_000)
        if finish:
            await stage.life
        else:
            await stage.hang_up()

    virtual(scene())
    return path


@pytest.mark.parametrize("media", [True, False])
def test_a_journal_replays_to_the_same_commands(tmp_path, virtual, media):
    told = replay(recorded(tmp_path, virtual, media=media))
    assert told.difference is None
    assert told.call_id == "call-1"
    assert (told.outcome, told.reason, told.phase) == ("booked", "agent_goodbye", "ended")
    assert told.order_id == "ORD-1"
    assert told.said("caller") == "My tap leaks. That's all."
    assert told.said("agent") == "Hello. One moment. Booked. Bye."
    assert told.turns == 3
    assert len(told.latencies_ms) == 3
    assert not told.cut_short
    assert told.events > 300


@pytest.mark.parametrize("media", [True, False])
def test_an_interjection_replays_too(tmp_path, virtual, media):
    path = tmp_path / "call.journal"

    async def scene() -> None:
        log = JournalWriter(path, Header(FACTS, POLICY, media))
        mind = FakeMind([3, "We can fix that."])
        stage = Stage(POLICY, log=log, ears=FakeEars("My tap leaks."), mind=mind)
        stage.start()
        await stage.hush(1_000)
        await stage.speak()
        await stage.hush(6_000)
        await stage.hang_up()

    virtual(scene())
    told = replay(path)
    assert told.difference is None
    assert POLICY.fillers[0] in told.said("agent")


def test_replaying_twice_tells_the_same(tmp_path, virtual):
    path = recorded(tmp_path, virtual)
    assert replay(path) == replay(path)


def test_another_policy_shows_where_the_call_would_have_gone_elsewhere(tmp_path, virtual):
    path = recorded(tmp_path, virtual)
    changed = msgspec.structs.replace(POLICY, greeting="Good morning.")
    difference = replay(path, policy=changed).difference
    assert difference is not None
    assert (difference.entry, difference.event, difference.at_ms) == (1, "MediaStarted", 0)
    assert (4, 1, "Hello.") in [tuple(one) for one in difference.recorded]
    assert (4, 1, "Good morning.") in difference.replayed


def test_the_first_difference_is_the_one_reported(tmp_path, virtual):
    path = recorded(tmp_path, virtual)
    patient = msgspec.structs.replace(POLICY, end_of_turn_ms=1_400)
    difference = replay(path, policy=patient).difference
    assert difference is not None
    assert difference.event == "TimePassed"
    assert difference.at_ms > 1_500
    before = list(Journal(path))[: difference.entry - 1]
    assert not any(isinstance(entry.event, e.TimePassed) for entry in before)


def test_a_command_changed_in_the_journal_is_found(tmp_path, virtual):
    path = recorded(tmp_path, virtual)
    journal = Journal(path)
    values: list[object] = [journal.header]
    place = 0
    for number, entry in enumerate(journal, 1):
        is_line = any(command[0] == RECORD for command in entry.commands)
        if is_line and not place:
            place, entry = number, msgspec.structs.replace(entry, commands=())
        values.append(entry)
    frames = b"".join(
        len(packed).to_bytes(4, "big") + packed for packed in map(msgspec.msgpack.encode, values)
    )
    other = tmp_path / "other.journal"
    other.write_bytes(MAGIC + zlib.compress(frames))
    difference = replay(other).difference
    assert difference is not None
    assert (difference.entry, difference.recorded) == (place, ())
    assert RECORD in [command[0] for command in difference.replayed]


def test_a_call_in_progress_is_told_without_an_outcome(tmp_path, virtual):
    path = recorded(tmp_path, virtual)
    cut = tmp_path / "cut.journal"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    told = replay(cut)
    assert told.cut_short
    assert told.difference is None
    assert (told.outcome, told.reason) == ("", "")
    assert told.phase != "ended"


def test_a_caller_who_hangs_up_replays_too(tmp_path, virtual):
    told = replay(recorded(tmp_path, virtual, finish=False))
    assert told.difference is None
    assert told.reason == "caller_hung_up"


def used(name: str, result: str | None) -> ToolUsed:
    return ToolUsed("r", name, "{}", result)


@pytest.mark.parametrize(
    ("history", "order"),
    [
        ((), ""),
        ((CallerSaid("Hi."),), ""),
        ((used("book_order", '{"order_id": "A"}'),), "A"),
        ((used("book_order", '{"order_id": "A"}'), used("book_order", '{"order_id": "B"}')), "B"),
        ((used("book_order", '{"order_id": "A"}'), used("book_order", None)), "A"),
        ((used("book_order", '{"order_id": "A"}'), used("book_order", "nonsense")), "A"),
        ((used("take_message", '{"order_id": "A"}'),), ""),
        ((used("book_order", '{"order_id": 5}'),), ""),
        ((used("book_order", "[]"),), ""),
    ],
)
def test_the_newest_booking_that_worked_counts(history, order):
    assert booked_order(history) == order


def test_a_booking_refused_after_one_that_worked_does_not_hide_it():
    history = (
        used("book_order", '{"order_id": "A"}'),
        used("book_order", '{"error": {"problem": "no"}}'),
    )
    assert booked_order(history) == "A"
