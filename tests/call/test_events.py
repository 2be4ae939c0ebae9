"""Events and commands as values: what is written to a journal comes back the same."""

from __future__ import annotations

import types
import typing
from enum import Enum

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.call import commands as c
from voice_server.call import events as e
from voice_server.call import history as h

EVENTS: tuple[type[msgspec.Struct], ...] = typing.get_args(e.Event)
COMMANDS: tuple[type[msgspec.Struct], ...] = typing.get_args(c.Command)
ENTRIES: tuple[type[msgspec.Struct], ...] = typing.get_args(h.Entry)

# The wire form of journals: a number once given stays with its event.
EVENT_TAGS = {
    "AudioHeard": 1,
    "MediaStarted": 2,
    "VoiceScored": 3,
    "PartialTranscript": 4,
    "FinalTranscript": 5,
    "DigitPressed": 6,
    "MarkPlayed": 7,
    "MediaStopped": 8,
    "ReplyText": 9,
    "ToolRequested": 10,
    "ReplyEnded": 11,
    "ToolReturned": 12,
    "SpeechReady": 13,
    "SpeechEnded": 14,
    "RiskAssessed": 15,
    "Consumed": 16,
    "PartFailed": 17,
    "ServerClosing": 18,
    "TimePassed": 19,
    "ReplyOffered": 20,
    "CallerInterrupted": 21,
    "ConversationOpened": 22,
    "InterjectionReady": 23,
    "TransferBegun": 25,
    "TransferEnded": 26,
}
PLAIN: dict[object, st.SearchStrategy[object]] = {
    int: st.integers(-(2**40), 2**40),
    str: st.text(max_size=20),
    bytes: st.binary(max_size=40),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
}


def values(hint: object) -> st.SearchStrategy[object]:
    """Values of a type, built from its own annotations."""
    if hint in PLAIN:
        return PLAIN[hint]
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return st.lists(values(parts[0]), max_size=3).map(tuple)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(values, parts))
    assert isinstance(hint, type)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    fields = typing.get_type_hints(hint)
    return st.builds(hint, **{name: values(fields[name]) for name in hint.__struct_fields__})


def names(kinds: tuple[type, ...]) -> list[str]:
    return [kind.__name__ for kind in kinds]


@pytest.mark.parametrize("kind", EVENTS, ids=names(EVENTS))
@given(data=st.data())
def test_every_event_comes_back_from_its_wire_form(kind: type, data: st.DataObject):
    event = data.draw(values(kind))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=e.Event) == event


@pytest.mark.parametrize("kind", COMMANDS, ids=names(COMMANDS))
@given(data=st.data())
def test_every_command_comes_back_from_its_wire_form(kind: type, data: st.DataObject):
    command = data.draw(values(kind))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(command), type=c.Command) == command


@given(values(h.Entry))
def test_every_history_entry_comes_back_from_its_wire_form(entry: object):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(entry), type=h.Entry) == entry


@pytest.mark.parametrize(
    "kinds", [EVENTS, COMMANDS, ENTRIES], ids=["events", "commands", "history"]
)
def test_no_two_kinds_share_a_tag(kinds: tuple[type[msgspec.Struct], ...]):
    tags = [kind.__struct_config__.tag for kind in kinds]
    assert all(isinstance(tag, int) for tag in tags)
    assert len(set(tags)) == len(kinds)


def test_events_keep_the_tags_that_journals_know():
    assert {kind.__name__: kind.__struct_config__.tag for kind in EVENTS} == EVENT_TAGS


@pytest.mark.parametrize(
    ("module", "kinds"), [(e, EVENTS), (c, COMMANDS)], ids=["events", "commands"]
)
def test_every_kind_is_in_the_closed_union(module: types.ModuleType, kinds: tuple[type, ...]):
    made_here = {
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and kind.__module__ == module.__name__
    }
    assert made_here == set(kinds)


@pytest.mark.parametrize("kind", EVENTS + COMMANDS + ENTRIES)
def test_values_are_frozen_and_documented(kind: type[msgspec.Struct]):
    assert kind.__struct_config__.frozen
    assert kind.__doc__


@pytest.mark.parametrize(
    "wire",
    [b"", b"\xc1", msgspec.msgpack.encode([99]), msgspec.msgpack.encode([1]), b"\x92\x07\x07"],
    ids=["nothing", "no msgpack", "unknown tag", "missing fields", "wrong type"],
)
def test_what_is_no_event_is_refused(wire: bytes):
    with pytest.raises(msgspec.MsgspecError):
        msgspec.msgpack.decode(wire, type=e.Event)


def test_an_older_journal_without_the_newest_fields_is_still_read():
    wire = msgspec.msgpack.encode([11, 4])
    assert msgspec.msgpack.decode(wire, type=e.Event) == e.ReplyEnded(4)
