"""Written English to the words one says: numbers, dates, money, abbreviations, symbols.

Every rule rewrites one written form into plain words; later rules see what earlier ones left.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from re import Match
from typing import TypeAlias

from voice_server.speech.numerals import cardinal, decimal, digits, in_pairs, ordinal, year

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
_MONTH = "|".join(_MONTHS)
_SHORT_MONTH = {month[:3]: month for month in _MONTHS} | {"Sept": "September"}
_DAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday",
    "Thu": "Thursday", "Thur": "Thursday", "Thurs": "Thursday", "Fri": "Friday",
}  # fmt: skip
_ABBREVIATIONS = {
    "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Jr": "Junior", "Sr": "Senior",
    "Prof": "Professor", "Rev": "Reverend", "Gen": "General", "Sgt": "Sergeant", "Lt": "Lieutenant",
    "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road", "Ln": "Lane", "Ct": "Court",
    "Hwy": "Highway", "Pkwy": "Parkway", "Apt": "apartment", "Ste": "suite", "Bldg": "building",
    "Dept": "department", "Inc": "incorporated", "Corp": "corporation", "Ltd": "limited",
    "Co": "company", "Mt": "Mount", "Ft": "Fort", "vs": "versus",
    "etc": "et cetera", "approx": "approximately", "appt": "appointment", "ext": "extension",
    "min": "minutes", "hr": "hour", "hrs": "hours", "est": "estimated", "misc": "miscellaneous",
    "temp": "temperature", "incl": "including",
}  # fmt: skip
_BARE = ("Mr", "Mrs", "Ms", "Blvd", "Ave", "Hwy", "Apt", "Rd")  # also understood without a dot
_UNITS = {
    "ft": "feet", "in": "inches", "lb": "pounds", "lbs": "pounds", "oz": "ounces",
    "mi": "miles", "mph": "miles per hour", "km": "kilometers", "cm": "centimeters",
    "mm": "millimeters", "kg": "kilograms", "gal": "gallons", "yd": "yards", "sq": "square",
    "min": "minutes", "mins": "minutes", "hr": "hours", "hrs": "hours", "sec": "seconds",
    "kW": "kilowatts", "V": "volts", "F": "Fahrenheit", "C": "Celsius",
}  # fmt: skip
_SYMBOLS = {
    "&": "and", "@": "at", "%": "percent", "+": "plus", "=": "equals", "#": "number",
    "°": "degrees", "/": "slash", "_": "underscore", "*": "", "~": "about", "×": "times",
    "€": "euros", "£": "pounds", "$": "dollars", "½": "a half", "¼": "a quarter",
    "¾": "three quarters", "|": ",", "\\": "", "^": "", "<": "", ">": "", "`": "",
}  # fmt: skip
_FRACTIONS = {"1/2": "one half", "1/4": "one quarter", "3/4": "three quarters", "1/3": "one third"}
_PUNCTUATION = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": " ", "\u201d": " ", '"': " ",
    "\u2013": "-", "\u2014": ", ", "\u2026": ". ", "\u00a0": " ", "\u202f": " ",
    "(": ", ", ")": ", ", "[": ", ", "]": ", ", "{": ", ", "}": ", ",
})  # fmt: skip

_UNSPEAKABLE = re.compile(r"[^A-Za-z'.,?!;:\s]|[\x1c-\x1f\x85]")

Rule: TypeAlias = tuple[re.Pattern[str], Callable[[Match[str]], str]]


def spoken(text: str) -> str:
    """Plain words and `.,?!;:`; digits are gone, spelled letters stand alone in capitals."""
    for pattern, rewrite in _EARLY:
        text = pattern.sub(rewrite, text)
    text = text.translate(_PUNCTUATION)
    for pattern, rewrite in _RULES:
        text = pattern.sub(rewrite, text)
    text = "".join(f" {_SYMBOLS[c]} " if c in _SYMBOLS else c for c in text)
    text = _UNSPEAKABLE.sub("", unicodedata.normalize("NFKD", text))
    text = re.sub(r"\s*([,;:])(?:\s*[,;:])+", r"\1", re.sub(r"\s+", " ", text))
    return re.sub(r"\s+([.,?!;:])", r"\1", text).strip(" ,")


def letters(text: str) -> str:
    """ "ab" is "A B"."""
    return " ".join(text.upper())


def _phone(match: Match[str]) -> str:
    groups = re.findall(r"\d+", match[0])
    if len(groups) == 1:  # 5551234567
        number = groups[0]
        groups = [number[:-10], number[-10:-7], number[-7:-4], number[-4:]]
    plus = "plus " if match[0].startswith("+") else ""
    return plus + ", ".join(digits(group) for group in groups if group)


def _money(match: Match[str]) -> str:
    whole, cents, scale = match["whole"].replace(",", ""), match["cents"], match["scale"]
    if scale:
        amount = decimal(whole + (f".{cents}" if cents else ""))
        return f"{amount} {scale.lower()} dollars"
    dollars = f"{cardinal(int(whole))} {'dollar' if int(whole) == 1 else 'dollars'}"
    if not cents or int(cents) == 0:
        return dollars
    small = f"{cardinal(int(cents))} {'cent' if int(cents) == 1 else 'cents'}"
    return small if int(whole) == 0 else f"{dollars} and {small}"


def _date(month: int, day: int, of_year: str | None) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    said = f"{_MONTHS[month - 1]} {ordinal(day)}"
    if not of_year:
        return said
    number = int(of_year)
    return f"{said}, {year(number + 2000 if number < 100 else number)}"


def _iso_date(match: Match[str]) -> str:
    return _date(int(match[2]), int(match[3]), match[1]) or match[0]


def _slash_date(match: Match[str]) -> str:
    if match[0] in _FRACTIONS:
        return _FRACTIONS[match[0]]
    fraction = f"{cardinal(int(match[1]))} over {cardinal(int(match[2]))}"
    return _date(int(match[1]), int(match[2]), match[3]) or fraction


def _month_day(match: Match[str]) -> str:
    month = _SHORT_MONTH.get(match[1].rstrip("."), match[1])
    after = f", {year(int(match[3]))}" if match[3] else ""
    return f"{month} {ordinal(int(match[2]))}{after}"


def _time(match: Match[str]) -> str:
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    half = match["half"]
    if hour > 24 or minute > 59:
        return match[0]
    words = cardinal(hour)
    if minute:
        words += f" {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif not half:
        words += " o'clock" if 1 <= hour <= 12 else " hundred hours"
    if not half:
        return words
    said = f"{words} {letters(half[0])} M"
    return _full_stop_kept(match, said) if match[0].endswith(".") else said


def _full_stop_kept(match: Match[str], words: str) -> str:
    """An abbreviation's dot also ends the sentence when nothing or a capital follows."""
    return words if match.string[match.end() :].strip() else f"{words}."


