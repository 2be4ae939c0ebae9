"""Decides what to say: one answer of the caller in, one reply out."""

from __future__ import annotations

from collections.abc import Callable

from voice_server.llm.receptionist import existing, phrases, readback
from voice_server.llm.receptionist.intents import Intent
from voice_server.llm.receptionist.numbers import spoken_phone
from voice_server.llm.receptionist.slots import SLOT_OF, give_up, go_on, put, spoken_of, take
from voice_server.llm.receptionist.state import Ask, Memo, Slot
from voice_server.llm.receptionist.turn import (
    MAX_MISSED,
    MAX_STRIKES,
    Reply,
    Setting,
    anything_else,
    ask,
    book,
    close,
    hand_over,
    is_exhausted,
    note_asked,
    was_heard,
)
from voice_server.llm.receptionist.understanding import Heard

_MAX_OFF_TOPIC = 3
_START = frozenset({Ask.OPENING, Ask.PROBLEM, Ask.SERVICE})
_AFTER = frozenset({Ask.MORE, Ask.REFERENCE, Ask.CANCEL_CHECK, Ask.MESSAGE})
_QUESTION_OF_SLOT = {
    Slot.PROBLEM: Ask.PROBLEM,
    Slot.NAME: Ask.NAME,
    Slot.ADDRESS: Ask.ADDRESS,
    Slot.PHONE: Ask.PHONE,
    Slot.TIME: Ask.TIME,
}


class Exchange:
    """One answer and the reply to it, with the memo that both change."""

    __slots__ = ("changed", "heard", "memo", "reply", "setting")

    def __init__(self, memo: Memo, heard: Heard, setting: Setting) -> None:
        self.memo = memo
        self.heard = heard
        self.setting = setting
        self.reply = Reply()
        self.changed: tuple[Slot, ...] = ()

    def means(self, *intents: Intent) -> bool:
        """The caller meant one of these."""
        return any(intent in self.heard.intents for intent in intents)

    def ask(self, question: Ask) -> bool:
        """Put a question, or give it up when it was put too often."""
        if not is_exhausted(self.memo, question):
            put(self.memo, self.reply, self.setting, question)
        elif question in _AFTER:
            anything_else(self.memo, self.reply, self.setting)
        elif question in {Ask.CONFIRM, Ask.CHANGE, Ask.OPENING}:
            hand_over(self.memo, self.reply, self.setting, "not_understood")
        else:
            self.skip(question)
        return True

    def skip(self, question: Ask) -> None:
        """Go on without an answer to this question."""
        if give_up(self.memo, self.reply, self.setting, question):
            go_on(self.memo, self.reply, self.setting)

    def go_on(self) -> bool:
        """Ask what comes next."""
        go_on(self.memo, self.reply, self.setting)
        return True


def decide(memo: Memo, heard: Heard, setting: Setting) -> Reply:
    """Fold one answer into the memo (which is changed) and make the reply to it."""
    if memo.ask is Ask.CLOSED:
        memo.ask = Ask.MORE if memo.order_id else Ask.OPENING
    if memo.ask is Ask.CONFIRM:
        readback.forget_heard(memo, setting)
    talk = Exchange(memo, heard, setting)
    if not heard.is_off_topic and memo.ask not in _AFTER:
        talk.changed = take(memo, heard)
    _warn(talk)
    for step in _STEPS:
        if step(talk):
            break
    return talk.reply


def absorb(memo: Memo, heard: Heard) -> None:
    """Keep the details of an answer that was never replied to."""
    if not heard.is_off_topic and memo.ask not in _AFTER:
        take(memo, heard)


def _warn(talk: Exchange) -> None:
    """Say the safety line of an emergency, once."""
    kind = talk.heard.emergency
    if kind and not talk.memo.safety:
        talk.memo.safety = kind
        talk.reply.say(phrases.SAFETY[kind])


def _nothing_heard(talk: Exchange) -> bool:
    if not talk.heard.is_empty:
        return False
    return _missed(talk)


def _foreign(talk: Exchange) -> bool:
    if not talk.means(Intent.FOREIGN) or talk.changed:
        return False
    if talk.memo.count_missed(Ask.OPENING):
        hand_over(talk.memo, talk.reply, talk.setting, "foreign_language")
    else:
        talk.memo.miss(Ask.OPENING)
        talk.reply.say(phrases.ENGLISH_ONLY)
    return True


def _wants_human(talk: Exchange) -> bool:
    if not talk.means(Intent.HUMAN) or talk.means(Intent.ROBOT) or Slot.NAME in talk.changed:
        return False
    hand_over(talk.memo, talk.reply, talk.setting, "caller_asked")
    return True


def _wrong_number(talk: Exchange) -> bool:
    early = talk.memo.ask in _START | {Ask.NAME} and not talk.changed
    if not talk.means(Intent.WRONG_NUMBER) or not early:
        return False
    close(talk.memo, talk.reply, talk.setting, phrases.WRONG_NUMBER)
    return True


