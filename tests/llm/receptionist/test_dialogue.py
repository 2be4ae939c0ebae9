"""Whole conversations, as a caller would have them."""

from __future__ import annotations

import msgspec
import pytest

from tests.llm.conversation import GREETING, Conversation, ending, facts, reply_to, tool, words
from voice_server.call.events import Expectation
from voice_server.call.history import AgentSaid, CallerPressed, CallerSaid, ToolUsed
from voice_server.llm.receptionist.state import Ask

HAPPY = ("Hi, my kitchen sink is leaking.", "Mary Jones.", "12 Oak Street.", "Yes, please.",
         "Tomorrow at ten.")  # fmt: skip


def at_confirmation(**options: str) -> Conversation:
    call = Conversation(**options)
    call.say(*HAPPY)
    assert call.memo.ask is Ask.CONFIRM
    return call


def test_an_order_is_taken_read_back_and_booked() -> None:
    call = at_confirmation()
    assert "your kitchen sink is leaking" in call.last
    assert "Mary Jones" in call.last
    assert "12 Oak Street" in call.last
    assert "tomorrow, Monday, at ten in the morning" in call.last
    call.say("Yes.")
    assert "7 F 3, K 9 Q" in call.last
    assert call.order == {
        "customer_name": "Mary Jones",
        "customer_phone": "+12125554217",
        "service_type": "plumbing",
        "description": "My kitchen sink is leaking.",
        "priority": "medium",
        "customer_address": "12 Oak Street",
        "scheduled_at": "2026-11-23T10:00:00-05:00",
        "scheduled_text": "Tomorrow at ten",
    }
    call.say("No, that's all. Thank you.")
    assert [used.name for used in call.tools] == ["book_order", "end_call"]
    assert msgspec.json.decode(call.tools[-1].arguments) == {"disposition": "answered"}
    assert "oodbye" in call.last


def test_everything_may_come_in_one_sentence() -> None:
    call = Conversation("anonymous")
    call.say(
        "Hi, my kitchen sink is leaking, I'm at 12 Oak Street, this is Mary Jones, "
        "my number is 212 555 0147, can you come tomorrow at ten?"
    )
    assert call.memo.ask is Ask.PHONE_CHECK
    call.say("that's right")
    assert call.memo.ask is Ask.CONFIRM
    call.say("yes")
    assert call.order["customer_phone"] == "+12125550147"
    assert call.order["customer_name"] == "Mary Jones"
    assert call.order["description"] == "My kitchen sink is leaking."


def test_answers_may_come_in_any_order() -> None:
    call = Conversation()
    call.say("This is Mary Jones.", "12 Oak Street", "the toilet is blocked")
    assert call.memo.ask is Ask.CALLER_NUMBER
    assert (call.memo.name, call.memo.address) == ("Mary Jones", "12 Oak Street")
    assert call.memo.service == "plumbing"


def test_a_trade_alone_asks_for_the_problem() -> None:
    call = Conversation()
    assert "What exactly" in call.say("I need an electrician.")
    call.say("the lights in the hall flicker")
    assert (call.memo.service, call.memo.problem) == (
        "electrical",
        "the lights in the hall flicker",
    )


def test_a_problem_of_no_known_trade_is_kept_in_the_callers_words() -> None:
    call = Conversation()
    assert "plumbing, electrical" in call.say("There is a raccoon living under my porch")
    call.say("something else")
    assert call.memo.service == "other"
    assert "raccoon" in call.memo.problem


@pytest.mark.parametrize(
    ("answer", "expects"),
    [
        (HAPPY[:0], Expectation.ANYTHING),
        (HAPPY[:1], Expectation.ANYTHING),
        (HAPPY[:2], Expectation.ADDRESS),
        (HAPPY[:3], Expectation.YES_NO),
        ((*HAPPY[:3], "another number"), Expectation.DIGITS),
        (HAPPY[:4], Expectation.ANYTHING),
        (HAPPY, Expectation.YES_NO),
    ],
)
def test_each_question_tells_what_kind_of_answer_it_expects(
    answer: tuple[str, ...], expects: Expectation
) -> None:
    call = Conversation()
    call.say("hello", *answer)
    assert call.expects is expects


