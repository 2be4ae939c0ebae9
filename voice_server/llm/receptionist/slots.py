"""Fills the order from what was understood, and knows what to ask next."""

from __future__ import annotations

import re

from voice_server.llm.receptionist import phrases, readback
from voice_server.llm.receptionist.numbers import last_digits, spoken_phone
from voice_server.llm.receptionist.state import Ask, Memo, Slot
from voice_server.llm.receptionist.turn import (
    Reply,
    Setting,
    ask,
    hand_over,
    is_exhausted,
    note_asked,
)
from voice_server.llm.receptionist.understanding import Heard

_USUAL = (Slot.PROBLEM, Slot.NAME, Slot.ADDRESS, Slot.PHONE, Slot.TIME)
_IN_DANGER = (Slot.PROBLEM, Slot.ADDRESS, Slot.PHONE, Slot.NAME)  # the visit is at once anyway
SLOT_OF = {
    Ask.PROBLEM: Slot.PROBLEM,
    Ask.NAME: Slot.NAME,
    Ask.SPELLING: Slot.NAME,
    Ask.ADDRESS: Slot.ADDRESS,
    Ask.PHONE: Slot.PHONE,
    Ask.PHONE_REST: Slot.PHONE,
    Ask.CALLER_NUMBER: Slot.PHONE,
    Ask.TIME: Slot.TIME,
    Ask.HOUR: Slot.TIME,
}
_OPEN_TO_ALL = frozenset({Ask.CONFIRM, Ask.CHANGE})
_SPOKEN_OF = (
    (Slot.NAME, re.compile(r"\b(?:name|spell\w*|spelled)\b", re.I)),
    (Slot.ADDRESS, re.compile(r"\b(?:address|street|house number|location)\b", re.I)),
    (Slot.PHONE, re.compile(r"\b(?:phone|number|telephone|mobile|cell)\b", re.I)),
    (Slot.TIME, re.compile(r"\b(?:time|day|date|hour|appointment|when)\b", re.I)),
    (Slot.PROBLEM, re.compile(r"\b(?:problem|job|issue|description|service|what)\b", re.I)),
)


def take(memo: Memo, heard: Heard) -> tuple[Slot, ...]:
    """Put what was understood into the memo; returns the slots that changed."""
    before = {slot: memo.value(slot) for slot in Slot}
    _take_job(memo, heard)
    _take_name(memo, heard)
    if heard.address and (not memo.address or any(c.isdigit() for c in heard.address)):
        memo.address = heard.address
    _take_phone(memo, heard)
    _take_time(memo, heard)
    memo.urgent = memo.urgent or heard.urgent or bool(heard.emergency)
    changed = tuple(slot for slot in Slot if memo.value(slot) != before[slot])
    memo.skipped = tuple(slot for slot in memo.skipped if slot not in changed)
    return changed


def given(heard: Heard) -> tuple[Slot, ...]:
    """The slots that an answer speaks of, new or not."""
    values = {
        Slot.PROBLEM: heard.problem,
        Slot.NAME: heard.name,
        Slot.ADDRESS: heard.address,
        Slot.PHONE: heard.phone,
        Slot.TIME: heard.when,
    }
    return tuple(slot for slot, value in values.items() if value)


def _take_job(memo: Memo, heard: Heard) -> None:
    asked = memo.ask in {Ask.OPENING, Ask.PROBLEM, Ask.SERVICE}
    if heard.service and (asked or not memo.service):
        memo.service = heard.service
    if memo.ask is Ask.SERVICE:
        return
    if heard.problem and (asked or not memo.problem):
        memo.problem = heard.problem


def _take_name(memo: Memo, heard: Heard) -> None:
    asked = memo.ask in {Ask.NAME, Ask.SPELLING} | _OPEN_TO_ALL
    if heard.name and (asked or not memo.name or re.search(r"\bname\b", heard.text, re.I)):
        memo.name = heard.name


def _take_phone(memo: Memo, heard: Heard) -> None:
    if heard.phone is None:
        return
    if heard.phone.missing:
        memo.phone_part = heard.phone.number
    elif heard.phone.number != memo.phone:
        memo.phone, memo.phone_part, memo.phone_checked = heard.phone.number, "", False


