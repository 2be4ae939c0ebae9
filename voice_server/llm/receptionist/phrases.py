"""Everything the receptionist says. Short sentences: speech starts with the first one.

Wording varies with `Voice.turn`, a count taken from the history, so the same call always
sounds the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from voice_server.llm.receptionist.state import Ask

_TRADES = {
    "plumbing": "a plumbing job",
    "electrical": "an electrical job",
    "cleaning": "a cleaning job",
    "repairs": "a repair",
    "maintenance": "a maintenance job",
    "other": "another kind of job",
}
_VISITS = {
    "plumbing": "plumbing visit",
    "electrical": "electrical visit",
    "cleaning": "cleaning visit",
    "repairs": "repair visit",
    "maintenance": "maintenance visit",
}

# Per question: the first wording, then rephrasings for a second and third try.
QUESTIONS: dict[Ask, tuple[str, ...]] = {
    Ask.OPENING: ("How can I help you?", "What can we do for you?"),
    Ask.PROBLEM: (
        "What exactly needs to be done?",
        "Please tell me in a few words what the problem is.",
        "What should our technician look at?",
    ),
    Ask.SERVICE: (
        "Is that plumbing, electrical, cleaning, a repair, or something else?",
        "Which one fits best: plumbing, electrical, cleaning, repair, or something else?",
    ),
    Ask.NAME: ("What's your name, please?", "Could you tell me your first and last name?"),
    Ask.SPELLING: (
        "Could you spell your name for me, letter by letter?",
        "Please spell your last name once more, slowly.",
    ),
    Ask.ADDRESS: (
        "What's the address?",
        "Could you give me the house number and the street?",
        "Please say the address slowly, starting with the house number.",
    ),
    Ask.PHONE: (
        "What's the best phone number to reach you?",
        "Please type your phone number on the keypad, then press the pound key.",
        "Could you type the number on your phone's keys, and press pound at the end?",
    ),
    Ask.TIME: (
        "When would you like us to come?",
        "Which day and time would suit you?",
        "Please tell me a day and a time, for example tomorrow morning.",
    ),
    Ask.HOUR: ("What time of day would suit you?", "In the morning, or in the afternoon?"),
    Ask.CHANGE: (
        "What should I change: the name, the address, the phone number, the time, or the problem?",
        "Which part is wrong?",
    ),
    Ask.MORE: ("Is there anything else I can do for you?", "Anything else?"),
    Ask.REFERENCE: (
        "What's the order number, please?",
        "Could you read me the order number, or type its digits on the keypad?",
    ),
    Ask.CANCEL_CHECK: ("Shall I cancel it?", "Do you want me to cancel it, yes or no?"),
    Ask.MESSAGE: (
        "What may I pass on?",
        "Please tell me your message, and I'll pass it on.",
    ),
}

SAFETY = {
    "gas": "If you smell gas, please leave the building now, don't touch any switches, "
    "and call the emergency services from outside.",
    "fire": "If there is fire or smoke, please get everybody out "
    "and call the emergency services first.",
    "sparks": "Please keep away from it, and switch off the power at the main breaker "
    "if you can do that safely.",
    "flood": "Please turn off the main water valve, if you can reach it safely.",
    "injury": "If somebody is hurt, please hang up and call the emergency services right away.",
}

NOT_UNDERSTOOD = (
    "Sorry, I didn't catch that.",
    "I'm sorry, I didn't understand.",
    "Sorry, that wasn't clear to me.",
)
NO_PRICE = "I can't give you a price on the phone, but I'll note that you asked."
NO_HOURS = "I don't have the opening hours here."
NO_ANSWER = (
    "I'm afraid I can't answer that. I can book a visit for you.",
    "That's something I don't know, I'm sorry.",
)
OFF_TOPIC = (
    "This is a booking line for service visits. I can't help with accounts, payments or offers.",
    "I'm sorry, I can't help with that. I only book service visits.",
)
OFF_TOPIC_CLOSING = "I can only book service visits, so I'll end the call here. Goodbye."
WRONG_NUMBER = "No problem, that happens. Goodbye."
ENGLISH_ONLY = "I'm sorry, I only speak English. Could you say that in English, please?"
WAIT = ("Of course, take your time.", "Sure, I'll wait.")
TRANSFER = {
    "caller_asked": "Of course. I'll put you through to a colleague.",
    "not_understood": "I'm sorry, I have trouble understanding. "
    "I'll put you through to a colleague.",
    "foreign_language": "I'm sorry, I only speak English. I'll put you through to a colleague.",
    "booking_failed": "I'm sorry, I can't save your order right now. "
    "I'll put you through to a colleague.",
}
NOBODY_FREE = "I can't put you through from here, but I can take a message."
BOOKING = "One moment, I'm booking that for you."
ONE_MOMENT = "One moment, please."
STILL_WORKING = "Just a moment, I'm still working on it."
TRY_AGAIN = "That didn't work the first time. Let me try once more."
NOTHING_BOOKED = "All right. I haven't booked anything."
KEYPAD = "Please type it on the keypad, and press the pound key at the end."
SKIPPED = {
    Ask.NAME: "That's fine, we'll go without a name.",
    Ask.ADDRESS: "That's fine, we'll ask for the address when we call you back.",
    Ask.PHONE: "That's fine, we'll go without a phone number.",
    Ask.TIME: "That's fine, we'll agree on a time when we call you back.",
    Ask.PROBLEM: "That's fine, the technician will have a look.",
}
CALLER_NUMBER_NOTED = "That's fine, I'll note the number you're calling from."
NEED_CONTACT = "We do need a way to reach you."
MESSAGE_FAILED = "I'm sorry, I couldn't save your message. Please call again later."
ORDER_UNKNOWN = "I'm sorry, I can't find an order with those details."
CANCEL_FAILED = "I'm sorry, I couldn't cancel it from here. Please call the office."
CANCELLED = "It's cancelled."
KEPT = "All right, it stays as it is."


class Voice(msgspec.Struct, frozen=True):
    """How this agent speaks in this turn."""

    turn: int
    casual: bool
    agent_name: str
    tenant_name: str

    def pick(self, options: Sequence[str], offset: int = 0) -> str:
        """One of the wordings, the next one with every turn."""
        return options[(self.turn + offset) % len(options)]

    def thanks(self) -> str:
        """A short acknowledgement."""
        if self.casual:
            return self.pick(("Great, thanks.", "Got it.", "Perfect."))
        return self.pick(("Thank you.", "All right.", "Very good."))

    def question(self, ask: Ask, times_asked: int) -> str:
        """The question, reworded each time it has to be asked again."""
        wordings = QUESTIONS[ask]
        return wordings[min(times_asked, len(wordings) - 1)]

    def not_understood(self) -> str:
        """We heard something and made nothing of it."""
        return self.pick(NOT_UNDERSTOOD)

    def introduction(self) -> str:
        """Who is speaking."""
        name = f"{self.agent_name}, the" if self.agent_name else "the"
        firm = f" of {self.tenant_name}" if self.tenant_name else ""
        return f"This is {name} automated assistant{firm}."

    def robot(self) -> str:
        """Honest about being a machine."""
        firm = f" of {self.tenant_name}" if self.tenant_name else ""
        return f"I'm the automated assistant{firm}."

    def goodbye(self) -> str:
        """The last words."""
        if self.casual:
            return self.pick(("Thanks for calling. Bye!", "Thanks, take care. Bye!"))
        return self.pick(
            ("Thank you for calling. Goodbye.", "Thank you. Have a good day. Goodbye.")
        )


def trade(service: str) -> str:
    """A service type in words: "a plumbing job"."""
    return _TRADES.get(service, _TRADES["other"])


def visit(service: str) -> str:
    """What an order is called: "plumbing visit"."""
    return _VISITS.get(service, "visit")


_SECOND_PERSON = {
    "i": "you", "me": "you", "my": "your", "mine": "yours", "i'm": "you're", "i've": "you've",
    "i'd": "you'd", "i'll": "you'll", "we": "you", "us": "you", "our": "your", "we're": "you're",
    "we've": "you've", "we'd": "you'd", "am": "are", "myself": "yourself", "you": "we",
    "your": "our",
}  # fmt: skip


def as_you(words: str) -> str:
    """The caller's words turned to the caller: "my sink is leaking" → "your sink is leaking"."""

    def turn(match: re.Match[str]) -> str:
        return _SECOND_PERSON.get(match.group().lower(), match.group())

    text = re.sub(r"[A-Za-z']+", turn, words.replace("’", "'")).strip(" .,!?")
    return text[:1].lower() + text[1:] if text[:2].istitle() else text


def sentence(words: str) -> str:
    """Words as a sentence of their own."""
    words = words.strip(" ,")
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "?", "!")) else ".")
