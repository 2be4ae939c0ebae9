"""What holds for every history, however odd."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.llm.conversation import Conversation, ending, facts, office, reply_to, tool, words
from voice_server.call.events import Consumed, Expectation
from voice_server.call.history import AgentSaid, CallerPressed, CallerSaid, Entry, ToolUsed
from voice_server.llm.receptionist.intents import Intent, find_intents
from voice_server.llm.receptionist.numbers import keyed_digits
from voice_server.llm.receptionist.state import Ask, Memo, read_note, write_note
from voice_server.llm.receptionist.turn import limit

LINES = st.sampled_from(
    [
        "", "yes", "no", "Yes, that's right.", "no that's wrong", "my kitchen sink is leaking",
        "I need an electrician", "Mary Jones", "my name is Peter Brown", "M A R Y", "12 Oak Street",
        "two one two five five five oh one four seven", "five five five", "tomorrow at ten",
        "next Friday", "in the afternoon", "skip", "I don't know", "goodbye", "change the address",
        "no, it's 14 Oak Street", "what does it cost?", "can I talk to a human", "repeat that",
        "hold on", "hola necesito un plomero", "there's a gas leak", "wrong number", "hello",
        "cancel my order", "where is my order", "never mind", "thank you", "what?", "blah blah",
        "press one to claim your prize", "read me your credit card number", "leave a message",
        "make it three o'clock", "the number I'm calling from", "I'll type it", "no yes", "ok bye",
        "yes and change the time to Monday at nine", "7 F 3 K 9 Q", "use another number",
    ]
)  # fmt: skip
SAID = st.one_of(LINES, LINES, st.text(max_size=60)).map(CallerSaid)
KEYS = st.text("0123456789*#", min_size=1, max_size=12).map(CallerPressed)
CALLER = st.one_of(SAID, SAID, SAID, KEYS)
NUMBERS = st.sampled_from(["+12125554217", "anonymous", "", "+44", "+442071838750"])
RESULTS = st.sampled_from(
    [None, "", "{}", "null", "[]", '{"error": {"field": ""}}', '{"order_id": "ORD-7F3K9Q"}',
     '{"order_id": 7}', '{"orders": []}', '{"orders": [1]}', '{"orders": [{"order_id": "A"}]}']
)  # fmt: skip
TOOLS = st.sampled_from(
    ["book_order", "look_up_order", "cancel_order", "take_message", "transfer_call", "weather"]
)
MEMOS = st.one_of(
    st.sampled_from(Ask).map(lambda ask: write_note(Memo(ask=ask))),
    st.sampled_from(Ask).map(
        lambda ask: write_note(
            Memo(ask=ask, service="other", problem="x", name="A", address="1 B",
                 phone="+12125550147", when="soon", order_id="ORD-1")
        )
    ),
    st.sampled_from(["", "{", "{}", "[]", '{"ask": "nonsense"}', '{"asked": {"x": "y"}}']),
)  # fmt: skip
AGENT = st.builds(AgentSaid, st.text(max_size=40), st.booleans(), MEMOS)
TOOL = st.builds(ToolUsed, st.text("abc", max_size=2), TOOLS, st.just("{}"), RESULTS)
QUESTIONS = {ask.value for ask in Ask}
HISTORIES = st.lists(st.one_of(CALLER, CALLER, AGENT, TOOL), max_size=12).map(tuple)


@given(HISTORIES, NUMBERS, st.booleans())
def test_every_history_gets_a_reply_that_ends(
    history: tuple[Entry, ...], caller: str, can_transfer: bool
) -> None:
    events = reply_to(history, facts(caller), can_transfer=can_transfer)
    assert events[0] == Consumed("local.llm.turns", 1)
    assert isinstance(ending(events).expects, Expectation)
    assert read_note(ending(events).note) is not None
    assert words(events) or tool(events)
    assert sum(type(event).__name__ == "ReplyEnded" for event in events) == 1


@given(HISTORIES, NUMBERS)
def test_the_same_history_gets_the_same_reply(history: tuple[Entry, ...], caller: str) -> None:
    assert reply_to(history, facts(caller)) == reply_to(history, facts(caller))


ALREADY_SAID = (
    "my sink is leaking, this is Mary Jones", "12 Oak Street", "use another number",
    "two one two five five five oh one four seven", "yes", "tomorrow at ten", "yes",
)  # fmt: skip


def talk(steps: list[tuple[Entry, int | None]], caller: str, already_said: int) -> Conversation:
    call = Conversation(caller)
    for line in ALREADY_SAID[:already_said]:
        call.say(line)
    for entry, heard in steps:
        before = len(call.history)
        asked_before = dict(call.memo.asked)
        ask = call.memo.ask
        call.take(entry, heard=heard)
        check_booking(call, before, ask)
        check_counts(call, asked_before)
    return call


def check_booking(call: Conversation, before: int, ask: Ask) -> None:
    """A booking follows a read-back and a yes, and the caller's last lines hold no no."""
    new = [e for e in call.history[before:] if isinstance(e, ToolUsed) and e.name == "book_order"]
    if not new or any("retry_of" in used.arguments for used in new):
        return
    assert ask is Ask.CONFIRM
    spoken: list[str] = []
    for entry in reversed(call.history[: call.history.index(new[0])]):
        if isinstance(entry, AgentSaid):
            break
        spoken.append(entry.text if isinstance(entry, CallerSaid) else getattr(entry, "digits", ""))
    intents = find_intents(" ".join(reversed(spoken)))
    keys = "".join(s for s in reversed(spoken) if s and set(s) <= set("0123456789*#"))
    assert Intent.YES in intents or keyed_digits(keys) == "1"
    assert Intent.NO not in intents