def _take_time(memo: Memo, heard: Heard) -> None:
    asked = memo.ask in {Ask.TIME, Ask.HOUR} | _OPEN_TO_ALL
    when = heard.when
    if when is None or not when.words or not (asked or not memo.when):
        return
    memo.when, memo.when_at = when.words, when.at
    memo.day_known, memo.soon, memo.part_only = when.day_only, when.soon, when.part_only


def spoken_of(text: str) -> Slot | None:
    """The slot that a caller names: "the address", "my number"."""
    for slot, pattern in _SPOKEN_OF:
        if pattern.search(text):
            return slot
    return None


def go_on(memo: Memo, reply: Reply, setting: Setting) -> None:
    """Ask for the next detail, or read everything back when nothing is missing."""
    for slot in _IN_DANGER if memo.safety else _USUAL:
        question = _question(memo, setting, slot)
        if question is None:
            continue
        if is_exhausted(memo, question):
            if not give_up(memo, reply, setting, question):
                return
            continue
        put(memo, reply, setting, question)
        return
    if not memo.phone and not setting.caller_number and not memo.address:
        reply.say(phrases.NEED_CONTACT)
        hand_over(memo, reply, setting, "not_understood")
        return
    readback.read_back(memo, reply, setting)


def _question(memo: Memo, setting: Setting, slot: Slot) -> Ask | None:
    """What is still to be asked about a slot, None if nothing."""
    match slot:
        case Slot.PROBLEM:
            return _job_question(memo)
        case Slot.NAME:
            missing = Ask.SPELLING if memo.count_missed(Ask.NAME) >= 2 else Ask.NAME
            return None if memo.settled(slot) else missing
        case Slot.ADDRESS:
            return None if memo.settled(slot) else Ask.ADDRESS
        case Slot.PHONE:
            return _phone_question(memo, setting)
        case Slot.TIME:
            if memo.when and memo.day_known and not is_exhausted(memo, Ask.HOUR):
                return Ask.HOUR
            return None if memo.settled(slot) else Ask.TIME


def _job_question(memo: Memo) -> Ask | None:
    if not memo.settled(Slot.PROBLEM):
        return Ask.PROBLEM
    if not memo.service and not is_exhausted(memo, Ask.SERVICE):
        return Ask.SERVICE
    memo.service = memo.service or "other"
    return None


def _phone_question(memo: Memo, setting: Setting) -> Ask | None:
    if memo.phone:
        unchecked = not memo.phone_checked and not is_exhausted(memo, Ask.PHONE_CHECK)
        return Ask.PHONE_CHECK if unchecked else None
    if Slot.PHONE in memo.skipped:
        return None
    if memo.phone_part and not is_exhausted(memo, Ask.PHONE_REST):
        return Ask.PHONE_REST
    offered = memo.count_asked(Ask.CALLER_NUMBER) + memo.count_asked(Ask.PHONE)
    return Ask.CALLER_NUMBER if setting.caller_number and not offered else Ask.PHONE


def put(memo: Memo, reply: Reply, setting: Setting, question: Ask) -> None:
    """Ask a question whose wording may hold details of the order."""
    match question:
        case Ask.CALLER_NUMBER:
            ending = last_digits(setting.caller_number)
            reply.say(f"Shall we call you on the number you're calling from, ending in {ending}?")
            note_asked(memo, question)
        case Ask.PHONE_CHECK:
            reply.say(f"That's {spoken_phone(memo.phone)}.", "Is that right?")
            note_asked(memo, question)
        case Ask.PHONE_REST:
            digits = " ".join(memo.phone_part)
            reply.say(f"So far I have {digits}.", "What are the missing digits?")
            note_asked(memo, question)
        case Ask.CONFIRM:
            readback.read_back(memo, reply, setting)
        case _:
            ask(memo, reply, setting, question)


def give_up(memo: Memo, reply: Reply, setting: Setting, question: Ask) -> bool:
    """Go on without an answer; False when that cannot be and a human takes over."""
    slot = SLOT_OF.get(question)
    if slot is None or (slot is Slot.PROBLEM and not memo.service):
        hand_over(memo, reply, setting, "not_understood")
        return False
    if slot not in memo.skipped:
        memo.skipped = (*memo.skipped, slot)
    if slot is Slot.PHONE:
        memo.phone_part = ""
    if slot is Slot.PHONE and setting.caller_number:
        reply.say(phrases.CALLER_NUMBER_NOTED)
    elif not memo.value(slot):
        reply.say(phrases.SKIPPED[Ask(slot.value)])
    return True
