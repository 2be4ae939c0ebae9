"""What a reply is made of, and the moves every part of the conversation shares."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import Any

import msgspec

from voice_server.call.history import ToolUsed
from voice_server.llm.receptionist import phrases
from voice_server.llm.receptionist.phrases import Voice
from voice_server.llm.receptionist.state import Ask, Memo
from voice_server.llm.tools import BOOK_ORDER, END_CALL, TAKE_MESSAGE, TRANSFER_CALL

MAX_ASKED = 4  # one question is put to a caller at most so often
MAX_MISSED = 3  # answers without sense to one question before it is given up
MAX_STRIKES = 4  # answers without sense in a row before a human takes over
_MAX_BOOKINGS_TRIED = 2
_LIMITS = {Ask.CONFIRM: 6, Ask.MORE: 3, Ask.SERVICE: 2, Ask.CALLER_NUMBER: 2, Ask.HOUR: 2}


class Setting(msgspec.Struct, frozen=True):
    """What does not change while one reply is made."""

    voice: Voice
    now: datetime
    zone: tzinfo
    region: str
    caller_number: str  # E.164, "" when the caller cannot be called back on it
    can_transfer: bool
    heard: str  # what the caller heard of our last words
    interrupted: bool
    doubtful: bool  # another question stands between our last words and the answer
    tools: tuple[ToolUsed, ...]  # asked for so far in the call, oldest first


class ToolCall(msgspec.Struct, frozen=True):
    """A tool to ask for once the words are out."""

    request_id: str
    name: str
    arguments: str


class Reply:
    """The words and the tool of one reply, while it is put together."""

    __slots__ = ("lines", "tool")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tool: ToolCall | None = None

    def say(self, *lines: str) -> None:
        """Add sentences; empty ones are dropped."""
        self.lines.extend(line for line in lines if line)


def limit(ask: Ask) -> int:
    """How often a question may be put to one caller."""
    return _LIMITS.get(ask, MAX_ASKED)


def is_exhausted(memo: Memo, ask: Ask) -> bool:
    """Asking once more would be nagging."""
    return memo.count_asked(ask) >= limit(ask) or memo.count_missed(ask) >= MAX_MISSED


def ask(memo: Memo, reply: Reply, setting: Setting, question: Ask) -> None:
    """Put a question; its wording changes with every time it is asked."""
    reply.say(setting.voice.question(question, memo.count_asked(question)))
    note_asked(memo, question)


def note_asked(memo: Memo, question: Ask) -> None:
    """The words just added ask this."""
    memo.ask = question
    memo.asked[question.value] = memo.count_asked(question) + 1


def request(
    memo: Memo, reply: Reply, setting: Setting, name: str, arguments: dict[str, Any]
) -> None:
    """Ask for a tool and wait for its result; ids count up, so a replay asks for the same."""
    key = f"{name}-{len(setting.tools) + 1}"
    reply.tool = ToolCall(key, name, msgspec.json.encode(arguments).decode())
    memo.ask = Ask.CLOSED if name in {END_CALL, TRANSFER_CALL} else Ask.WAITING


def close(memo: Memo, reply: Reply, setting: Setting, words: str = "") -> None:
    """Say goodbye and end the call."""
    reply.say(words or setting.voice.goodbye())
    request(memo, reply, setting, END_CALL, {"disposition": "answered"})


def hand_over(memo: Memo, reply: Reply, setting: Setting, reason: str) -> None:
    """Put the caller through to a human; where nobody can be reached, take a message."""
    tried = memo.asked.get(TRANSFER_CALL, 0)
    if setting.can_transfer and tried < 2:
        memo.asked[TRANSFER_CALL] = tried + 1
        reply.say(phrases.TRANSFER[reason])
        request(memo, reply, setting, TRANSFER_CALL, {"reason": reason})
    elif is_exhausted(memo, Ask.MESSAGE):
        close(memo, reply, setting)
    else:
        reply.say(phrases.NOBODY_FREE)
        ask(memo, reply, setting, Ask.MESSAGE)


def take_message(memo: Memo, reply: Reply, setting: Setting, text: str) -> None:
    """Leave the caller's words for the people of the office."""
    reply.say(phrases.ONE_MOMENT)
    arguments = {
        "message": text,
        "name": memo.name,
        "phone": memo.phone or setting.caller_number,
        "order_id": memo.order_id,
    }
    request(memo, reply, setting, TAKE_MESSAGE, {k: v for k, v in arguments.items() if v})


def anything_else(memo: Memo, reply: Reply, setting: Setting) -> None:
    """Ask whether there is more to do; a caller who was asked often enough is let go."""
    if is_exhausted(memo, Ask.MORE):
        close(memo, reply, setting)
    else:
        ask(memo, reply, setting, Ask.MORE)


def was_heard(detail: str, setting: Setting) -> bool:
    """The caller heard these words of ours to their end."""
    return not setting.interrupted or _plain(detail) in _plain(setting.heard)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def book(memo: Memo, reply: Reply, setting: Setting) -> None:
    """Ask for the booking of what the caller has confirmed.

    A failed attempt may have got through without our hearing of it, so the second one names
    the first and there is no third.
    """
    tried = [used.request_id for used in setting.tools if used.name == BOOK_ORDER]
    if len(tried) >= _MAX_BOOKINGS_TRIED:
        hand_over(memo, reply, setting, "booking_failed")
        return
    reply.say(phrases.TRY_AGAIN if tried else phrases.BOOKING)
    arguments: dict[str, Any] = {
        "customer_name": memo.name or "not given",
        "customer_phone": memo.phone or setting.caller_number or "not given",
        "service_type": memo.service or "other",
        "description": _description(memo),
        "priority": "urgent" if memo.urgent else "high" if memo.soon else "medium",
    }
    if memo.address:
        arguments["customer_address"] = memo.address
    if memo.when_at:
        moment = datetime.fromtimestamp(memo.when_at / 1000, setting.zone)
        arguments["scheduled_at"] = moment.isoformat()
    if memo.when:
        arguments["scheduled_text"] = memo.when
    if tried:
        arguments["retry_of"] = tried[0]
    request(memo, reply, setting, BOOK_ORDER, arguments)


def _description(memo: Memo) -> str:
    parts = [memo.problem or phrases.trade(memo.service)]
    if memo.wants_price:
        parts.append("asked for the price")
    if memo.phone and not memo.phone_checked:
        parts.append("phone number not confirmed separately")
    return phrases.sentence("; ".join(parts))
