"""Numbers as American English says them."""

from __future__ import annotations

_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_MOST = 10**15


def cardinal(number: int) -> str:
    """1204 is "one thousand two hundred four"; beyond 10^15 digit by digit."""
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number >= _MOST:
        return digits(str(number))
    for scale, name in _SCALES:
        if number >= scale:
            head, rest = divmod(number, scale)
            return _join(f"{cardinal(head)} {name}", rest)
    if number >= 100:
        return _join(f"{_SMALL[number // 100]} hundred", number % 100)
    if number >= 20:
        return _join(_TENS[number // 10], number % 10)
    return _SMALL[number]


def ordinal(number: int) -> str:
    """21 is "twenty first"."""
    head, _, last = cardinal(number).rpartition(" ")
    if last in _ORDINALS:
        last = _ORDINALS[last]
    elif last.endswith("y"):
        last = f"{last[:-1]}ieth"
    else:
        last = f"{last}th"
    return f"{head} {last}".strip()


def in_pairs(number: int) -> str:
    """Four digits as in years and house numbers: 1984 is "nineteen eighty four"."""
    head, tail = divmod(number, 100)
    if head % 10 == 0:  # 2005, 1000, 3012
        return cardinal(number)
    if tail == 0:
        return f"{cardinal(head)} hundred"
    return f"{cardinal(head)} {'oh ' if tail < 10 else ''}{cardinal(tail)}"


def year(number: int) -> str:
    """2005 is "two thousand five", 2025 "twenty twenty five"."""
    if 2010 <= number <= 2099:
        return f"twenty {cardinal(number % 100)}"
    return in_pairs(number)


def digits(text: str) -> str:
    """Every digit by itself; other characters are left out."""
    return " ".join(_SMALL[int(character)] for character in text if character in "0123456789")


def decimal(text: str) -> str:
    """ "3.50" is "three point five zero"; a whole number is a cardinal."""
    whole, _, fraction = text.partition(".")
    words = cardinal(int(whole or "0"))
    return f"{words} point {digits(fraction)}" if fraction else words


def _join(head: str, rest: int) -> str:
    return f"{head} {cardinal(rest)}" if rest else head