def _off_topic(talk: Exchange) -> bool:
    if not talk.heard.is_off_topic:
        return False
    memo = talk.memo
    memo.off_topic += 1
    if memo.off_topic >= _MAX_OFF_TOPIC:
        close(memo, talk.reply, talk.setting, phrases.OFF_TOPIC_CLOSING)
        return True
    talk.reply.say(talk.setting.voice.pick(phrases.OFF_TOPIC))
    return _again(talk)


def _existing_order(talk: Exchange) -> bool:
    if talk.memo.ask in {Ask.REFERENCE, Ask.CANCEL_CHECK}:
        return False
    return existing.turn_to_order(talk.memo, talk.heard, talk.reply, talk.setting)


def _leaves(talk: Exchange) -> bool:
    """Goodbye, or the wish to book nothing after all."""
    if talk.memo.ask in _AFTER or (talk.memo.ask is Ask.CONFIRM and talk.means(Intent.YES)):
        return False
    dropping = talk.means(Intent.NEVER_MIND, Intent.CANCEL) and not talk.changed
    parting = talk.means(Intent.GOODBYE) and not talk.changed
    if not dropping and not parting:
        return False
    if talk.memo.problem or talk.memo.service:
        talk.reply.say(phrases.NOTHING_BOOKED)
    close(talk.memo, talk.reply, talk.setting)
    return True


def _answer_opening(talk: Exchange) -> bool:
    if talk.changed or talk.memo.service:
        if talk.memo.service and Slot.PROBLEM not in talk.changed and not talk.memo.problem:
            talk.reply.say("Of course.")
        return _acknowledge(talk)
    if talk.means(Intent.MESSAGE):
        return talk.ask(Ask.MESSAGE)
    if talk.means(Intent.GREETING) and not talk.means(Intent.QUESTION):
        talk.reply.say("Hello!")
        return talk.ask(Ask.OPENING)
    return False


def _answer_service(talk: Exchange) -> bool:
    if talk.memo.service or talk.changed:
        return _acknowledge(talk)
    return False


def _answer_caller_number(talk: Exchange) -> bool:
    if talk.heard.phone is not None:
        return _acknowledge(talk)
    if talk.means(Intent.NO, Intent.OTHER_NUMBER, Intent.KEYPAD):
        return talk.ask(Ask.PHONE)
    if talk.means(Intent.YES, Intent.THIS_NUMBER) and not talk.setting.doubtful:
        _use_caller_number(talk)
        return _acknowledge(talk)
    return False


def _use_caller_number(talk: Exchange) -> None:
    talk.memo.phone, talk.memo.phone_checked = talk.setting.caller_number, True
    talk.memo.phone_part = ""


def _answer_phone(talk: Exchange) -> bool:
    if talk.heard.phone is not None:
        return _acknowledge(talk)
    if talk.means(Intent.THIS_NUMBER) and talk.setting.caller_number:
        _use_caller_number(talk)
        return _acknowledge(talk)
    if talk.means(Intent.KEYPAD) and not is_exhausted(talk.memo, Ask.PHONE):
        talk.reply.say(phrases.KEYPAD)
        note_asked(talk.memo, Ask.PHONE)
        return True
    return False


def _answer_phone_check(talk: Exchange) -> bool:
    memo = talk.memo
    if talk.heard.phone is not None and not talk.heard.phone.missing:
        memo.phone_checked = Slot.PHONE not in talk.changed and not talk.means(Intent.NO)
        return _acknowledge(talk)
    yes, no = talk.means(Intent.YES), talk.means(Intent.NO, Intent.CHANGE, Intent.WRONG_NUMBER)
    if yes and not no and not talk.setting.doubtful:
        memo.phone_checked = was_heard(spoken_phone(memo.phone), talk.setting)
        return _acknowledge(talk) if memo.phone_checked else talk.ask(Ask.PHONE_CHECK)
    if no or talk.means(Intent.KEYPAD):
        memo.phone = ""
        memo.miss(Ask.PHONE)
        talk.reply.say("Sorry about that.")
        return talk.ask(Ask.PHONE)
    return bool(talk.changed) and _acknowledge(talk)


def _answer_confirm(talk: Exchange) -> bool:
    memo = talk.memo
    if talk.changed:
        readback.read_again(memo, talk.changed)
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


def _answer_change(talk: Exchange) -> bool:
    if talk.changed:
        return _answer_confirm(talk)
    if spoken_of(talk.heard.text) is not None:
        return _change(talk)
    if talk.means(Intent.NO, Intent.YES):
        return talk.ask(Ask.CONFIRM)
    return False


def _answer_more(talk: Exchange) -> bool:
    if not talk.memo.order_id and talk.heard.service:
        talk.memo.ask = Ask.OPENING
        talk.changed = take(talk.memo, talk.heard)
        return _answer_opening(talk)
    return existing.answer_more(talk.memo, talk.heard, talk.reply, talk.setting)


