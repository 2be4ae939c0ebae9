"""When the caller wants us to come: spoken times, reckoned from the start of the call.

Calendar libraries for text (tried: parsedatetime) do not know spoken hours ("half past nine",
"at ten") and guess where nothing was said; here an unsure time stays the caller's own words.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

import msgspec

from voice_server.llm.receptionist.numbers import TEENS, TENS, UNITS, small_number, words_of

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_PARTS = {"morning": 9, "afternoon": 13, "evening": 18, "night": 19, "tonight": 19}
ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13,
    "fourteenth": 14, "fifteenth": 15, "sixteenth": 16, "seventeenth": 17, "eighteenth": 18,
    "nineteenth": 19, "twentieth": 20, "thirtieth": 30,
}  # fmt: skip
_HOUR_WORDS = "|".join([*list(UNITS)[1:], "ten", "eleven", "twelve"])
_HOUR = rf"(?:\d{{1,2}}|{_HOUR_WORDS})"
_MINUTES = (
    rf"(?:[0-5]\d|(?:oh )?(?:{'|'.join([*UNITS, *TEENS])})|"
    rf"(?:{'|'.join(TENS)})(?: (?:{'|'.join(UNITS)}))?)"
)
_HALF_DAY = r"(?:a\.? ?m\b\.?|p\.? ?m\b\.?)"
_CLOCK = re.compile(
    rf"\b(?:(?P<cue>at|around|about|by|after|before|from|between|past|till|until|maybe|say|to|"
    rf"for|not)\s+)?(?:(?P<rel>half past|quarter past|quarter after|quarter to|quarter of|"
    rf"half)\s+)?"
    rf"(?P<hour>{_HOUR})(?:[:. ](?P<min>{_MINUTES})\b)?\s*"
    rf"(?P<mark>o'?clock|{_HALF_DAY}|in the (?:morning|afternoon|evening)|at night)?\s*"
    rf"(?P<half>{_HALF_DAY})?(?![\w/-])",
    re.IGNORECASE,
)
_NOON = re.compile(r"\b(?:noon|midday|mid day|lunch ?time)\b", re.IGNORECASE)
_WITHIN = re.compile(
    rf"\b(?:in|within)\s+(?:about |the next )?(?P<n>an?|a couple of|a few|half an|\d{{1,2}}|"
    rf"{_HOUR_WORDS})\s+(?P<unit>minutes?|hours?|days?|weeks?)\b",
    re.IGNORECASE,
)
_SOON = re.compile(
    r"\b(?:as soon as (?:possible|you can)|asap|a s a p|right away|right now|immediately|"
    r"straight away|straightaway|soonest|quick(?:ly)? as|earliest|first available|"
    r"soon as (?:possible|you can)|now please|today if possible|at once|next available|now)\b",
    re.IGNORECASE,
)
_ANY = re.compile(
    r"\b(?:any ?time|whenever|any day|any hour|all day|doesn'?t matter|don'?t (?:mind|care)|"
    r"no preference|up to you|flexible|you (?:decide|choose|pick)|either|anything works)\b",
    re.IGNORECASE,
)
_NEAR_DAY = re.compile(r"\b(?:today|tomorrow|tonight)\b", re.IGNORECASE)
_DAY_AFTER = re.compile(r"\b(?:the )?day after tomorrow\b", re.IGNORECASE)
_PART = re.compile(
    r"\b(?:(?P<early>early|first thing|late)\s+(?:in the |on )?)?"
    r"(?:(?P<part>morning|afternoon|evening|tonight|night)\b|(?P<work>after work))",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(
    r"\b(?:(?P<next>next|this|coming)\s+)?(?P<day>mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|"
    r"sun)(?:day)?s?\b(?! (?:leaking|broken))",
    re.IGNORECASE,
)
_MONTH_DAY = re.compile(
    rf"\b(?:(?P<month>{'|'.join(MONTHS)})\s+(?:the )?(?P<day>[\w-]+(?: [a-z]+)?)|"
    rf"(?P<day2>\w+(?:[ -]\w+)?)\s+(?:of )?(?P<month2>{'|'.join(MONTHS)}))\b",
    re.IGNORECASE,
)
_DAY_OF_MONTH = re.compile(
    rf"\b(?:on )?the (?P<day>(?:\d{{1,2}}(?:st|nd|rd|th))|(?:(?:twenty|thirty)[ -])?"
    rf"(?:{'|'.join(ORDINALS)}))\b(?! (?:floor|time|door|street|house|room))",
    re.IGNORECASE,
)
_WEEKS = re.compile(
    r"\b(?P<which>next week|this week|the weekend|this weekend|next weekend|weekend)\b", re.I
)
_PAST = re.compile(r"\b(?:since|last|yesterday|started|began|ago|happened|broke|every)\b", re.I)
_WORK_STARTS = 8
_MAX_WORDS = 120  # characters kept of the caller's words


class When(msgspec.Struct, frozen=True):
    """A time as understood. `at` is ms since the Unix epoch, 0 while not exact enough.

    `words` are the caller's own; `day_only` asks for an hour; `soon` is as soon as possible.
    """

    words: str
    at: int = 0
    day_only: bool = False
    soon: bool = False
    part_only: bool = False  # "afternoon": the hour in `at` is where that part begins


class Clock(msgspec.Struct, frozen=True):
    """An hour of a day."""

    hour: int
    minute: int
    exact: bool  # said as a time of day, not as "afternoon"
    fixed: bool = True  # the half of the day is certain


def find_time(text: str, now: datetime, *, asked: bool, day: str = "") -> When | None:
    """The time a text speaks of, None if it speaks of none.

    `asked` tells that a time was asked for: then a lone "ten" is an hour, and "any time" an
    answer. `day` is what the caller said of the day before ("tomorrow"), when only the hour
    was still missing.
    """
    if not asked and _PAST.search(text):
        return None
    within = _within(text, now)
    if within:
        return within
    on = _find_day(text, now.date())
    clock = _find_clock(text, asked=asked, has_day=on is not None)
    if on is None and clock is None:
        return _loose(text, asked=asked, day=day, now=now)
    if on is None and day:
        on = _find_day(day, now.date())
        text = f"{_day_words(day)} {_said(text)}"
    if on is None and clock is not None and not clock.exact and not asked:
        return None  # "this morning the sink broke" is not a wish
    if clock is None:
        return (
            When(time_words(text), day_only=True)
            if not _ANY.search(text)
            else _on_day(text, on, now)
        )
    when = _exact(text, on, clock, now)
    return when if when.at or asked else None


def _exact(text: str, on: date | None, clock: Clock, now: datetime) -> When:
    moment = datetime.combine(on or now.date(), time(clock.hour, clock.minute), now.tzinfo)
    if moment < now:
        later = moment + timedelta(hours=12)
        if on == now.date() and not clock.fixed and later.date() == on and later > now:
            moment = later
        elif on is None:
            moment += timedelta(days=1)
        else:
            return When(time_words(text))
    return When(time_words(text), at=_ms(moment), part_only=not clock.exact)


def _on_day(text: str, on: date | None, now: datetime) -> When:
    if on is None:
        return When(time_words(text))
    moment = datetime.combine(on, time(_WORK_STARTS), now.tzinfo)
    return When(time_words(text), at=_ms(moment) if moment > now else 0)


def _loose(text: str, *, asked: bool, day: str, now: datetime) -> When | None:
    if _SOON.search(text) and (asked or re.search(r"soon|asap|immediate|earliest", text, re.I)):
        return When(time_words(text), soon=True)
    if asked and _ANY.search(text):
        if day:
            return _on_day(f"{_day_words(day)} {_said(text)}", _find_day(day, now.date()), now)
        return When(time_words(text))
    week = _WEEKS.search(text)
    if week:
        return When(time_words(text), day_only=False)
    return None


def _within(text: str, now: datetime) -> When | None:
    match = _WITHIN.search(text)
    if not match:
        return None
    word, unit = match.group("n").lower(), match.group("unit").lower().rstrip("s")
    if word in {"a", "an"}:
        count = 1.0
    elif word == "half an":
        count = 0.5
    elif word.startswith("a "):
        count = 2.0 if "couple" in word else 3.0
    else:
        count = float(small_number([word])[0])
    if unit in {"day", "week"}:
        return When(time_words(text), day_only=unit == "day")
    return When(time_words(text), at=_ms(now + timedelta(**{f"{unit}s": count})))


def _find_day(text: str, today: date) -> date | None:
    low = text.lower()
    if _DAY_AFTER.search(low):
        return today + timedelta(days=2)
    if re.search(r"\b(?:tomorrow|to morrow|tomorow)\b", low):
        return today + timedelta(days=1)
    if re.search(r"\b(?:today|tonight|this (?:morning|afternoon|evening))\b", low):
        return today
    return _weekday(low, today) or _calendar_day(low, today)


def _day_words(text: str) -> str:
    """The words that name the day: "Friday at two" → "Friday"."""
    for pattern in (_DAY_AFTER, _NEAR_DAY, _MONTH_DAY, _DAY_OF_MONTH, _WEEKDAY):
        match = pattern.search(text)
        if match:
            return match.group()
    return text


def _weekday(low: str, today: date) -> date | None:
    match = _WEEKDAY.search(low)
    if not match or (match.group() in {"sun", "sat", "wed", "fri", "mon"}):
        return None
    index = next(i for i, name in enumerate(WEEKDAYS) if name.startswith(match.group("day")[:3]))
    ahead = (index - today.weekday()) % 7
    if ahead == 0:
        ahead = 7
    # "next Friday" said on a Monday is the Friday of next week; said late in the week it is
    # simply the coming one: the nearer reading when it lies in another week anyway.
    if match.group("next") == "next" and today.weekday() < index:
        ahead += 7
    return today + timedelta(days=ahead)


def _calendar_day(low: str, today: date) -> date | None:
    match = _MONTH_DAY.search(low)
    if match:
        month = MONTHS.index(match.group("month") or match.group("month2")) + 1
        number = _ordinal(match.group("day") or match.group("day2") or "")
        return _next_date(today, month, number) if number else None
    match = _DAY_OF_MONTH.search(low)
    number = _ordinal(match.group("day")) if match else 0
    if not number:
        return None
    month = today.month if number >= today.day else today.month % 12 + 1
    return _next_date(today, month, number)


def _next_date(today: date, month: int, day: int) -> date | None:
    for year in (today.year, today.year + 1):
        try:
            found = date(year, month, day)
        except ValueError:
            return None
        if found >= today:
            return found
    return None


def _ordinal(words: str) -> int:
    parts = words.replace("-", " ").removeprefix("the ").split()
    if not parts:
        return 0
    digits = re.match(r"(\d{1,2})(?:st|nd|rd|th)?$", parts[0])
    if digits:
        return int(digits.group(1))
    if parts[0] in {"twenty", "thirty"} and len(parts) > 1 and parts[1] in ORDINALS:
        return TENS[parts[0]] + ORDINALS[parts[1]]
    value, _ = small_number(parts)
    return ORDINALS.get(parts[0], value)


def _find_clock(text: str, *, asked: bool, has_day: bool) -> Clock | None:
    part = _PART.search(text)
    if _NOON.search(text):
        return Clock(12, 0, exact=True)
    for match in _CLOCK.finditer(text):
        clock = _clock(match, part, asked=asked, has_day=has_day)
        if clock:
            return clock
    if part is None:
        return None
    if part.group("work"):
        return Clock(18, 0, exact=False)
    hour = _PARTS[part.group("part").lower()]
    if part.group("early") and part.group("early").lower() != "late":
        hour = 8 if hour == 9 else hour
    return Clock(hour, 0, exact=False)


def _clock(
    match: re.Match[str], part: re.Match[str] | None, *, asked: bool, has_day: bool
) -> Clock | None:
    marked = bool(match.group("mark") or match.group("half") or match.group("rel"))
    cue = (match.group("cue") or "").lower()
    written = bool(re.search(r"\d[:.]\d\d", match.group()))
    alone = asked and len(words_of(match.string)) <= 4
    if not (
        marked
        or written
        or alone
        or (cue and cue not in {"for", "to", "not"} and (asked or has_day))
    ):
        return None
    hour, _ = small_number([match.group("hour").lower()])
    minute = _minute(match.group("min") or "")
    hour, minute = _shift(hour, minute, (match.group("rel") or "").lower())
    said = f"{match.group('mark') or ''} {match.group('half') or ''}".lower()
    marker = re.search(r"\b([ap])\.? ?m\b", said)
    half = marker.group(1) if marker else ""
    fixed = hour > 12 or part is not None or bool(half)
    hour = _hour_of_day(hour, half, part)
    if not 0 <= hour <= 23 or minute > 59:
        return None
    return Clock(hour, minute, exact=True, fixed=fixed)


def _minute(words: str) -> int:
    if not words:
        return 0
    parts = words.lower().split()
    return small_number(parts[1:] if parts[0] == "oh" else parts)[0]


def _shift(hour: int, minute: int, relation: str) -> tuple[int, int]:
    if relation.startswith("half"):
        return hour, 30
    if relation in {"quarter past", "quarter after"}:
        return hour, 15
    if relation in {"quarter to", "quarter of"}:
        return (hour - 1) or 12, 45
    return hour, minute


def _hour_of_day(hour: int, half: str, part: re.Match[str] | None) -> int:
    """24-hour reading. Without a hint 7 to 11 are mornings and 1 to 6 afternoons: nobody
    sends a plumber at three at night."""
    if hour > 12:
        return hour
    if half:
        return hour % 12 + (12 if half == "p" else 0)
    said = (part.group("part") or "evening").lower() if part else ""
    if said == "morning":
        return hour % 12
    if said in {"afternoon", "evening", "night", "tonight"}:
        return hour % 12 + 12
    return hour if 7 <= hour <= 12 else hour + 12


_POLITE_START = re.compile(
    r"^\W*(?:(?:yes|yeah|no|um|uh|well|okay|ok|so|please|maybe|how about|what about|"
    r"i'?d (?:like|prefer)(?: it)?|can you (?:come|do)|could you (?:come|do)|"
    r"let'?s (?:say|do)|it'?s|that'?s|preferably|sorry|actually|make it|"
    r"change (?:it|that|the time|the day) to)\b\W*)+",
    re.IGNORECASE,
)
_POLITE_END = re.compile(
    r"\W*\b(?:please|thanks|thank you|would be (?:good|great|fine|best|perfect|ideal)|"
    r"if (?:possible|you can|that'?s possible)|works(?: for me)?|is (?:fine|good|best|okay))"
    r"\W*$",
    re.IGNORECASE,
)


def _said(text: str) -> str:
    """The caller's words about the time, without the polite frame."""
    text = _POLITE_END.sub("", _POLITE_START.sub("", text))
    return re.sub(r"\s+", " ", text).strip(" .,;!?")[:_MAX_WORDS]


def time_words(text: str) -> str:
    """The part of a longer sentence that speaks of the time, in the caller's words."""
    spans = [
        match.span()
        for pattern in (_DAY_AFTER, _WEEKDAY, _MONTH_DAY, _DAY_OF_MONTH, _WEEKS, _PART, _NOON,
                        _WITHIN, _SOON, _NEAR_DAY)
        for match in pattern.finditer(text)
    ]  # fmt: skip
    spans += [m.span() for m in _CLOCK.finditer(text) if m.group("cue") or m.group("mark")]
    if not spans:
        return _said(text)
    start, end = min(span[0] for span in spans), max(span[1] for span in spans)
    return _said(text[start:end]) if end - start <= 60 else _said(text)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
