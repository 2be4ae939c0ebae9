"""The last word before a booking: yes, no, or something to be changed."""

from __future__ import annotations

from voice_server.llm.receptionist import readback
from voice_server.llm.receptionist.exchange import Exchange
from voice_server.llm.receptionist.intents import Intent
from voice_server.llm.receptionist.slots import spoken_of
from voice_server.llm.receptionist.state import Ask, Slot
from voice_server.llm.receptionist.turn import book

_QUESTION_OF_SLOT = {
    Slot.PROBLEM: Ask.PROBLEM,
    Slot.NAME: Ask.NAME,
    Slot.ADDRESS: Ask.ADDRESS,
    Slot.PHONE: Ask.PHONE,
    Slot.TIME: Ask.TIME,
}


def answer_confirm(talk: Exchange) -> bool:
    """The answer to the read-back: only a yes without any doubt books."""
    memo = talk.memo
    if talk.changed:
        talk.reply.say(talk.setting.voice.thanks())
        return talk.go_on()
    if talk.means(Intent.CHANGE, Intent.NO) and not talk.means(Intent.REPEAT):
        return _change(talk)
    if talk.means(Intent.YES):
        if memo.unread or talk.setting.doubtful:
            talk.reply.say("Just to be sure.")
            return talk.ask(Ask.CONFIRM)
        book(memo, talk.reply, talk.setting)
        return True
    if talk.means(Intent.REPEAT):
        memo.unread = tuple(Slot)
        return talk.ask(Ask.CONFIRM)
    return False


def answer_change(talk: Exchange) -> bool:
    """The answer to "what should I change?"."""
    if talk.changed:
        return answer_confirm(talk)
    if spoken_of(talk.heard.text) is not None:
        return _change(talk)
    if talk.means(Intent.NO, Intent.YES):
        return talk.ask(Ask.CONFIRM)
    return False


def _change(talk: Exchange) -> bool:
    """A detail is wrong: ask for it anew, or ask which one it is."""
    both = talk.means(Intent.YES) and not talk.means(Intent.CHANGE)
    slot = None if both else spoken_of(talk.heard.text)
    if slot is None:
        if both:
            talk.reply.say("Sorry, I'm not sure if that was a yes.")
            talk.memo.miss(Ask.CONFIRM)
            return talk.ask(Ask.CONFIRM)
        return talk.ask(Ask.CHANGE)
    readback.read_again(talk.memo, (slot,))
    if slot is Slot.NAME and talk.memo.name:
        return talk.ask(Ask.SPELLING)
    if slot is Slot.PHONE:
        talk.memo.phone_checked = False
    return talk.ask(_QUESTION_OF_SLOT[slot])