def test_a_failing_name_is_rephrased_then_spelled() -> None:
    call = Conversation()
    call.say("my sink is leaking")
    first = call.last
    again = call.say("mumble mumble mumble mumble mumble")
    assert "first and last name" in again
    assert again != first
    assert "spell" in call.say("the quick brown fox jumped over")
    assert call.expects is Expectation.SPELLING
    call.say("M A R Y new word J O N E S")
    assert call.memo.name == "Mary Jones"
    assert call.memo.ask is Ask.ADDRESS


@pytest.mark.parametrize(
    ("question", "answers", "line"),
    [
        (Ask.NAME, HAPPY[:1], "without a name"),
        (Ask.ADDRESS, HAPPY[:2], "ask for the address"),
        (Ask.TIME, HAPPY[:4], "agree on a time"),
    ],
)
def test_a_detail_may_be_skipped(question: Ask, answers: tuple[str, ...], line: str) -> None:
    call = Conversation()
    call.say(*answers)
    assert call.memo.ask is question
    assert line in call.say("I'd rather not say")
    assert call.memo.ask is not question


def test_without_any_number_the_phone_is_needed_once_more() -> None:
    call = Conversation("anonymous")
    call.say(*HAPPY[:3])
    assert "way to reach you" in call.say("skip")
    call.say("skip that please")
    assert call.memo.ask is Ask.TIME
    call.say("tomorrow at ten", "yes")
    assert call.order["customer_phone"] == "not given"


def test_a_number_is_typed_on_the_keypad() -> None:
    call = Conversation()
    call.say(*HAPPY[:3], "no, another number", "#99*2125550147#")
    assert "2 1 2, 5 5 5, 0 1 4 7" in call.last
    call.say("#1")
    assert call.memo.phone_checked
    assert call.memo.phone == "+12125550147"


def test_the_keypad_is_offered_after_a_wrong_number() -> None:
    call = Conversation("anonymous")
    call.say(*HAPPY[:3], "two one two five five five oh one four eight")
    assert "keypad" in call.say("no that's wrong")
    call.say("#2125550147#", "yes")
    assert call.memo.phone == "+12125550147"


def test_a_number_in_two_breaths_is_put_together() -> None:
    call = Conversation("anonymous")
    call.say(*HAPPY[:3], "two one two five five five")
    assert "2 1 2 5 5 5" in call.last
    call.say("oh one four seven")
    assert "2 1 2, 5 5 5, 0 1 4 7" in call.last


def test_a_corrected_number_is_read_back_again() -> None:
    call = Conversation("anonymous")
    call.say(*HAPPY[:3], "two one two five five five oh one four eight")
    call.say("no, it's two one two five five five oh one four seven")
    assert "0 1 4 7" in call.last
    assert call.memo.ask is Ask.PHONE_CHECK


def test_the_hour_is_asked_for_when_only_the_day_is_known() -> None:
    call = Conversation()
    call.say(*HAPPY[:4], "on Tuesday")
    assert call.memo.ask is Ask.HOUR
    call.say("in the afternoon")
    assert "on Tuesday in the afternoon" in call.last
    call.say("yes")
    assert call.order["scheduled_at"] == "2026-11-24T13:00:00-05:00"


def test_as_soon_as_possible_is_a_high_priority() -> None:
    call = Conversation()
    call.say(*HAPPY[:4], "as soon as possible", "yes")
    assert call.order["priority"] == "high"
    assert "scheduled_at" not in call.order


@pytest.mark.parametrize(
    ("correction", "field", "value"),
    [
        ("no, it's 14 Oak Street", "customer_address", "14 Oak Street"),
        ("no, my name is Mary Johnson", "customer_name", "Mary Johnson"),
        ("yes but make it Tuesday at nine", "scheduled_at", "2026-11-24T09:00:00-05:00"),
        ("make it three in the afternoon", "scheduled_at", "2026-11-23T15:00:00-05:00"),
        ("no, the number is 212 555 0147", "customer_phone", "+12125550147"),
    ],
)
def test_a_correction_is_read_back_alone_before_booking(
    correction: str, field: str, value: str
) -> None:
    call = at_confirmation()
    call.say(correction)
    assert not call.tools
    while call.memo.ask is not Ask.CONFIRM:
        call.say("yes")
    assert "kitchen sink" not in call.last
    call.say("yes")
    assert call.order[field] == value