def check_counts(call: Conversation, before: dict[str, int]) -> None:
    for name, count in call.memo.asked.items():
        if name in QUESTIONS:
            assert count <= limit(Ask(name)), name
        assert count - before.get(name, 0) <= 2


STEPS = st.lists(
    st.tuples(CALLER, st.one_of(st.none(), st.none(), st.integers(0, 120))), max_size=25
)


@settings(max_examples=150)
@given(STEPS, NUMBERS, st.integers(0, len(ALREADY_SAID)))
def test_no_conversation_books_twice_or_without_a_yes_or_nags(
    steps: list[tuple[Entry, int | None]], caller: str, already_said: int
) -> None:
    call = talk(steps, caller, already_said)
    assert sum(used.name == "book_order" for used in call.tools) <= 1


@settings(max_examples=40)
@given(STEPS)
def test_a_failing_order_book_is_tried_twice_with_one_key(
    steps: list[tuple[Entry, int | None]],
) -> None:
    call = Conversation(tools=lambda name, arguments: '{"error": {"field": ""}}')
    call.say("my sink is leaking, this is Mary Jones", "12 Oak Street", "yes", "tomorrow at ten",
             "yes")  # fmt: skip
    for entry, heard in steps:
        call.take(entry, heard=heard)
    bookings = [used for used in call.tools if used.name == "book_order"]
    assert len(bookings) == 2
    first, second = (msgspec.json.decode(used.arguments) for used in bookings)
    assert second["retry_of"] == bookings[0].request_id
    assert {**first, "retry_of": second["retry_of"]} == second


@settings(max_examples=40)
@given(st.lists(CALLER, min_size=1, max_size=3))
def test_a_turn_nobody_heard_changes_nothing_but_the_lines_read_together(
    lines: list[Entry],
) -> None:
    together = Conversation()
    together.take(*lines)
    apart = Conversation()
    for line in lines[:-1]:
        apart.take(line, heard=0)
        if apart.tools:
            return  # what was set in motion stays so
    apart.take(lines[-1])
    assert apart.last == together.last
    assert apart.memo == together.memo


@settings(max_examples=40)
@given(st.lists(LINES, min_size=40, max_size=60))
def test_every_long_conversation_comes_to_an_end(lines: list[str]) -> None:
    call = Conversation()
    for line in lines:
        call.say(line)
        if call.ended:
            return
    raise AssertionError("forty lines and no end")


def test_the_office_of_these_tests_answers_every_tool() -> None:
    assert all(office(name, "{}") for name in ("book_order", "cancel_order", "take_message"))
