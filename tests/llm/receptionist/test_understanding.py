from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.llm.conversation import Conversation
from voice_server.llm.receptionist.intents import Intent
from voice_server.llm.receptionist.numbers import Phone
from voice_server.llm.receptionist.state import Ask, Memo
from voice_server.llm.receptionist.understanding import MAX_TEXT, Context, Heard, understand

HERE = Context(datetime(2026, 11, 22, 12, tzinfo=ZoneInfo("America/New_York")), "US")
SHARED = Path(__file__).parents[4] / "shared" / "data" / "calls"


def heard(text: str, ask: Ask = Ask.OPENING, keys: str = "", **memo: str) -> Heard:
    return understand(text, keys, Memo(ask=ask, **memo), HERE)


@pytest.mark.parametrize(
    ("text", "service", "problem"),
    [
        ("Hi, my kitchen sink is leaking.", "plumbing", "my kitchen sink is leaking"),
        ("hello I need a plumber", "plumbing", ""),
        ("I need a plumber because my toilet is blocked", "plumbing", None),
        ("I'd like to book a cleaning", "cleaning", ""),
        ("My name is Mary and my sink leaks", "plumbing", "my sink leaks"),
        ("the problem is that my fridge stopped working", "repairs", "my fridge stopped working"),
        ("my sink leaks, I'm at 12 Oak Street", "plumbing", "my sink leaks"),
        ("my sink leaks, please come tomorrow at ten", "plumbing", "my sink leaks"),
        ("There is a raccoon under my porch", "", "There is a raccoon under my porch"),
        ("hello", "", ""),
        ("can I talk to a human", "", ""),
        ("how much is it", "", ""),
        ("Yes, good morning.", "", ""),
        ("your car's extended warranty and your credit card need repair", "", ""),
    ],
)
def test_the_first_words_hold_trade_and_problem(
    text: str, service: str, problem: str | None
) -> None:
    found = heard(text)
    assert found.service == service
    if problem is not None:
        assert found.problem == problem


def test_one_sentence_may_hold_everything() -> None:
    found = heard(
        "Hi this is Mary Jones, my sink is leaking, I'm at 12 Oak Street, "
        "my phone is 212 555 0147 and tomorrow at ten would be fine"
    )
    assert (found.name, found.address) == ("Mary Jones", "12 Oak Street")
    assert found.phone == Phone("+12125550147")
    assert found.when is not None
    assert found.when.words == "tomorrow at ten"
    assert found.service == "plumbing"


@pytest.mark.parametrize(
    ("ask", "text", "field", "value"),
    [
        (Ask.NAME, "mary jones", "name", "Mary Jones"),
        (Ask.NAME, "this is mary jones", "name", "Mary Jones"),
        (Ask.NAME, "M A R Y", "name", "Mary"),
        (Ask.NAME, "Its Mary.", "name", ""),
        (Ask.SPELLING, "J-O-N-E-S", "name", "Jones"),
        (Ask.SPELLING, "jay oh en ee ess", "name", "Jones"),
        (Ask.ADDRESS, "twelve oak street", "address", "12 Oak Street"),
        (Ask.ADDRESS, "Its twelve oak street.", "address", "12 Oak Street"),
        (Ask.ADDRESS, "I have no idea", "address", ""),
        (Ask.OPENING, "mary jones", "name", ""),
        (Ask.TIME, "mary jones", "address", ""),
        (Ask.SERVICE, "something else", "service", "other"),
        (Ask.SERVICE, "electrical", "service", "electrical"),
        (Ask.PROBLEM, "just a general cleaning", "service", "cleaning"),
    ],
)
def test_a_bare_answer_is_read_by_the_question(ask: Ask, text: str, field: str, value: str) -> None:
    assert getattr(heard(text, ask), field) == value