def _abbreviation(match: Match[str]) -> str:
    return _full_stop_kept(match, _ABBREVIATIONS[match[1]])


def _saint_or_street(match: Match[str]) -> str:
    before = match.string[: match.start()].rstrip()
    last = re.search(r"[A-Za-z]+$", before)
    is_street = last is not None and last[0][0].isupper() and last[0] not in {"In", "At", "The"}
    if match[1] == "St":
        return _full_stop_kept(match, "Street") if is_street or not match[2] else "Saint"
    return _full_stop_kept(match, "Drive") if is_street or not match[2] else "Doctor"


def _mixed(match: Match[str]) -> str:
    """Codes such as B52 or AMZ0987: letters and digits one by one."""
    parts = re.findall(r"[A-Za-z]+|\d+", match[0])
    return " ".join(digits(part) if part[0].isdigit() else letters(part) for part in parts)


def _integer(match: Match[str]) -> str:
    text = match[0].replace(",", "")
    number = int(text)
    if "," in match[0]:
        return cardinal(number)
    if text.endswith("000") and text[0] != "0":
        return cardinal(number)
    if len(text) > 4 or (len(text) > 1 and text[0] == "0"):
        return digits(text)
    if len(text) == 4:
        return year(number) if 1900 <= number <= 2099 else in_pairs(number)
    return cardinal(number)


def _address(match: Match[str]) -> str:
    """An e-mail address or a web address."""
    words = re.sub(r"^https?://", "", match[0]).rstrip("/")
    for symbol, name in ((".", " dot "), ("@", " at "), ("/", " slash "), ("-", " dash ")):
        words = words.replace(symbol, name)
    return re.sub(r"\bwww\b", "W W W", words)


