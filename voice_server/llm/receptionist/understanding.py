"""From the caller's words to what they mean, read in the light of what was asked."""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from voice_server.llm.receptionist import addresses, names, numbers, services, times
from voice_server.llm.receptionist.intents import Intent, count_off_topic, find_intents
from voice_server.llm.receptionist.lexicon import CHATTER, REQUEST_WORDS
from voice_server.llm.receptionist.numbers import Phone
from voice_server.llm.receptionist.state import PHONE_ASKS, Ask, Memo
from voice_server.llm.receptionist.times import When

MAX_TEXT = 1_000  # characters of one answer that are looked at; speech of about a minute
_MAX_PROBLEM = 300
_PUNCTUATION_LOOP = re.compile(r"([^\w\s])(?:\s*\1)+")
_LOOP = re.compile(r"\b(\w+)(?:\W+\1\b){9,}")  # ten times; no phone number repeats a digit so
_CLAUSE = re.compile(
    r"[.!?;]+\s+|,\s+|\s+(?:and|but|so)\s+(?=(?:i|my|it|this|we|our|can|could)\b)", re.I
)
_OPENER = re.compile(
    r"^\W*(?:(?:hi|hello|hey|yes|yeah|yep|oh|uh|um|well|so|okay|ok|"
    r"good (?:morning|afternoon|evening)|"
    r"there(?=\s*(?:[,.!]|$))|please|actually|look|listen|and|no|"
    r"i(?:'m| am)? (?:was )?(?:just )?calling (?:because|about|since|as|to say)(?: that)?|"
    r"i called (?:because|about)|the (?:problem|thing|issue) is(?: that)?|it'?s (?:that|about)|"
    r"basically|you see|you know)\b[\s,.!]*)+",
    re.IGNORECASE,
)
# Words that mean one of these tell of no job, unless a trade is named beside them.
_NO_JOB = frozenset(
    {
        Intent.WHO, Intent.ROBOT, Intent.HOURS, Intent.PRICE, Intent.HUMAN, Intent.LOOK_UP,
        Intent.CANCEL, Intent.WRONG_NUMBER, Intent.REPEAT, Intent.WAIT, Intent.MESSAGE,
        Intent.FOREIGN, Intent.OFF_TOPIC, Intent.NEVER_MIND, Intent.GOODBYE, Intent.SKIP,
    }
)  # fmt: skip
_COMPLAINT = re.compile(
    r"\b(?:leak\w*|broke\w*|block\w*|clog\w*|doesn'?t|won'?t|not|no|stopped|problem|issue|stuck|"
    r"crack\w*|burst|need\w*|want\w*|drip\w*|smell\w*|noise|flicker\w*|dirty|run\w*|overflow\w*|"
    r"install\w*|replac\w*|clean\w*|fix\w*|repair\w*|spark\w*|dead|out|cold|hot)\b",
    re.IGNORECASE,
)
_GIVEN = re.compile(
    r"\b(?:my name|name is|this is [A-Z]|i'?m at|i live|address|phone|number|call me|"
    r"reach me|tomorrow|o'?clock)\b"
)


class Context(msgspec.Struct, frozen=True):
    """What the words are read against: the start of the call and the country of the line."""

    now: datetime
    region: str


class Heard(msgspec.Struct, frozen=True):
    """One answer, understood. Empty fields were not spoken of."""

    text: str
    keys: str
    intents: frozenset[Intent]
    service: str = ""
    problem: str = ""
    name: str = ""
    address: str = ""
    phone: Phone | None = None
    when: When | None = None
    emergency: str = ""
    urgent: bool = False
    is_off_topic: bool = False  # money, accounts and offers, and no trade beside them

    @property
    def is_empty(self) -> bool:
        """Neither words nor keys."""
        return not self.keys and not any(c.isalnum() for c in self.text)

    def means(self, intent: Intent) -> bool:
        """The words carry this intent."""
        return intent in self.intents


def understand(text: str, keys: str, memo: Memo, context: Context) -> Heard:
    """Read an answer to what `memo.ask` asked for."""
    text = _squeezed(text)
    intents = find_intents(text)
    address, span = _address(text, memo)
    rest = f"{text[: span[0]]} , {text[span[1] :]}" if address else text
    phone = _phone(rest, keys, memo, context)
    when = None if memo.ask in PHONE_ASKS and phone else _when(rest, memo, context)
    name = _name(rest, memo) if not phone or phone.missing else names.introduced_name(rest)
    off_topic = count_off_topic(text)
    service = "" if off_topic > 1 else services.find_service(text)
    emergency = services.find_emergency(text)
    service = service or services.EMERGENCY_SERVICE.get(emergency, "")
    if memo.ask is Ask.SERVICE and not service and services.names_other(text):
        service = "other"
    return Heard(
        text=text,
        keys=numbers.keyed_digits(keys) if keys else "",
        intents=_keyed_intents(keys, memo) | intents,
        service=service,
        problem=_problem(rest, service, memo, intents, name),
        name=name,
        address=address,
        phone=phone,
        when=when,
        emergency=emergency,
        urgent=services.is_urgent(text),
        is_off_topic=bool(off_topic) and not service,
    )


