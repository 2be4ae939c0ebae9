from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from voice_server.llm.receptionist import readback
from voice_server.llm.receptionist.phrases import Voice
from voice_server.llm.receptionist.slots import given, go_on, spoken_of, take
from voice_server.llm.receptionist.state import Ask, Memo, Slot
from voice_server.llm.receptionist.turn import MAX_ASKED, Reply, Setting, is_exhausted, was_heard
from voice_server.llm.receptionist.understanding import Context, understand

ZONE = ZoneInfo("America/New_York")
NOW = datetime(2026, 11, 22, 12, tzinfo=ZONE)


def setting(**changes: object) -> Setting:
    values: dict[str, object] = {
        "voice": Voice(0, False, "Anna", "Miller"),
        "now": NOW,
        "zone": ZONE,
        "region": "US",
        "caller_number": "+12125554217",
        "can_transfer": True,
        "heard": "",
        "interrupted": False,
        "doubtful": False,
        "tools": (),
    }
    return Setting(**(values | changes))  # type: ignore[arg-type]


def full(**changes: object) -> Memo:
    values: dict[str, object] = {
        "service": "plumbing",
        "problem": "my sink leaks",
        "name": "Mary Jones",
        "address": "12 Oak Street",
        "phone": "+12125550147",
        "phone_checked": True,
        "when": "any time",
    }
    return Memo(**(values | changes))  # type: ignore[arg-type]


def taken(memo: Memo, text: str) -> tuple[Slot, ...]:
    return take(memo, understand(text, "", memo, Context(NOW, "US")))


@pytest.mark.parametrize(
    ("missing", "question"),
    [
        ({"problem": "", "service": ""}, Ask.PROBLEM),
        ({"service": ""}, Ask.SERVICE),
        ({"name": ""}, Ask.NAME),
        ({"name": "", "missed": {"name": 2}}, Ask.SPELLING),
        ({"address": ""}, Ask.ADDRESS),
        ({"phone": "", "phone_checked": False}, Ask.CALLER_NUMBER),
        ({"phone": "", "asked": {"caller_number": 1}}, Ask.PHONE),
        ({"phone": "", "phone_part": "212"}, Ask.PHONE_REST),
        ({"phone_checked": False}, Ask.PHONE_CHECK),
        ({"when": ""}, Ask.TIME),
        ({"when": "Friday", "day_known": True}, Ask.HOUR),
        ({}, Ask.CONFIRM),
    ],
)
def test_the_first_missing_detail_is_asked_for(missing: dict[str, object], question: Ask) -> None:
    memo, reply = full(**missing), Reply()
    go_on(memo, reply, setting())
    assert memo.ask is question
    assert memo.count_asked(question) == 1
    assert reply.lines


@pytest.mark.parametrize("slot", [Slot.NAME, Slot.ADDRESS, Slot.TIME])
def test_a_question_asked_too_often_is_given_up_in_words(slot: Slot) -> None:
    ask = Ask(slot.value)
    name = "when" if slot is Slot.TIME else slot.value
    memo, reply = full(**{name: "", "asked": {ask.value: MAX_ASKED}}), Reply()
    go_on(memo, reply, setting())
    assert slot in memo.skipped
    assert memo.ask is Ask.CONFIRM
    assert reply.lines[0].startswith("That's fine")


def test_in_danger_the_address_comes_first_and_the_time_never() -> None:
    memo, reply = Memo(service="plumbing", problem="a gas leak", safety="gas"), Reply()
    go_on(memo, reply, setting())
    assert memo.ask is Ask.ADDRESS
    memo, reply = full(when="", safety="gas"), Reply()
    go_on(memo, reply, setting())
    assert memo.ask is Ask.CONFIRM
    assert "as soon as possible" in " ".join(reply.lines)


def test_without_any_way_to_reach_the_caller_a_human_takes_over() -> None:
    memo = full(phone="", address="", skipped=(Slot.PHONE, Slot.ADDRESS))
    reply = Reply()
    go_on(memo, reply, setting(caller_number=""))
    assert reply.tool is not None
    assert reply.tool.name == "transfer_call"