def _rule(pattern: str, rewrite: Callable[[Match[str]], str], flags: int = 0) -> Rule:
    return re.compile(pattern, flags), rewrite


_EARLY: tuple[Rule, ...] = (
    _rule(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", _address),
    _rule(r"\b(?:https?://|www\.)[\w./-]*\w/?", _address),
    _rule(r"\b[a-z][\w-]*\.(?:com|org|net|gov|edu|io)\b", _address, re.IGNORECASE),
    _rule(r"(?<![\w$.])(?:\+?1[-. ]?)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}\b", _phone),
    _rule(r"(?<![\w$.,])\d{3}-\d{4}\b(?!-)", _phone),
    _rule(r"(?<![\w$.,])\+?1?\d{10}\b(?![.,]\d)", _phone),
)

_RULES: tuple[Rule, ...] = (
    _rule(
        r"\$ ?(?P<whole>\d[\d,]*\d|\d)(?:\.(?P<cents>\d{1,2}))?(?!\d)"
        r"(?: (?P<scale>thousand|million|billion|trillion)\b)?(?: dollars\b)?",
        _money,
        re.IGNORECASE,
    ),
    _rule(r"\b(\d{4})-(\d{2})-(\d{2})\b", _iso_date),
    _rule(r"\bNo\. ?(?=\d)", lambda _: "number "),
    _rule(r"\b24/7\b", lambda _: "twenty four seven"),
    _rule(r"\b(\d{1,2})/(\d{1,2})(?:/(\d{4}|\d{2}))?\b", _slash_date),
    _rule(
        rf"\b({_MONTH}|(?:{'|'.join(_SHORT_MONTH)})\b\.?) (\d{{1,2}})(?:st|nd|rd|th)?\b"
        r"(?!:)(?:,? (\d{4})\b)?",
        _month_day,
    ),
    _rule(
        r"\b(?P<hour>\d{1,2})(?::(?P<minute>\d\d))? ?(?P<half>[ap])(?:\.m\.|m\b)",
        _time,
        re.IGNORECASE,
    ),
    _rule(r"\b(?P<hour>\d{1,2}):(?P<minute>\d\d)\b(?P<half>)", _time),
    _rule(r"\b(\d+)(?:st|nd|rd|th)\b", lambda m: ordinal(int(m[1]))),
    _rule(
        rf"(?<=\d) ?({'|'.join(_UNITS)})\b\.?(?! [a-z])",
        lambda m: (
            _full_stop_kept(m, f" {_UNITS[m[1]]}") if m[0].endswith(".") else f" {_UNITS[m[1]]}"
        ),
    ),
    _rule(r"(?<![\d-])(\d+) ?- ?(\d+)(?![\d-])", lambda m: f"{m[1]} to {m[2]}"),
    _rule(r"(?<![\w.])-(?=\d)", lambda _: "minus "),
    _rule(r"\b(?=\w*\d)(?=\w*[A-Za-z])[A-Za-z0-9]+\b", _mixed),
    _rule(r"\d+\.\d+", lambda m: decimal(m[0])),
    _rule(r"\d{1,3}(?:,\d{3})+(?!\d)|\d+", _integer),
    _rule(r"\b(St|Dr)\b\.?(?= *(\w)?)", lambda m: _saint_or_street(m)),
    _rule(rf"\b({'|'.join(_DAYS)})\.", lambda m: _full_stop_kept(m, _DAYS[m[1]])),
    _rule(rf"\b({'|'.join(_SHORT_MONTH)})\.", lambda m: _full_stop_kept(m, _SHORT_MONTH[m[1]])),
    _rule(r"\be\.g\.", lambda _: "for example"),
    _rule(r"\bi\.e\.", lambda _: "that is"),
    _rule(rf"\b({'|'.join(_ABBREVIATIONS)})\.(?!\w)", _abbreviation),
    _rule(rf"\b({'|'.join(_BARE)})\b", lambda m: _ABBREVIATIONS[m[1]]),
    _rule(r"\b(?:[A-Za-z]\.){2,}", lambda m: letters(m[0].replace(".", ""))),
    _rule(r"\b([A-Z])(?:-([A-Z])\b)+", lambda m: m[0].replace("-", ", ")),
    _rule(r"-", lambda _: " "),
)
