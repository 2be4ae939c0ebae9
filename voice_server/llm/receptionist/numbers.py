"""Numbers as people say them on the phone: digits, telephone numbers, keys."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
import phonenumbers
from phonenumbers import PhoneNumberFormat, ValidationResult

from voice_server.llm.receptionist.lexicon import DIGIT_FILLERS

UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9,
}  # fmt: skip
TEENS = {
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
    "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60,
    "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
# Heard for a digit only where digits are expected: "for" is a word everywhere else.
_HOMOPHONES = {
    "o": "0", "oh": "0", "owe": "0", "nought": "0", "naught": "0", "nil": "0", "won": "1",
    "to": "2", "too": "2", "tree": "3", "free": "3", "for": "4", "fore": "4", "fife": "5",
    "sicks": "6", "ate": "8", "niner": "9", "nein": "9",
}  # fmt: skip
_REPEATS = {"double": 2, "triple": 3, "treble": 3}
_WORD = re.compile(r"\d+|[a-z']+")
_MIN_PHONE = 7
_MAX_PHONE = 15
_SHORT_RUN = 3
_REFERENCE_MIN = 4  # characters; order numbers have six


class Phone(msgspec.Struct, frozen=True):
    """A telephone number as far as it was understood; `missing` tells that digits lack."""

    number: str  # E.164 when complete
    missing: bool = False


def words_of(text: str) -> list[str]:
    """Lower-case words and digit groups, punctuation dropped."""
    return _WORD.findall(text.lower().replace("’", "'"))


def small_number(words: list[str]) -> tuple[int, int]:
    """Value below 100 that a word list starts with, and how many words it took (0 = none)."""
    if not words:
        return 0, 0
    first = words[0]
    if first.isdigit() and len(first) <= 2:
        return int(first), 1
    if first in TENS:
        unit = UNITS.get(words[1], 0) if len(words) > 1 else 0
        return TENS[first] + unit, 2 if unit else 1
    value = UNITS.get(first, TEENS.get(first))
    return (0, 0) if value is None else (value, 1)


def digit_runs(text: str, *, expected: bool) -> list[str]:
    """Runs of digits in a text, spoken or written.

    `expected` tells that digits were asked for: then "for", "to" and "oh" count as digits
    on their own, else only between other digits.
    """
    words = words_of(text)
    runs: list[str] = []
    current = ""
    at = 0
    while at < len(words):
        digits, took = _digits_at(words, at, inside=bool(current) or expected)
        if took:
            current += digits
            at += took
        elif words[at] in DIGIT_FILLERS and current:
            at += 1
        else:
            if current:
                runs.append(current)
            current = ""
            at += 1
    if current:
        runs.append(current)
    return runs


def _digits_at(words: list[str], at: int, *, inside: bool) -> tuple[str, int]:
    word = words[at]
    if word.isdigit():
        return word, 1
    if word in _REPEATS and at + 1 < len(words):
        digit, took = _digits_at(words, at + 1, inside=True)
        return (digit * _REPEATS[word], 2) if took and len(digit) == 1 else ("", 0)
    if word in _HOMOPHONES and (inside or _starts_number(words, at + 1)):
        return _HOMOPHONES[word], 1
    if word == "hundred" and inside:
        return "00", 1
    if word in TEENS:
        return str(TEENS[word]), 1
    if word in TENS:
        value, took = small_number(words[at:])
        return str(value), took
    if word in UNITS:
        return str(UNITS[word]), 1
    return "", 0


def _starts_number(words: list[str], at: int) -> bool:
    """Two more number words follow, so a homophone before them is a digit."""
    following = words[at : at + 2]
    return len(following) == 2 and all(
        word.isdigit() or word in UNITS or word in _REPEATS for word in following
    )


def find_phone(text: str, region: str, *, expected: bool, before: str = "") -> Phone | None:
    """The telephone number in a text, None if there is none.

    `before` holds digits given earlier; the new ones complete or replace them.
    """
    runs = [run for run in digit_runs(text, expected=expected) if len(run) >= _SHORT_RUN]
    if expected:
        runs = [run for run in digit_runs(text, expected=True)]
        joined = "".join(runs)
        if len(joined) <= _MAX_PHONE:
            runs = [joined] if joined else []
    if "+" in text:
        runs = ["+" + run if f"+{run[:1]}" in text.replace(" ", "") else run for run in runs]
    return _best_phone(runs, region, expected=expected, before=before)


def _best_phone(runs: list[str], region: str, *, expected: bool, before: str) -> Phone | None:
    for run in runs:
        complete = complete_phone(run, region)
        if complete:
            return Phone(complete)
    if before and runs:
        for candidate in (before + runs[-1], runs[-1] + before):
            complete = complete_phone(candidate, region)
            if complete:
                return Phone(complete)
    longest = max(runs, key=len, default="")
    if len(longest) > _MAX_PHONE:
        return None
    if len(longest) >= (_SHORT_RUN if expected else _MIN_PHONE):
        together = before + longest
        return Phone(together if len(together) < _MIN_PHONE + 2 else longest, missing=True)
    return None


def complete_phone(digits: str, region: str) -> str:
    """E.164 of a dialable number, "" when digits lack or are too many."""
    if len(digits) < _MIN_PHONE or len(digits) > _MAX_PHONE + 1:
        return ""
    try:
        number = phonenumbers.parse(digits, region or "US")
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return ""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def keyed_digits(keys: str) -> str:
    """The digits of a key sequence: `*` starts again, `#` ends."""
    return "".join(c for c in keys.split("#")[0].rsplit("*", 1)[-1] if c.isdigit())


@lru_cache(maxsize=256)
def region_of(*numbers: str) -> str:
    """Country of the first number that names one, e.g. "US"; "US" when none does."""
    for text in numbers:
        try:
            region = phonenumbers.region_code_for_number(phonenumbers.parse(text))
        except phonenumbers.NumberParseException:
            continue
        if region:
            return str(region)
    return "US"


def is_dialable(number: str) -> bool:
    """An E.164 number that can be called back (not "anonymous")."""
    return number.startswith("+") and bool(complete_phone(number, "US"))


def spoken_phone(number: str) -> str:
    """A number for a voice, digit by digit in the usual groups: "5 5 5, 0 1 2, 3 4 5 6"."""
    national = number
    try:
        parsed = phonenumbers.parse(number, "US")
        national = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
    except phonenumbers.NumberParseException:
        pass
    groups = re.findall(r"\d+", national)
    pieces = [piece for group in groups for piece in _short_groups(group)]
    return ", ".join(" ".join(piece) for piece in pieces)


def _short_groups(digits: str) -> list[str]:
    """Cuts a long group in threes, the last one taking up to four."""
    pieces = []
    while len(digits) > 4:
        pieces.append(digits[:3])
        digits = digits[3:]
    return [*pieces, digits]


def last_digits(number: str) -> str:
    """The last four digits for a voice: "4 2 1 7"."""
    return " ".join(re.sub(r"\D", "", number)[-4:])


def spelled_reference(reference: str) -> str:
    """An order number for a voice: "ORD-7F3K9Q" → "7 F 3, K 9 Q"; the prefix goes unsaid."""
    letters = "".join(re.findall(r"[A-Z0-9]+", reference.upper())).removeprefix("ORD")
    groups = [letters[at : at + 3] for at in range(0, len(letters), 3)]
    return ", ".join(" ".join(group) for group in groups)


def said_reference(text: str) -> str:
    """An order number as spoken or written: "seven f three k nine q" → "7F3K9Q", "" if none."""
    found = ""
    words = [word for word in re.findall(r"[a-z']+|\d+", text.lower()) if word != "ord"]
    for at, word in enumerate(words):
        digits, _ = _digits_at(words, at, inside=False)
        if word.isdigit() or len(word) == 1 or (digits and len(digits) == 1):
            found += (digits or word).upper()
        elif len(found) >= _REFERENCE_MIN:
            break
    found = found.removeprefix("ORD")
    return found if len(found) >= _REFERENCE_MIN else ""
