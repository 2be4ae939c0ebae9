"""Reads the order back. Only details really heard can be confirmed by a yes."""

from __future__ import annotations

from voice_server.llm.receptionist import phrases
from voice_server.llm.receptionist.numbers import spoken_phone
from voice_server.llm.receptionist.spoken_times import spoken_time
from voice_server.llm.receptionist.state import Ask, Memo, Slot
from voice_server.llm.receptionist.turn import (
    Reply,
    Setting,
    hand_over,
    is_exhausted,
    note_asked,
    was_heard,
)

_ORDER = (Slot.PROBLEM, Slot.NAME, Slot.ADDRESS, Slot.PHONE, Slot.TIME)
_FULL_INTROS = ("Let me read that back.", "Let me repeat that.")
_QUESTIONS = ("Shall I book it like that?", "Is that right? Then I'll book it.")


def detail(memo: Memo, slot: Slot, setting: Setting) -> str:
    """The sentence that reads one slot back, "" for one that is empty or checked before."""
    match slot:
        case Slot.PROBLEM:
            what = f": {phrases.as_you(memo.problem)}" if memo.problem else ""
            return phrases.sentence(f"{phrases.trade(memo.service)}{what}")
        case Slot.NAME:
            return f"The name is {memo.name}." if memo.name else ""
        case Slot.ADDRESS:
            return f"The address is {memo.address}." if memo.address else ""
        case Slot.PHONE:
            spoken = memo.phone and not memo.phone_checked
            return f"The phone number is {spoken_phone(memo.phone)}." if spoken else ""
        case Slot.TIME:
            return _time_detail(memo, setting)


def _time_detail(memo: Memo, setting: Setting) -> str:
    if memo.when_at:
        when = spoken_time(memo.when_at, setting.zone, setting.now, part_only=memo.part_only)
        return f"You would like a visit {when}."
    if memo.soon or (memo.safety and not memo.when):
        return "You would like a visit as soon as possible."
    return f"The time you asked for is {phrases.as_you(memo.when)}." if memo.when else ""


def read_back(memo: Memo, reply: Reply, setting: Setting) -> None:
    """Say what is still to be confirmed and ask for a yes; the first time that is all of it."""
    if is_exhausted(memo, Ask.CONFIRM):
        hand_over(memo, reply, setting, "not_understood")
        return
    first = not memo.count_asked(Ask.CONFIRM)
    slots = _ORDER if first else memo.unread
    if first:
        reply.say(setting.voice.pick(_FULL_INTROS))
    reply.say(*(detail(memo, slot, setting) for slot in _ORDER if slot in slots))
    reply.say(setting.voice.pick(_QUESTIONS))
    memo.unread = tuple(slot for slot in _ORDER if slot in slots)
    note_asked(memo, Ask.CONFIRM)


def forget_heard(memo: Memo, setting: Setting) -> None:
    """Strike off what the caller heard of the last read-back."""
    memo.unread = tuple(
        slot
        for slot in memo.unread
        if detail(memo, slot, setting) and not was_heard(detail(memo, slot, setting), setting)
    )


def read_again(memo: Memo, changed: tuple[Slot, ...]) -> None:
    """These slots have new values that nobody has confirmed."""
    memo.unread = tuple(slot for slot in _ORDER if slot in {*memo.unread, *changed})
