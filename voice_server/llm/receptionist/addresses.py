"""Street addresses as people say them: "I'm at twelve Oak Street, apartment four B"."""

from __future__ import annotations

import re

from voice_server.llm.receptionist.numbers import TEENS, TENS, UNITS, small_number

_SUFFIX = (
    r"(?:street|st|road|rd|avenue|ave|av|lane|ln|drive|dr|court|ct|way|place|pl|boulevard|blvd|"
    r"terrace|ter|crescent|close|square|highway|hwy|parkway|pkwy|circle|cir|trail|broadway|"
    r"alley|row|walk|gardens|grove|hill|mews|plaza|loop|path|pike|turnpike|run|ridge|view)"
)
_NUMBER_WORD = "|".join([*UNITS, *TEENS, *TENS, "oh", "hundred", "thousand"])
_SPOKEN_NUMBER = rf"(?:(?:{_NUMBER_WORD})[\s-]+(?:and\s+)?){{0,4}}(?:{_NUMBER_WORD})"
_HOUSE = rf"(?:\d+[a-z]?(?:-\d+)?|{_SPOKEN_NUMBER}(?: [a-d])?)"
_UNIT = (
    r"(?:,?\s*(?:in )?(?:apartment|apt|flat|unit|suite|number|floor|room|lot)\.?\s+"
    r"(?:number )?(?:\d+\s?[a-z]?\b|[a-z]\b|" + rf"(?:{_NUMBER_WORD})(?: [a-z]\b)?))"
)
_WORD = r"[^\W\d_][\w'’.-]*"
_BORDER = (
    r"(?!(?:and|my|this|it|it's|is|the|i|i'm|i'd|i'll|we|please|phone|number|you|that|but|so|"
    r"on|at|for|thanks|thank|tomorrow|today|monday|tuesday|wednesday|thursday|friday|saturday|"
    r"sunday|morning|afternoon|because|with|to|from|name|call|can|could|would|as|next|or|if)\b)"
)
_FULL = re.compile(
    rf"\b(?P<house>{_HOUSE}),?\s+(?P<street>(?:{_BORDER}[\w'’.-]+\s+){{1,4}}?{_SUFFIX}\b\.?"
    rf"(?:\s+(?:north|south|east|west|n|s|e|w)\b)?)"
    rf"(?P<unit>{_UNIT})?(?P<place>(?:,\s*|\s+in\s+){_BORDER}{_WORD}(?:\s+{_BORDER}{_WORD})?)?"
    rf"(?P<unit2>{_UNIT})?(?P<zip>,?\s+\d{{5}}\b)?",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    rf"\b(?P<house>{_HOUSE}),?\s+(?P<street>{_BORDER}{_WORD}(?:[\s,]+{_BORDER}{_WORD}){{0,3}})"
    rf"(?P<unit>{_UNIT})?",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"\b(?:address is|address|i live (?:at|on|in)|live at|located (?:at|on|in)|i'm at|i am at|"
    r"we're at|we are at|house is (?:at|on)|it's at|come to|over at|place is)\b[:,]?\s*",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"^\W*(?:(?:yes|yeah|sure|okay|ok|uh|um|well|so|no|it's|it is|that's|that is|at|on|in|the|"
    r"my|address|is|would be|i live|i'm|i am|we're|we are)\b\W*)+",
    re.IGNORECASE,
)
_TAIL = re.compile(r"\W*\b(?:please|thanks|thank you|and|okay|ok)?\W*$", re.IGNORECASE)
_NO_STREET = re.compile(
    r"^(?:o'?clock|am|pm|a\.m|p\.m|hours?|minutes?|days?|weeks?|months?|years?|times?|people|"
    r"in the|at|percent|dollars?|of|thirty|fifteen|or|rooms?|bedrooms?|bathrooms?|windows?|"
    r"toilets?|sinks?|outlets?|lights?|doors?|things?|taps?|pipes?|inch\w*|feet|foot|"
    r"more|second|moment|three|four|five)\b",
    re.IGNORECASE,
)
_MAX_LENGTH = 120


def find_address(text: str) -> tuple[str, tuple[int, int]]:
    """A full street address in a text and where it stands; ("", (0, 0)) if there is none."""
    match = _FULL.search(text)
    if match:
        return _compose(match, text), match.span()
    cue = _CUE.search(text)
    if cue:
        match = _NUMBERED.match(text, cue.end())
        if match and not _NO_STREET.match(match.group("street")):
            return _compose(match, text), (cue.start(), match.end())
    return "", (0, 0)


def bare_address(text: str) -> str:
    """The answer to "what's the address?", "" when it is none."""
    found, _ = find_address(text)
    if found:
        return found
    match = _NUMBERED.search(text)
    if match and not _NO_STREET.match(match.group("street")):
        return _clean(_digits_for(match.group("house")) + text[match.end("house") :])
    rest = _TAIL.sub("", _LEAD.sub("", text.strip()))
    named = re.search(rf"\b{_WORD}\s+{_SUFFIX}\b", rest, re.IGNORECASE)
    if named and len(rest.split()) >= 2:
        return _clean(rest)
    return ""


def _compose(match: re.Match[str], text: str) -> str:
    house = _digits_for(match.group("house"))
    return _clean(house + text[match.end("house") : match.end()])


def _clean(address: str) -> str:
    address = re.sub(r"\s+", " ", address).strip(" ,.;:-?!")
    address = re.sub(r"^(\d+[a-zA-Z]?),", r"\1", address)
    if address.islower():
        address = re.sub(r"\b([a-z])(?=[a-z']{2,})", lambda m: m.group(1).upper(), address)
    return address[:_MAX_LENGTH]


def _digits_for(house: str) -> str:
    """Digits of a spoken house number: "twelve" 12, "one twenty three" 123, "two oh six" 206."""
    if house[:1].isdigit():
        return house
    words = house.lower().replace("-", " ").split()
    letter = ""
    if len(words) > 1 and len(words[-1]) == 1:
        letter = words.pop().upper()
    digits = ""
    while words:
        if words[0] in {"oh", "o"}:
            digits, words = digits + "0", words[1:]
        elif words[0] in {"hundred", "thousand"}:
            digits, words = _times(digits, words)
        else:
            value, took = small_number(words)
            if not took:
                break
            digits, words = digits + str(value), words[took:]
    return digits + letter


def _times(digits: str, words: list[str]) -> tuple[str, list[str]]:
    """ "two hundred five" is 205, "two hundred" 200: the zeros give way to what follows."""
    zeros = 2 if words[0] == "hundred" else 3
    rest = words[1:]
    if rest and rest[0] == "and":
        rest = rest[1:]
    value, took = small_number(rest)
    tail = str(value).zfill(zeros) if took else "0" * zeros
    return digits + tail, rest[took:]
