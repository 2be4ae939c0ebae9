"""Times for a voice: in words, so that any voice reads them well."""

from __future__ import annotations

from datetime import date, datetime, tzinfo

from voice_server.llm.receptionist.numbers import TEENS, UNITS
from voice_server.llm.receptionist.times import MONTHS, ORDINALS, WEEKDAYS

_NUMBER_NAMES = {value: word for table in (UNITS, TEENS) for word, value in table.items()}
_TENS_NAMES = {20: "twenty", 30: "thirty", 40: "forty", 50: "fifty"}
_ORDINAL_NAMES = {value: word for word, value in ORDINALS.items()}


def spoken_time(at: int, zone: tzinfo, now: datetime, *, part_only: bool = False) -> str:
    """An instant for a voice: "tomorrow, Monday, at nine thirty in the morning"."""
    moment = datetime.fromtimestamp(at / 1000, zone)
    if part_only:
        part = "morning" if moment.hour < 12 else "afternoon" if moment.hour < 18 else "evening"
        return f"{_spoken_day(moment.date(), now.date()).rstrip(',')} in the {part}"
    return (
        f"{_spoken_day(moment.date(), now.date())} at {_spoken_clock(moment.hour, moment.minute)}"
    )


def _spoken_day(day: date, today: date) -> str:
    name = WEEKDAYS[day.weekday()].capitalize()
    ahead = (day - today).days
    if ahead == 0:
        return "today"
    if ahead == 1:
        return f"tomorrow, {name},"
    if 1 < ahead < 7:
        return f"on {name}"
    return f"on {name}, {MONTHS[day.month - 1].capitalize()} {_ordinal_name(day.day)},"


def _ordinal_name(day: int) -> str:
    if day in _ORDINAL_NAMES:
        return _ORDINAL_NAMES[day]
    return f"{_TENS_NAMES[day // 10 * 10]} {_ORDINAL_NAMES[day % 10]}"


def _spoken_clock(hour: int, minute: int) -> str:
    if (hour, minute) == (12, 0):
        return "noon"
    part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    name = _NUMBER_NAMES[hour % 12 or 12]
    if minute == 0:
        return f"{name} {part}"
    if minute < 10:
        return f"{name} oh {_NUMBER_NAMES[minute]} {part}"
    if minute in _NUMBER_NAMES:
        return f"{name} {_NUMBER_NAMES[minute]} {part}"
    tens = _TENS_NAMES[minute // 10 * 10]
    return f"{name} {tens}{' ' + _NUMBER_NAMES[minute % 10] if minute % 10 else ''} {part}"
