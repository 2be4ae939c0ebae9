"""Orders that exist already: what tools returned, look-ups, cancellations, messages."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from voice_server.call.history import ToolUsed
from voice_server.llm.receptionist import phrases
from voice_server.llm.receptionist.intents import Intent
from voice_server.llm.receptionist.numbers import (
    digit_runs,
    find_phone,
    said_reference,
    spelled_reference,
)
from voice_server.llm.receptionist.state import Ask, Memo
from voice_server.llm.receptionist.turn import (
    Reply,
    Setting,
    anything_else,
    ask,
    book,
    close,
    hand_over,
    is_exhausted,
    note_asked,
    request,
    take_message,
    was_heard,
)
from voice_server.llm.receptionist.understanding import Heard
from voice_server.llm.tools import CANCEL_ORDER, LOOK_UP_ORDER, TAKE_MESSAGE

_MAX_MESSAGES = 3
_STATUS = {
    "new": "is waiting for a technician",
    "accepted": "is accepted",
    "on_way": "is on its way",
    "processing": "is being worked on",
    "completed": "is done",
    "cancelled": "is cancelled",
}
_MESSAGE_WORDS = 3  # fewer words make no message


def tell_result(memo: Memo, reply: Reply, setting: Setting, used: ToolUsed) -> None:
    """Put a tool's result into words; a tool that still runs asks for patience."""
    if used.result is None:
        reply.say(phrases.STILL_WORKING)
        memo.ask = Ask.WAITING
        return
    memo.announced = used.request_id
    result = _parse(used.result)
    match used.name:
        case "book_order":
            _tell_booking(memo, reply, setting, result)
        case "look_up_order":
            _tell_order(memo, reply, setting, result)
        case "cancel_order":
            reply.say(phrases.CANCEL_FAILED if "error" in result else phrases.CANCELLED)
            anything_else(memo, reply, setting)
        case "take_message":
            failed = "error" in result
            reply.say(phrases.MESSAGE_FAILED if failed else "I've passed that on.")
            anything_else(memo, reply, setting)
        case _:
            anything_else(memo, reply, setting)


def _parse(result: str) -> dict[str, Any]:
    try:
        parsed = msgspec.json.decode(result)
    except msgspec.MsgspecError:
        return {"error": {}}
    return parsed if isinstance(parsed, dict) else {"error": {}}


def _tell_booking(memo: Memo, reply: Reply, setting: Setting, result: dict[str, Any]) -> None:
    order_id = result.get("order_id")
    if isinstance(order_id, str) and order_id and "error" not in result:
        memo.order_id = order_id
        memo.strikes = 0
        reply.say("You're booked.", _reference(order_id))
        if memo.urgent:
            reply.say("I've marked it as urgent.")
        anything_else(memo, reply, setting)
        return
    book(memo, reply, setting)


def _reference(order_id: str) -> str:
    return f"Your order number is {spelled_reference(order_id)}."


def _tell_order(memo: Memo, reply: Reply, setting: Setting, result: dict[str, Any]) -> None:
    orders = result.get("orders")
    found = orders[0] if isinstance(orders, list) and orders else None
    if not isinstance(found, dict) or not isinstance(found.get("order_id"), str):
        reply.say(phrases.ORDER_UNKNOWN)
        if is_exhausted(memo, Ask.REFERENCE):
            memo.intent = ""
            anything_else(memo, reply, setting)
        else:
            ask(memo, reply, setting, Ask.REFERENCE)
        return
    memo.order_id = found["order_id"]
    what = phrases.visit(str(found.get("service_type", "")))
    reply.say(f"I found it: your {what} {_STATUS.get(str(found.get('status')), 'is booked')}.")
    planned = found.get("scheduled_text")
    if isinstance(planned, str) and planned:
        reply.say(phrases.sentence(f"The time is {phrases.as_you(planned)}"))
    if memo.intent == "cancel" and found.get("status") not in {"cancelled", "completed"}:
        _check_cancel(memo, reply, setting)
    else:
        memo.intent = ""
        anything_else(memo, reply, setting)


def _check_cancel(memo: Memo, reply: Reply, setting: Setting) -> None:
    if is_exhausted(memo, Ask.CANCEL_CHECK):
        hand_over(memo, reply, setting, "not_understood")
    else:
        ask(memo, reply, setting, Ask.CANCEL_CHECK)


def turn_to_order(memo: Memo, heard: Heard, reply: Reply, setting: Setting) -> bool:
    """Handle a wish about an order that exists; False when there is no such wish."""
    cancels = heard.means(Intent.CANCEL)
    if not cancels and not heard.means(Intent.LOOK_UP):
        return False
    if memo.order_id and cancels:
        memo.intent = "cancel"
        _check_cancel(memo, reply, setting)
        return True
    if memo.problem or (cancels and memo.service):
        return False  # it is the order being taken that the caller speaks of
    memo.intent = "cancel" if cancels else "look_up"
    if is_exhausted(memo, Ask.REFERENCE):
        hand_over(memo, reply, setting, "caller_asked")
    elif not reference_given(memo, heard, reply, setting):
        ask(memo, reply, setting, Ask.REFERENCE)
    return True


