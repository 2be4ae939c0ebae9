"""One answer of the caller and the reply to it: the moves that all questions share."""

from __future__ import annotations

from voice_server.llm.receptionist import phrases
from voice_server.llm.receptionist.intents import Intent
from voice_server.llm.receptionist.slots import give_up, go_on, put
from voice_server.llm.receptionist.state import Ask, Memo, Slot
from voice_server.llm.receptionist.turn import (
    MAX_MISSED,
    MAX_STRIKES,
    Reply,
    Setting,
    anything_else,
    hand_over,
    is_exhausted,
    note_asked,
)
from voice_server.llm.receptionist.understanding import Heard

AFTERWARDS = frozenset({Ask.MORE, Ask.REFERENCE, Ask.CANCEL_CHECK, Ask.MESSAGE})
# Unanswered, these leave the order as it is: the conversation simply goes on.
_OPTIONAL = frozenset(
    {Ask.SERVICE, Ask.HOUR, Ask.CALLER_NUMBER, Ask.PHONE_CHECK, Ask.PHONE_REST, Ask.WAITING}
)


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
        elif question in AFTERWARDS:
            anything_else(self.memo, self.reply, self.setting)
        elif question in {Ask.CONFIRM, Ask.CHANGE, Ask.OPENING}:
            hand_over(self.memo, self.reply, self.setting, "not_understood")
        elif question in _OPTIONAL:
            return self.go_on()
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

    def acknowledge(self) -> bool:
        """Something was understood: say so, answer questions beside it, go on."""
        self.memo.strikes = 0
        aside = self.aside()
        self.reply.say(aside or ("" if self.reply.lines else self._thanks()))
        return self.go_on()

    def _thanks(self) -> str:
        if Slot.NAME in self.changed:
            return f"Thank you, {self.memo.name.split()[0]}."
        return self.setting.voice.thanks()

    def aside(self) -> str:
        """An honest line for a question that the booking does not need."""
        if self.means(Intent.PRICE):
            self.memo.wants_price = True
            return phrases.NO_PRICE
        if self.means(Intent.ROBOT):
            return self.setting.voice.robot()
        if self.means(Intent.WHO):
            return self.setting.voice.introduction()
        if self.means(Intent.HOURS):
            return phrases.NO_HOURS
        return ""

    def again(self) -> bool:
        """Put the present question again; a name that fails twice is spelled out."""
        memo = self.memo
        if memo.ask is Ask.NAME and memo.count_missed(Ask.NAME) >= 2:
            return self.ask(Ask.SPELLING)
        if memo.ask is Ask.WAITING:
            return self.go_on() if not memo.order_id else self.ask(Ask.MORE)
        if memo.ask is Ask.SERVICE and memo.count_missed(Ask.SERVICE) >= MAX_MISSED - 1:
            memo.service = "other"
            return self.go_on()
        if memo.ask is Ask.CONFIRM and not memo.unread and not is_exhausted(memo, Ask.CONFIRM):
            self.reply.say("Shall I book it, yes or no?")
            note_asked(memo, Ask.CONFIRM)
            return True
        if memo.ask is Ask.OPENING and (memo.problem or memo.service):
            return self.go_on()
        return self.ask(memo.ask)

    def missed(self) -> bool:
        """Nothing was understood: say so and ask in other words; in the end a human takes over."""
        memo = self.memo
        memo.strikes += 1
        memo.miss(memo.ask)
        if memo.strikes >= MAX_STRIKES:
            hand_over(memo, self.reply, self.setting, "not_understood")
            return True
        self.reply.say(self.setting.voice.not_understood())
        return self.again()