@pytest.mark.parametrize(
    ("ask", "text", "phone"),
    [
        (Ask.PHONE, "two one two five five five oh one four seven", Phone("+12125550147")),
        (Ask.PHONE, "555 0147", Phone("5550147", missing=True)),
        (Ask.PHONE, "I don't have one", None),
        (Ask.NAME, "two one two five five five oh one four seven", Phone("+12125550147")),
        (Ask.NAME, "five five five", None),
        (Ask.REFERENCE, "two one two five five five oh one four seven", None),
    ],
)
def test_a_phone_number_is_read_by_the_question(ask: Ask, text: str, phone: Phone | None) -> None:
    assert heard(text, ask).phone == phone


def test_digits_join_the_part_that_is_known() -> None:
    found = heard("oh one four seven", Ask.PHONE_REST, phone_part="212555")
    assert found.phone == Phone("+12125550147")


def test_a_phone_number_is_no_time() -> None:
    assert heard("two one two five five five one two three four", Ask.PHONE).when is None


@pytest.mark.parametrize(
    ("ask", "keys", "intent"),
    [
        (Ask.CONFIRM, "1", Intent.YES),
        (Ask.CONFIRM, "2#", Intent.NO),
        (Ask.NAME, "0", Intent.HUMAN),
        (Ask.CALLER_NUMBER, "1", Intent.YES),
    ],
)
def test_single_keys_answer_as_in_phone_menus(ask: Ask, keys: str, intent: Intent) -> None:
    assert heard("", ask, keys).intents == {intent}


@pytest.mark.parametrize("keys", ["3", "11", "", "#", "*"])
def test_other_keys_mean_nothing(keys: str) -> None:
    assert heard("", Ask.CONFIRM, keys).intents == frozenset()


def test_keys_give_a_phone_number_at_any_time() -> None:
    assert heard("", Ask.NAME, "2125550147#").phone == Phone("+12125550147")


@pytest.mark.parametrize(
    ("text", "keys", "empty"),
    [("", "", True), ("...", "", True), ("", "1", False), ("hm", "", False), ("?!", "", True)],
)
def test_nothing_is_nothing(text: str, keys: str, empty: bool) -> None:
    assert heard(text, keys=keys).is_empty is empty


def test_danger_names_the_trade() -> None:
    assert heard("I smell gas").service == "plumbing"


@pytest.mark.parametrize(
    "text",
    ["oh " * 400, "a " * 600, "- " * 600, "12 " * 400, "one two three and " * 80,
     "my name is " * 90,
     "at five at " * 90, "x" * 5000, " " * 5000, "double " * 150],
)  # fmt: skip
@pytest.mark.parametrize("ask", [Ask.OPENING, Ask.ADDRESS, Ask.PHONE, Ask.TIME])
def test_a_recogniser_stuck_in_a_loop_costs_little(text: str, ask: Ask) -> None:
    began = time.process_time()
    found = heard(text, ask)
    assert time.process_time() - began < 5  # milliseconds, where backtracking takes minutes
    assert len(found.text) <= MAX_TEXT


@given(st.text(max_size=120), st.sampled_from(Ask), st.text("0123456789*#A", max_size=14))
def test_any_answer_to_any_question_is_read(text: str, ask: Ask, keys: str) -> None:
    found = heard(text, ask, keys)
    assert found == heard(text, ask, keys)


def _recorded(label: str) -> list[Path]:
    if not SHARED.is_dir():
        return []
    return [
        path
        for path in sorted(SHARED.glob("*.json"))
        if path.stem != "manifest" and msgspec.json.decode(path.read_bytes())["label"] == label
    ]


@pytest.mark.shared
@pytest.mark.parametrize("path", _recorded("scam"), ids=lambda path: path.stem)
def test_real_scam_calls_get_no_booking(path: Path) -> None:
    call = Conversation()
    for turn in msgspec.json.decode(path.read_bytes())["turns"]:
        if call.ended:
            break
        if turn["speaker"] == "caller":
            call.say(turn["text"])
    assert not [used for used in call.tools if used.name == "book_order"]
    assert not call.memo.phone or call.memo.phone != "+12125554217"