@pytest.mark.parametrize(
    ("ask", "text", "changed"),
    [
        (Ask.CONFIRM, "no, it's 14 Elm Road", (Slot.ADDRESS,)),
        (Ask.CONFIRM, "no, my name is Mary Smith", (Slot.NAME,)),
        (Ask.CONFIRM, "yes", ()),
        (Ask.NAME, "Bob Hill", (Slot.NAME,)),
        (Ask.ADDRESS, "12 Oak Street", ()),
        (Ask.TIME, "tomorrow at ten", (Slot.TIME,)),
        (Ask.ADDRESS, "this is Bob Hill", ()),
    ],
)
def test_only_what_is_new_counts_as_changed(ask: Ask, text: str, changed: tuple[Slot, ...]) -> None:
    assert taken(full(ask=ask), text) == changed


def test_a_value_ends_a_skip() -> None:
    memo = full(ask=Ask.TIME, address="", skipped=(Slot.ADDRESS,))
    assert Slot.ADDRESS in taken(memo, "oh, I'm at 12 Oak Street")
    assert memo.skipped == ()


def test_what_is_repeated_is_given_though_not_changed() -> None:
    memo = full(ask=Ask.ADDRESS)
    heard = understand("12 Oak Street", "", memo, Context(NOW, "US"))
    assert given(heard) == (Slot.ADDRESS,)


@pytest.mark.parametrize(
    ("text", "slot"),
    [
        ("the address", Slot.ADDRESS),
        ("my name", Slot.NAME),
        ("it's spelled wrong", Slot.NAME),
        ("the phone number", Slot.PHONE),
        ("the day", Slot.TIME),
        ("the job", Slot.PROBLEM),
        ("everything", None),
    ],
)
def test_a_caller_names_a_detail(text: str, slot: Slot | None) -> None:
    assert spoken_of(text) is slot


@pytest.mark.parametrize(
    ("memo", "ask", "over"),
    [
        (Memo(), Ask.NAME, False),
        (Memo(asked={"name": MAX_ASKED}), Ask.NAME, True),
        (Memo(missed={"name": 3}), Ask.NAME, True),
        (Memo(asked={"service": 2}), Ask.SERVICE, True),
        (Memo(asked={"confirm": 5}), Ask.CONFIRM, False),
    ],
)
def test_every_question_has_a_limit(memo: Memo, ask: Ask, over: bool) -> None:
    assert is_exhausted(memo, ask) is over


@pytest.mark.parametrize(
    ("detail", "heard", "interrupted", "result"),
    [
        ("The name is Mary.", "", False, True),
        ("The name is Mary.", "Let me repeat that. The name is Mary. The", True, True),
        ("The name is Mary.", "The name is Ma", True, False),
        ("5 5 5, 0 1", "That's 5 5 5 0 1", True, True),
    ],
)
def test_only_words_heard_to_their_end_were_heard(
    detail: str, heard: str, interrupted: bool, result: bool
) -> None:
    assert was_heard(detail, setting(heard=heard, interrupted=interrupted)) is result


def test_the_first_read_back_says_everything_the_next_only_what_is_open() -> None:
    memo, reply = full(), Reply()
    readback.read_back(memo, reply, setting())
    assert "Oak Street" in " ".join(reply.lines)
    assert set(memo.unread) == set(Slot)
    readback.forget_heard(memo, setting())
    assert memo.unread == ()
    readback.read_again(memo, (Slot.NAME,))
    again = Reply()
    readback.read_back(memo, again, setting())
    assert "Mary Jones" in " ".join(again.lines)
    assert "Oak Street" not in " ".join(again.lines)


def test_a_number_checked_before_is_not_read_twice() -> None:
    assert readback.detail(full(), Slot.PHONE, setting()) == ""
    unchecked = readback.detail(full(phone_checked=False), Slot.PHONE, setting())
    assert unchecked == "The phone number is 2 1 2, 5 5 5, 0 1 4 7."
