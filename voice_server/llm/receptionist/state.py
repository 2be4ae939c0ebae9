"""What the receptionist knows: one small memo that travels in the history as a note."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Slot(StrEnum):
    """The details of an order that a caller gives."""

    PROBLEM = "problem"
    NAME = "name"
    ADDRESS = "address"
    PHONE = "phone"
    TIME = "time"


class Ask(StrEnum):
    """What the agent's last words asked for: how a bare answer is to be read."""

    OPENING = "opening"  # "how can I help you?"
    PROBLEM = "problem"
    SERVICE = "service"  # which trade a problem belongs to
    NAME = "name"
    SPELLING = "spelling"
    ADDRESS = "address"
    CALLER_NUMBER = "caller_number"  # shall we use the number you call from?
    PHONE = "phone"
    PHONE_REST = "phone_rest"  # the digits still missing
    PHONE_CHECK = "phone_check"
    TIME = "time"
    HOUR = "hour"  # the day is known
    CONFIRM = "confirm"
    CHANGE = "change"  # what should be changed?
    MORE = "more"  # anything else?
    REFERENCE = "reference"  # number of an order to look up
    CANCEL_CHECK = "cancel_check"
    MESSAGE = "message"
    CLOSED = "closed"  # goodbye was said
    WAITING = "waiting"  # a tool is running


YES_NO = frozenset({Ask.CALLER_NUMBER, Ask.PHONE_CHECK, Ask.CONFIRM, Ask.CANCEL_CHECK})
PHONE_ASKS = frozenset({Ask.PHONE, Ask.PHONE_REST, Ask.PHONE_CHECK, Ask.CALLER_NUMBER})


class Memo(msgspec.Struct, omit_defaults=True):
    """The whole state of the conversation. Every field has a default, so notes stay short.

    `asked` and `missed` count by Ask value: how often asked, how often the answer made no
    sense. `unread` are the slots that a read-back must still say before a yes counts.
    """

    ask: Ask = Ask.OPENING
    service: str = ""
    problem: str = ""
    name: str = ""
    address: str = ""
    phone: str = ""  # E.164, or the bare digits when no country fits
    phone_part: str = ""  # digits of a number that is not complete yet
    when: str = ""  # the caller's words
    when_at: int = 0  # ms since the Unix epoch, 0 = not exact
    day_known: bool = False  # a day without an hour
    part_only: bool = False  # a part of the day: when_at is where that part begins
    urgent: bool = False
    soon: bool = False  # "as soon as possible"
    wants_price: bool = False
    phone_checked: bool = False
    safety: str = ""  # the emergency whose safety line was said
    skipped: tuple[Slot, ...] = ()
    unread: tuple[Slot, ...] = ()
    asked: dict[str, int] = msgspec.field(default_factory=dict)
    missed: dict[str, int] = msgspec.field(default_factory=dict)
    strikes: int = 0  # replies in a row without any progress
    off_topic: int = 0  # requests that no booking line serves
    order_id: str = ""  # a look-up's or booking's reference, to cancel it by
    announced: str = ""  # request id of the tool whose result was told
    intent: str = ""  # "look_up" or "cancel" while an existing order is the matter

    def value(self, slot: Slot) -> str:
        """What is known of a slot, "" if nothing."""
        if slot is Slot.TIME:
            return self.when
        return str(getattr(self, slot.value))

    def settled(self, slot: Slot) -> bool:
        """Nothing more is to be asked about this slot."""
        return bool(self.value(slot)) or slot in self.skipped

    def count_asked(self, ask: Ask) -> int:
        """How often this was asked so far."""
        return self.asked.get(ask.value, 0)

    def count_missed(self, ask: Ask) -> int:
        """How many answers to this made no sense so far."""
        return self.missed.get(ask.value, 0)

    def miss(self, ask: Ask) -> None:
        """Count an answer that made no sense."""
        self.missed[ask.value] = self.count_missed(ask) + 1


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Memo)


def write_note(memo: Memo) -> str:
    """The memo as the note of a turn."""
    return _ENCODER.encode(memo).decode()


def read_note(note: str) -> Memo | None:
    """The memo in a note; None when the note is empty or somebody else's."""
    if not note.startswith("{"):
        return None
    try:
        return _DECODER.decode(note)
    except msgspec.MsgspecError:
        return None