@pytest.mark.parametrize(
    ("request_", "ask", "answer", "field", "value"),
    [
        ("change the address", Ask.ADDRESS, "14 Elm Road", "customer_address", "14 Elm Road"),
        ("the time is wrong", Ask.TIME, "Tuesday at nine", "scheduled_text", "Tuesday at nine"),
        ("you got my name wrong", Ask.SPELLING, "M A R I E", "customer_name", "Marie"),
    ],
)
def test_a_detail_is_asked_for_anew(
    request_: str, ask: Ask, answer: str, field: str, value: str
) -> None:
    call = at_confirmation()
    call.say(request_)
    assert call.memo.ask is ask
    call.say(answer)
    assert call.memo.ask is Ask.CONFIRM
    call.say("yes")
    assert call.order[field] == value


def test_a_plain_no_asks_what_is_wrong() -> None:
    call = at_confirmation()
    call.say("no")
    assert call.memo.ask is Ask.CHANGE
    call.say("the address", "14 Elm Road", "yes")
    assert call.order["customer_address"] == "14 Elm Road"


@pytest.mark.parametrize("answer", ["yes no", "no, that's correct, no", "hm", "", "what?", "blah"])
def test_nothing_is_booked_without_a_clear_yes(answer: str) -> None:
    call = at_confirmation()
    call.say(answer)
    assert not [used for used in call.tools if used.name == "book_order"]


def test_a_yes_to_a_read_back_cut_short_confirms_only_what_was_heard() -> None:
    call = Conversation()
    call.say(*HAPPY[:4])
    planned = call.take(CallerSaid("Tomorrow at ten."), heard=40)
    assert "tomorrow, Monday" in planned
    again = call.say("yes")
    assert not call.tools
    assert "tomorrow, Monday" in again
    call.say("yes")
    assert call.order["scheduled_text"] == "Tomorrow at ten"


def test_a_read_back_heard_up_to_the_question_can_be_confirmed() -> None:
    call = Conversation()
    call.say(*HAPPY[:4])
    planned = call.take(CallerSaid("Tomorrow at ten."), heard=0)
    call.take(CallerSaid("Tomorrow at ten."), heard=len(planned) - 8)
    call.say("yes")
    assert [used.name for used in call.tools] == ["book_order"]


def test_a_yes_to_are_you_still_there_books_nothing() -> None:
    call = at_confirmation()
    call.history.append(AgentSaid("Are you still there?", False, ""))
    call.say("Yes.")
    assert not call.tools
    assert call.memo.ask is Ask.CONFIRM
    call.say("Yes.")
    assert call.order


def test_a_reply_nobody_heard_is_made_anew_from_all_lines() -> None:
    call = Conversation()
    call.say("my sink is leaking")
    call.take(CallerSaid("Mary"), heard=0)
    call.say("Jones")
    assert call.memo.name == "Mary Jones"


def test_a_booking_whose_announcement_nobody_heard_is_told_not_repeated() -> None:
    call = at_confirmation()
    call.take(CallerSaid("yes"), heard=0)
    assert "7 F 3, K 9 Q" in call.say("hello?")
    assert [used.name for used in call.tools] == ["book_order"]


def test_an_order_number_cut_short_is_said_again() -> None:
    call = at_confirmation()
    call.take(CallerSaid("yes"), heard=20)
    assert "7 F 3, K 9 Q" in call.say("sorry, what was that?")
    assert [used.name for used in call.tools] == ["book_order"]


def test_while_a_tool_runs_the_caller_is_asked_for_patience() -> None:
    call = at_confirmation()
    running = ToolUsed("book_order-1", "book_order", "{}", None)
    history = (*call.history, CallerSaid("yes"), running, CallerSaid("are you there?"))
    events = reply_to(history, call.facts)
    assert "moment" in words(events)
    assert tool(events) is None
    done = ToolUsed("book_order-1", "book_order", "{}", '{"order_id": "ORD-7F3K9Q"}')
    told = (*history[:-2], done, CallerSaid("are you there?"),
            AgentSaid(words(events), False, ending(events).note))  # fmt: skip
    assert "7 F 3, K 9 Q" in words(reply_to(told, call.facts))