def _squeezed(text: str) -> str:
    """The text without the stutter of a recogniser stuck in a loop, at most `MAX_TEXT` long."""
    text = " ".join(text[:MAX_TEXT].split())
    return _LOOP.sub(r"\1", _PUNCTUATION_LOOP.sub(r"\1", text))


def _keyed_intents(keys: str, memo: Memo) -> frozenset[Intent]:
    """Single keys as phone menus use them: 1 yes, 2 no, 0 a human."""
    digit = numbers.keyed_digits(keys)
    if digit == "0":
        return frozenset({Intent.HUMAN})
    if memo.ask in {Ask.CONFIRM, Ask.PHONE_CHECK, Ask.CALLER_NUMBER, Ask.CANCEL_CHECK}:
        meaning = {"1": Intent.YES, "2": Intent.NO}.get(digit)
        return frozenset({meaning}) if meaning else frozenset()
    return frozenset()


def _address(text: str, memo: Memo) -> tuple[str, tuple[int, int]]:
    found, span = addresses.find_address(text)
    if found:
        return found, span
    if memo.ask is Ask.ADDRESS:
        bare = addresses.bare_address(text)
        return bare, (0, len(text)) if bare else (0, 0)
    return "", (0, 0)


def _phone(text: str, keys: str, memo: Memo, context: Context) -> Phone | None:
    before = memo.phone_part if memo.ask is Ask.PHONE_REST else ""
    digits = numbers.keyed_digits(keys)
    if memo.ask is Ask.REFERENCE:
        return None
    if len(digits) >= (1 if before else 7):
        return numbers.find_phone(digits, context.region, expected=True, before=before)
    expected = memo.ask in PHONE_ASKS
    return numbers.find_phone(text, context.region, expected=expected, before=before)


def _when(text: str, memo: Memo, context: Context) -> When | None:
    asked = memo.ask in {Ask.TIME, Ask.HOUR} or (
        memo.ask is Ask.CHANGE and bool(re.search(r"\b(?:time|day|date)\b", text, re.I))
    )
    day = memo.when if memo.ask in {Ask.HOUR, Ask.CONFIRM, Ask.CHANGE} else ""
    return times.find_time(text, context.now, asked=asked, day=day)


def _name(text: str, memo: Memo) -> str:
    if memo.ask is Ask.SPELLING:
        return (
            names.spelled_name(text)
            or names.introduced_name(text, asked=True)
            or names.bare_name(text)
        )
    introduced = names.introduced_name(text, asked=memo.ask is Ask.NAME)
    if memo.ask is not Ask.NAME:
        return introduced
    if names.spells(text):
        return names.spelled_name(text) or introduced
    return introduced or names.bare_name(text)


def _problem(text: str, service: str, memo: Memo, intents: frozenset[Intent], name: str) -> str:
    """The words that tell what is wrong, "" when the text tells nothing of it."""
    asked = memo.ask in {Ask.OPENING, Ask.PROBLEM}
    if not service and (not asked or intents & _NO_JOB):
        return ""
    clauses = [_OPENER.sub("", clause).strip(" ,.?!") for clause in _CLAUSE.split(text)]
    if service:
        clauses = _about_the_job(clauses)
    else:
        clauses = [
            clause for clause in clauses if not ((name and name in clause) or _GIVEN.search(clause))
        ]
    words = ", ".join(clause for clause in clauses if clause)[:_MAX_PROBLEM]
    return words if _tells_enough(words, service, memo) else ""


def _tells_enough(words: str, service: str, memo: Memo) -> bool:
    """ "I need a plumber" tells the trade but not the trouble; small talk tells nothing."""
    said = numbers.words_of(words)
    telling = [word for word in said if word not in REQUEST_WORDS | CHATTER]
    if memo.ask is Ask.PROBLEM and (service or memo.service):
        return bool(telling) or (bool(service) and bool(said))
    if service:
        return bool(telling)
    return len(telling) >= 2 and (bool(_COMPLAINT.search(words)) or len(said) >= 4)


def _about_the_job(clauses: list[str]) -> list[str]:
    """Clauses that name the trade or a complaint and give no other detail."""
    return [
        clause
        for clause in clauses
        if (services.find_service(clause) or _COMPLAINT.search(clause))
        and not (_GIVEN.search(clause) and not services.find_service(clause))
    ]