def reference_given(memo: Memo, heard: Heard, reply: Reply, setting: Setting) -> bool:
    """Look an order up by the number just given; False when none was given."""
    arguments = _reference_in(memo, heard, setting)
    if not arguments:
        return False
    reply.say(phrases.ONE_MOMENT)
    request(memo, reply, setting, LOOK_UP_ORDER, arguments)
    return True


def _reference_in(memo: Memo, heard: Heard, setting: Setting) -> dict[str, str]:
    written = re.search(r"\b[A-Z]{2,5}-[A-Z0-9-]{3,}\b", heard.text, re.IGNORECASE)
    if written:
        return {"order_id": written.group().upper()}
    asked = memo.ask is Ask.REFERENCE
    spelled = said_reference(heard.text) if asked else ""
    if any(letter.isalpha() for letter in spelled):
        return {"order_id": spelled}
    digits = heard.keys or "".join(digit_runs(heard.text, expected=asked))
    if asked and len(digits) >= 3:
        phone = find_phone(digits, setting.region, expected=True)
        if phone and not phone.missing:
            return {"customer_phone": phone.number}
        return {"order_id": digits}
    unknown = heard.means(Intent.SKIP) or heard.means(Intent.NO)
    if asked and unknown and setting.caller_number:
        return {"customer_phone": setting.caller_number}
    return {}


def answer_reference(memo: Memo, heard: Heard, reply: Reply, setting: Setting) -> bool:
    """The answer to "what's the order number?"."""
    if reference_given(memo, heard, reply, setting):
        return True
    if heard.means(Intent.SKIP) or heard.means(Intent.NO):
        reply.say(phrases.ORDER_UNKNOWN)
        memo.intent = ""
        anything_else(memo, reply, setting)
        return True
    return False


def answer_cancel_check(memo: Memo, heard: Heard, reply: Reply, setting: Setting) -> bool:
    """The answer to "shall I cancel it?"."""
    yes = heard.means(Intent.YES) or heard.means(Intent.CANCEL)
    if yes and not heard.means(Intent.NO) and not setting.doubtful:
        reply.say(phrases.ONE_MOMENT)
        request(memo, reply, setting, CANCEL_ORDER, {"order_id": memo.order_id})
        memo.intent = ""
        return True
    if heard.means(Intent.NO):
        memo.intent = ""
        reply.say(phrases.KEPT)
        anything_else(memo, reply, setting)
        return True
    return False


def answer_more(memo: Memo, heard: Heard, reply: Reply, setting: Setting) -> bool:
    """The answer to "anything else?"."""
    if memo.order_id and not was_heard(_reference(memo.order_id), setting):
        reply.say(_reference(memo.order_id))
    leaving = (Intent.NO, Intent.GOODBYE, Intent.NEVER_MIND)
    content = len(heard.text.split()) >= _MESSAGE_WORDS
    if any(heard.means(intent) for intent in leaving) and not heard.means(Intent.CHANGE):
        close(memo, reply, setting)
    elif heard.means(Intent.REPEAT) and memo.order_id:
        reply.say(_reference(memo.order_id))
        anything_else(memo, reply, setting)
    elif heard.means(Intent.MESSAGE) and not is_exhausted(memo, Ask.MESSAGE):
        ask(memo, reply, setting, Ask.MESSAGE)
    elif heard.means(Intent.THANKS) or (heard.means(Intent.YES) and not content):
        reply.say("You're welcome." if heard.means(Intent.THANKS) else "What is it?")
        if heard.means(Intent.THANKS) or is_exhausted(memo, Ask.MORE):
            anything_else(memo, reply, setting)
        else:
            note_asked(memo, Ask.MORE)
    elif memo.order_id and content and _messages_left(memo):
        take_message(memo, reply, setting, heard.text)
    else:
        return False
    return True


def _messages_left(memo: Memo) -> bool:
    sent = memo.asked.get(TAKE_MESSAGE, 0)
    memo.asked[TAKE_MESSAGE] = sent + 1
    return sent < _MAX_MESSAGES


def answer_message(memo: Memo, heard: Heard, reply: Reply, setting: Setting) -> bool:
    """The answer to "what may I pass on?"."""
    words = len(heard.text.split())
    if words >= _MESSAGE_WORDS and not heard.is_off_topic and _messages_left(memo):
        take_message(memo, reply, setting, heard.text)
        return True
    if heard.means(Intent.NO) or heard.means(Intent.NEVER_MIND) or heard.means(Intent.GOODBYE):
        close(memo, reply, setting)
        return True
    return False
