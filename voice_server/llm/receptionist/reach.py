"""How to reach the caller: the number they call from, one they say, one they type."""

from __future__ import annotations

from voice_server.llm.receptionist import phrases
from voice_server.llm.receptionist.exchange import Exchange
from voice_server.llm.receptionist.intents import Intent
from voice_server.llm.receptionist.numbers import spoken_phone
from voice_server.llm.receptionist.state import Ask, Slot
from voice_server.llm.receptionist.turn import is_exhausted, note_asked, was_heard


def answer_caller_number(talk: Exchange) -> bool:
    """The answer to "shall we call you on this number?"."""
    if talk.heard.phone is not None:
        return talk.acknowledge()
    if talk.means(Intent.NO, Intent.OTHER_NUMBER, Intent.KEYPAD):
        return talk.ask(Ask.PHONE)
    if talk.means(Intent.YES, Intent.THIS_NUMBER) and not talk.setting.doubtful:
        _use_caller_number(talk)
        return talk.acknowledge()
    return False


def answer_phone(talk: Exchange) -> bool:
    """The answer to "what's your number?", whole or in part."""
    if talk.heard.phone is not None:
        return talk.acknowledge()
    if talk.means(Intent.THIS_NUMBER) and talk.setting.caller_number:
        _use_caller_number(talk)
        return talk.acknowledge()
    if talk.means(Intent.KEYPAD) and not is_exhausted(talk.memo, Ask.PHONE):
        talk.reply.say(phrases.KEYPAD)
        note_asked(talk.memo, Ask.PHONE)
        return True
    return False


def answer_phone_check(talk: Exchange) -> bool:
    """The answer to a number read back; a yes counts only when all digits were heard."""
    memo = talk.memo
    if talk.heard.phone is not None and not talk.heard.phone.missing:
        memo.phone_checked = Slot.PHONE not in talk.changed and not talk.means(Intent.NO)
        return talk.acknowledge()
    yes, no = talk.means(Intent.YES), talk.means(Intent.NO, Intent.CHANGE, Intent.WRONG_NUMBER)
    if yes and not no and not talk.setting.doubtful:
        memo.phone_checked = was_heard(spoken_phone(memo.phone), talk.setting)
        return talk.acknowledge() if memo.phone_checked else talk.ask(Ask.PHONE_CHECK)
    if no or talk.means(Intent.KEYPAD):
        memo.phone = ""
        memo.miss(Ask.PHONE)
        talk.reply.say("Sorry about that.")
        return talk.ask(Ask.PHONE)
    return bool(talk.changed) and talk.acknowledge()


def _use_caller_number(talk: Exchange) -> None:
    talk.memo.phone, talk.memo.phone_checked = talk.setting.caller_number, True
    talk.memo.phone_part = ""