def test_a_failing_order_book_is_tried_again_then_a_human_takes_over() -> None:
    call = Conversation(tools=lambda name, arguments: '{"error": {"field": "", "problem": "x"}}')
    call.say(*HAPPY, "yes")
    assert [used.name for used in call.tools] == ["book_order", "book_order", "transfer_call"]
    assert msgspec.json.decode(call.tools[1].arguments)["retry_of"] == "book_order-1"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("I smell gas in my kitchen", "leave the building"),
        ("the basement is flooded", "water valve"),
        ("my outlet is sparking", "main breaker"),
        ("my stove is on fire", "emergency services"),
    ],
)
def test_an_emergency_gets_its_safety_line_once_and_is_urgent(line: str, kind: str) -> None:
    call = Conversation()
    assert kind in call.say(line)
    assert call.memo.ask in {Ask.ADDRESS, Ask.SERVICE, Ask.PROBLEM}
    call.say("12 Oak Street", "yes", "Mary Jones")
    assert all(kind not in said for said in call.said[1:])
    call.say("yes")
    assert call.order["priority"] == "urgent"


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ("What does it cost?", "price"),
        ("What are your opening hours?", "opening hours"),
        ("Who is this?", "Anna, the automated assistant of Miller Home Services"),
        ("Are you a robot?", "automated assistant"),
        ("Do you like the weather?", ""),
        ("Can you repeat that?", ""),
    ],
)
def test_a_question_gets_an_honest_line_and_the_slot_is_asked_again(
    question: str, line: str
) -> None:
    call = Conversation()
    call.say("my sink is leaking")
    assert call.memo.ask is Ask.NAME
    assert line in call.say(question)
    assert call.memo.ask is Ask.NAME


def test_a_question_for_the_price_goes_into_the_order() -> None:
    call = Conversation()
    call.say("how much is it to fix a leaking sink?", *HAPPY[1:], "yes")
    assert "price" in call.order["description"]


def test_waiting_is_free() -> None:
    call = Conversation()
    call.say("my sink is leaking", "hold on a second")
    assert call.memo.ask is Ask.NAME
    assert call.memo.count_missed(Ask.NAME) == 0


@pytest.mark.parametrize("line", ["Can I talk to a real person?", "operator", "#0"])
def test_a_human_is_reached_on_request(line: str) -> None:
    call = Conversation()
    call.say(line)
    assert call.tools[0].name == "transfer_call"
    assert msgspec.json.decode(call.tools[0].arguments) == {"reason": "caller_asked"}
    assert call.last


def test_where_nobody_can_be_reached_a_message_is_taken() -> None:
    call = Conversation(can_transfer=False)
    call.say("Can I talk to a real person?", "Please tell John to call Mary Jones back")
    assert [used.name for used in call.tools] == ["take_message"]
    assert "John" in msgspec.json.decode(call.tools[0].arguments)["message"]
    call.say("no, goodbye")
    assert call.tools[-1].name == "end_call"


def test_too_many_failures_hand_over() -> None:
    call = Conversation()
    call.say("", "", "", "")
    assert call.tools[-1].name == "transfer_call"
    assert msgspec.json.decode(call.tools[-1].arguments) == {"reason": "not_understood"}


def test_a_wrong_number_is_let_go() -> None:
    call = Conversation()
    call.say("Sorry, wrong number.")
    assert [used.name for used in call.tools] == ["end_call"]


@pytest.mark.parametrize("line", ["goodbye", "never mind", "forget it, bye"])
def test_a_caller_who_leaves_in_the_middle_hears_that_nothing_is_booked(line: str) -> None:
    call = Conversation()
    call.say(*HAPPY[:3], line)
    assert "haven't booked" in call.last
    assert [used.name for used in call.tools] == ["end_call"]


def test_another_language_is_told_and_handed_over() -> None:
    call = Conversation()
    assert "only speak English" in call.say("Hola, necesito un plomero por favor")
    call.say("no hablo, una casa con agua por favor")
    assert msgspec.json.decode(call.tools[-1].arguments) == {"reason": "foreign_language"}


