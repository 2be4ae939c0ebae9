"""Decides what to say: one answer of the caller in, one reply out."""

from __future__ import annotations

from collections.abc import Callable

from voice_server.llm.receptionist import confirmation, existing, phrases, reach, readback
from voice_server.llm.receptionist.exchange import AFTERWARDS, Exchange
from voice_server.llm.receptionist.intents import Intent
from voice_server.llm.receptionist.slots import SLOT_OF, given, take
from voice_server.llm.receptionist.state import Ask, Memo, Slot
from voice_server.llm.receptionist.turn import (
    MAX_STRIKES,
    Reply,
    Setting,
    close,
    hand_over,
)
from voice_server.llm.receptionist.understanding import Heard

_MAX_OFF_TOPIC = 3
_START = frozenset({Ask.OPENING, Ask.PROBLEM, Ask.SERVICE})


def decide(memo: Memo, heard: Heard, setting: Setting) -> Reply:
    """Fold one answer into the memo (which is changed) and make the reply to it."""
    if memo.ask is Ask.CLOSED:
        memo.ask = Ask.MORE if memo.order_id else Ask.OPENING
    if memo.ask is Ask.CONFIRM:
        readback.forget_heard(memo, setting)
    talk = Exchange(memo, heard, setting)
    if not heard.is_off_topic and memo.ask not in AFTERWARDS:
        talk.changed = take(memo, heard)
        if memo.count_asked(Ask.CONFIRM):
            readback.read_again(memo, talk.changed)
    _warn(talk)
    for step in _STEPS:
        if step(talk):
            break
    return talk.reply


def absorb(memo: Memo, heard: Heard) -> None:
    """Keep the details of an answer that was never replied to."""
    if not heard.is_off_topic and memo.ask not in AFTERWARDS:
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
    return talk.missed()


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
    return talk.again()


def _existing_order(talk: Exchange) -> bool:
    if talk.memo.ask in {Ask.REFERENCE, Ask.CANCEL_CHECK}:
        return False
    return existing.turn_to_order(talk.memo, talk.heard, talk.reply, talk.setting)


def _leaves(talk: Exchange) -> bool:
    """Goodbye, or the wish to book nothing after all."""
    if talk.memo.ask in AFTERWARDS or (talk.memo.ask is Ask.CONFIRM and talk.means(Intent.YES)):
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
        return talk.acknowledge()
    if talk.means(Intent.MESSAGE):
        return talk.ask(Ask.MESSAGE)
    if talk.means(Intent.GREETING) and not talk.means(Intent.QUESTION):
        talk.reply.say("Hello!")
        return talk.ask(Ask.OPENING)
    return False


def _answer_service(talk: Exchange) -> bool:
    if talk.memo.service or talk.changed:
        return talk.acknowledge()
    return False


def _answer_more(talk: Exchange) -> bool:
    if not talk.memo.order_id and talk.heard.service:
        talk.memo.ask = Ask.OPENING
        talk.changed = take(talk.memo, talk.heard)
        return _answer_opening(talk)
    return existing.answer_more(talk.memo, talk.heard, talk.reply, talk.setting)


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


def _small_talk(talk: Exchange) -> bool:
    """Questions and politeness that give no answer: a line, then the same question again."""
    aside = talk.aside()
    if not aside and talk.means(Intent.WAIT):
        talk.reply.say(talk.setting.voice.pick(phrases.WAIT))
        talk.memo.strikes += 1
        return talk.memo.strikes < MAX_STRIKES or talk.missed()
    if not aside and not talk.means(Intent.REPEAT, Intent.GREETING):
        if not talk.means(Intent.QUESTION):
            return False
        aside = talk.setting.voice.pick(phrases.NO_ANSWER)
    talk.reply.say(aside)
    return talk.again()


def _answer_else(talk: Exchange) -> bool:
    same_again = SLOT_OF.get(talk.memo.ask) in given(talk.heard)
    return bool(talk.changed or same_again) and talk.acknowledge()


def _with_memo(
    answer: Callable[[Memo, Heard, Reply, Setting], bool],
) -> Callable[[Exchange], bool]:
    return lambda talk: answer(talk.memo, talk.heard, talk.reply, talk.setting)


_ANSWERS: dict[Ask, Callable[[Exchange], bool]] = {
    Ask.OPENING: _answer_opening,
    Ask.PROBLEM: _answer_opening,
    Ask.SERVICE: _answer_service,
    Ask.CALLER_NUMBER: reach.answer_caller_number,
    Ask.PHONE: reach.answer_phone,
    Ask.PHONE_REST: reach.answer_phone,
    Ask.PHONE_CHECK: reach.answer_phone_check,
    Ask.CONFIRM: confirmation.answer_confirm,
    Ask.CHANGE: confirmation.answer_change,
    Ask.MORE: _answer_more,
    Ask.REFERENCE: _with_memo(existing.answer_reference),
    Ask.CANCEL_CHECK: _with_memo(existing.answer_cancel_check),
    Ask.MESSAGE: _with_memo(existing.answer_message),
}


def _answer(talk: Exchange) -> bool:
    """Read the answer in the light of the question."""
    return _ANSWERS.get(talk.memo.ask, _answer_else)(talk)


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
    Exchange.missed,
)