def _answer(talk: Exchange) -> bool:
    """Read the answer in the light of the question."""
    match talk.memo.ask:
        case Ask.OPENING | Ask.PROBLEM:
            return _answer_opening(talk)
        case Ask.SERVICE:
            return _answer_service(talk)
        case Ask.CALLER_NUMBER:
            return _answer_caller_number(talk)
        case Ask.PHONE | Ask.PHONE_REST:
            return _answer_phone(talk)
        case Ask.PHONE_CHECK:
            return _answer_phone_check(talk)
        case Ask.CONFIRM:
            return _answer_confirm(talk)
        case Ask.CHANGE:
            return _answer_change(talk)
        case Ask.MORE:
            return _answer_more(talk)
        case Ask.REFERENCE:
            return existing.answer_reference(talk.memo, talk.heard, talk.reply, talk.setting)
        case Ask.CANCEL_CHECK:
            return existing.answer_cancel_check(talk.memo, talk.heard, talk.reply, talk.setting)
        case Ask.MESSAGE:
            return existing.answer_message(talk.memo, talk.heard, talk.reply, talk.setting)
        case _:
            return bool(talk.changed) and _acknowledge(talk)


def _skips(talk: Exchange) -> bool:
    if not talk.means(Intent.SKIP) or talk.memo.ask not in SLOT_OF:
        return False
    slot = SLOT_OF[talk.memo.ask]
    needed = slot is Slot.PHONE and not talk.setting.caller_number
    if needed and not talk.memo.count_missed(Ask.PHONE):
        talk.memo.miss(Ask.PHONE)
        talk.reply.say(phrases.NEED_CONTACT)
        return talk.ask(Ask.PHONE)
    talk.skip(talk.memo.ask)
    return True


def _acknowledge(talk: Exchange) -> bool:
    """Something was understood: say so, answer questions beside it, go on."""
    talk.memo.strikes = 0
    aside = _aside(talk)
    talk.reply.say(aside or ("" if talk.reply.lines else talk.setting.voice.thanks()))
    return talk.go_on()


def _aside(talk: Exchange) -> str:
    """An honest line for a question that the booking does not need."""
    if talk.means(Intent.PRICE):
        talk.memo.wants_price = True
        return phrases.NO_PRICE
    if talk.means(Intent.ROBOT):
        return talk.setting.voice.robot()
    if talk.means(Intent.WHO):
        return talk.setting.voice.introduction()
    if talk.means(Intent.HOURS):
        return phrases.NO_HOURS
    return ""


def _small_talk(talk: Exchange) -> bool:
    """Questions and politeness that give no answer: a line, then the same question again."""
    aside = _aside(talk)
    if not aside and talk.means(Intent.WAIT):
        talk.reply.say(talk.setting.voice.pick(phrases.WAIT))
        talk.memo.strikes += 1
        return talk.memo.strikes < MAX_STRIKES or _missed(talk)
    if not aside and not talk.means(Intent.REPEAT, Intent.GREETING):
        if not talk.means(Intent.QUESTION):
            return False
        aside = talk.setting.voice.pick(phrases.NO_ANSWER)
    talk.reply.say(aside)
    return _again(talk)


def _missed(talk: Exchange) -> bool:
    """Nothing was understood: say so and ask in other words; in the end a human takes over."""
    memo = talk.memo
    memo.strikes += 1
    memo.miss(memo.ask)
    if memo.strikes >= MAX_STRIKES:
        hand_over(memo, talk.reply, talk.setting, "not_understood")
        return True
    talk.reply.say(talk.setting.voice.not_understood())
    return _again(talk)


def _again(talk: Exchange) -> bool:
    """Put the present question again; a name that fails twice is spelled out."""
    memo = talk.memo
    if memo.ask is Ask.NAME and memo.count_missed(Ask.NAME) >= 2:
        return talk.ask(Ask.SPELLING)
    if memo.ask is Ask.WAITING:
        return talk.go_on() if not memo.order_id else _more(talk)
    if memo.ask is Ask.SERVICE and memo.count_missed(Ask.SERVICE) >= MAX_MISSED - 1:
        memo.service = "other"
        return talk.go_on()
    if memo.ask is Ask.CONFIRM and not memo.unread and not is_exhausted(memo, Ask.CONFIRM):
        talk.reply.say("Shall I book it, yes or no?")
        note_asked(memo, Ask.CONFIRM)
        return True
    if memo.ask is Ask.OPENING and (memo.problem or memo.service):
        return talk.go_on()
    return talk.ask(memo.ask)


def _more(talk: Exchange) -> bool:
    ask(talk.memo, talk.reply, talk.setting, Ask.MORE)
    return True


_STEPS: tuple[Callable[[Exchange], bool], ...] = (
    _nothing_heard,
    _foreign,
    _wants_human,
    _wrong_number,
    _off_topic,
    _existing_order,
    _leaves,
    _answer,
    _skips,
    _small_talk,
    _missed,
)