def test_a_robocall_gets_nothing_and_is_ended() -> None:
    call = Conversation()
    call.say(
        "We have been trying to reach you about your car's extended warranty.",
        "Press one to speak to a representative about your credit card.",
    )
    call.say("This is your final notice before your bank account is closed.")
    assert [used.name for used in call.tools] in (["end_call"], ["transfer_call"])
    assert not any("Oak" in said or "4 2 1 7" in said for said in call.said)


def test_a_scammer_is_asked_nothing_and_told_nothing() -> None:
    call = Conversation()
    call.say("Hello, this is David from Amazon, your account was charged.")
    assert call.memo.name == ""
    assert call.memo.problem == ""


def test_an_order_is_looked_up_by_its_number() -> None:
    call = Conversation()
    call.say("where is my order?", "seven F three K nine Q")
    assert msgspec.json.decode(call.tools[0].arguments) == {"order_id": "7F3K9Q"}
    assert "plumbing visit is accepted" in call.last
    assert "tomorrow at ten" in call.last


def test_without_its_number_an_order_is_looked_up_by_the_callers() -> None:
    call = Conversation()
    call.say("I want to check my order", "I don't know")
    assert msgspec.json.decode(call.tools[0].arguments) == {"customer_phone": "+12125554217"}


def test_an_order_is_cancelled_after_a_yes() -> None:
    call = Conversation()
    call.say("I want to cancel my appointment", "7 F 3 K 9 Q")
    assert [used.name for used in call.tools] == ["look_up_order"]
    call.say("yes")
    assert call.tools[-1].name == "cancel_order"
    assert "cancelled" in call.last


def test_an_order_stays_after_a_no() -> None:
    call = Conversation()
    call.say("I want to cancel my appointment", "7 F 3 K 9 Q", "no, keep it")
    assert [used.name for used in call.tools] == ["look_up_order"]


def test_an_unknown_order_is_asked_for_again() -> None:
    call = Conversation(tools=lambda name, arguments: '{"orders": []}')
    call.say("where is my order?", "1 2 3 4 5 6")
    assert "can't find" in call.last
    assert call.memo.ask is Ask.REFERENCE


def test_a_wish_after_the_booking_is_passed_on() -> None:
    call = at_confirmation()
    call.say("yes", "please ring the bell twice when you come")
    assert call.tools[-1].name == "take_message"
    assert msgspec.json.decode(call.tools[-1].arguments)["order_id"] == "ORD-7F3K9Q"


def test_a_booking_may_be_cancelled_in_the_same_call() -> None:
    call = at_confirmation()
    call.say("yes", "actually cancel that order", "yes")
    assert call.tools[-1].name == "cancel_order"


def test_the_callers_own_number_is_not_offered_when_it_is_hidden() -> None:
    call = Conversation("anonymous")
    call.say(*HAPPY[:3])
    assert call.memo.ask is Ask.PHONE


@pytest.mark.parametrize(
    "config",
    ["{}", "", "null", "[]", "not json", '{"conversation_style": 5}', '{"timezone": "Mars/Base"}',
     '{"conversation_style": "friendly"}'],
)  # fmt: skip
def test_odd_configurations_are_survived(config: str) -> None:
    call = Conversation(behavior_config=config, llm_config=config, name="", tenant_name="")
    call.say(*HAPPY, "yes", "no thanks")
    assert [used.name for used in call.tools] == ["book_order", "end_call"]


def test_a_friendly_agent_sounds_different() -> None:
    formal, casual = Conversation(), Conversation(behavior_config='{"conversation_style":"casual"}')
    formal.say(*HAPPY)
    casual.say(*HAPPY)
    assert formal.said != casual.said


def test_the_same_words_are_not_used_for_every_thank_you() -> None:
    call = Conversation()
    call.say(*HAPPY)
    assert len({said.split(".")[0] for said in call.said}) > 2


def test_outbound_the_called_number_is_not_the_callers() -> None:
    about = msgspec.structs.replace(facts(), direction="outbound")
    history = (GREETING, CallerSaid("my sink is leaking, I'm Mary Jones, 12 Oak Street"))
    assert "calling from" not in words(reply_to(history, about))


def test_keys_out_of_place_are_harmless() -> None:
    call = Conversation()
    call.take(CallerPressed("5"))
    assert call.memo.ask is Ask.OPENING
