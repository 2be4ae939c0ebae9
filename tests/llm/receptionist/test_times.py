from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.llm.receptionist import spoken_times, times, zones

NEW_YORK = ZoneInfo("America/New_York")
SUNDAY = datetime(2026, 11, 22, 12, 0, tzinfo=NEW_YORK)


def at(text: str) -> int:
    """ "23 10:00" in November 2026, or "12-01 10:00"."""
    day, clock = text.split()
    month, day = day.split("-") if "-" in day else ("11", day)
    hour, minute = clock.split(":")
    moment = datetime(2026, int(month), int(day), int(hour), int(minute), tzinfo=NEW_YORK)
    return int(moment.timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("tomorrow at ten", "23 10:00"),
        ("Tomorrow at 10 a.m.", "23 10:00"),
        ("tomorrow at 10:30", "23 10:30"),
        ("tomorrow at ten thirty", "23 10:30"),
        ("tomorrow at half past nine", "23 9:30"),
        ("quarter past three tomorrow", "23 15:15"),
        ("quarter to five tomorrow", "23 16:45"),
        ("tomorrow at two", "23 14:00"),
        ("tomorrow at two p.m.", "23 14:00"),
        ("tomorrow at 2pm", "23 14:00"),
        ("tomorrow at eight in the evening", "23 20:00"),
        ("tomorrow at noon", "23 12:00"),
        ("tomorrow around eleven o'clock", "23 11:00"),
        ("tomorrow 14:30", "23 14:30"),
        ("the day after tomorrow at nine", "24 9:00"),
        ("Monday at nine", "23 9:00"),
        ("on Tuesday at 4", "24 16:00"),
        ("wednesday at nine am", "25 9:00"),
        ("Thursday, ten o'clock", "26 10:00"),
        ("next Friday at one", "27 13:00"),
        ("Saturday at 11 would be great", "28 11:00"),
        ("this Sunday at ten", "29 10:00"),
        ("November twenty fifth at ten", "25 10:00"),
        ("November 25th at 10 am", "25 10:00"),
        ("the twenty fifth at ten", "25 10:00"),
        ("on the 1st at 10 a.m.", "12-01 10:00"),
        ("December first at nine thirty", "12-01 9:30"),
        ("the third of December at 3 pm", "12-03 15:00"),
        ("today at four", "22 16:00"),
        ("today at nine", "22 21:00"),
        ("tonight at seven", "22 19:00"),
        ("at five", "22 17:00"),
        ("ten o'clock", "23 10:00"),
        ("in two hours", "22 14:00"),
        ("within an hour", "22 13:00"),
        ("in half an hour", "22 12:30"),
        ("in 30 minutes", "22 12:30"),
        ("can you come tomorrow at ten please", "23 10:00"),
        ("How about Tuesday at 9:15?", "24 9:15"),
        ("maybe between two and four on tuesday", "24 14:00"),
        ("tomorrow after five", "23 17:00"),
        ("ten", "23 10:00"),
        ("Yes, tomorrow at ten works for me.", "23 10:00"),
    ],
)
def test_a_spoken_time_is_an_instant(text: str, instant: str) -> None:
    when = times.find_time(text, SUNDAY, asked=True)
    assert when is not None
    assert (when.at, when.part_only) == (at(instant), False)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("tomorrow morning", "23 9:00"),
        ("tomorrow afternoon", "23 13:00"),
        ("Friday evening", "27 18:00"),
        ("next Friday afternoon", "27 13:00"),
        ("first thing in the morning on Monday", "23 8:00"),
        ("Tuesday after work", "24 18:00"),
        ("this afternoon", "22 13:00"),
    ],
)
def test_a_part_of_a_day_is_kept_as_such(text: str, instant: str) -> None:
    when = times.find_time(text, SUNDAY, asked=True)
    assert when is not None
    assert (when.at, when.part_only) == (at(instant), True)


@pytest.mark.parametrize("text", ["tomorrow", "on Tuesday", "Friday please", "November thirtieth"])
def test_a_day_alone_lacks_the_hour(text: str) -> None:
    when = times.find_time(text, SUNDAY, asked=True)
    assert when is not None
    assert (when.day_only, when.at) == (True, 0)


@pytest.mark.parametrize(
    ("day", "text", "instant"),
    [
        ("tomorrow", "at ten", "23 10:00"),
        ("Tuesday", "in the afternoon", "24 13:00"),
        ("Friday", "nine thirty", "27 9:30"),
        ("Friday", "around 3", "27 15:00"),
        ("tomorrow", "any time", "23 8:00"),
    ],
)
def test_the_hour_joins_the_day_given_before(day: str, text: str, instant: str) -> None:
    when = times.find_time(text, SUNDAY, asked=True, day=day)
    assert when is not None
    assert when.at == at(instant)
    assert day in when.words


@pytest.mark.parametrize(
    "text",
    [
        "as soon as possible",
        "ASAP",
        "right away",
        "now",
        "immediately please",
        "as soon as you can",
    ],
)
def test_soon_is_soon(text: str) -> None:
    when = times.find_time(text, SUNDAY, asked=True)
    assert when is not None
    assert when.soon


@pytest.mark.parametrize(
    "text", ["any time", "whenever", "I don't care", "I'm flexible", "next week"]
)
def test_a_loose_answer_keeps_the_callers_words(text: str) -> None:
    when = times.find_time(text, SUNDAY, asked=True)
    assert when is not None
    assert when.words
    assert when.at == 0


@pytest.mark.parametrize(
    "text",
    [
        "my sink is leaking now",
        "it broke yesterday",
        "it started on Friday",
        "since Monday there is no water",
        "this is Mary Jones",
        "I have two bathrooms",
        "12 Oak Street",
        "one of my lights went out",
        "I may need a plumber",
        "this morning it stopped working",
        "",
    ],
)
def test_other_talk_is_no_wish_for_a_time(text: str) -> None:
    assert times.find_time(text, SUNDAY, asked=False) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("my sink leaks, can you come tomorrow at ten", "tomorrow at ten"),
        ("I need a cleaner next Friday afternoon please", "next Friday afternoon"),
    ],
)
def test_only_the_words_about_the_time_are_kept(text: str, words: str) -> None:
    when = times.find_time(text, SUNDAY, asked=False)
    assert when is not None
    assert when.words == words


def test_a_time_that_has_passed_is_kept_in_words_only() -> None:
    when = times.find_time("today at ten in the morning", SUNDAY, asked=True)
    assert when is not None
    assert when.at == 0


@pytest.mark.parametrize(
    ("instant", "spoken"),
    [
        ("22 16:00", "today at four in the afternoon"),
        ("23 10:00", "tomorrow, Monday, at ten in the morning"),
        ("23 9:30", "tomorrow, Monday, at nine thirty in the morning"),
        ("24 12:00", "on Tuesday at noon"),
        ("24 18:05", "on Tuesday at six oh five in the evening"),
        ("25 9:15", "on Wednesday at nine fifteen in the morning"),
        ("27 14:45", "on Friday at two forty five in the afternoon"),
        ("12-25 10:00", "on Friday, December twenty fifth, at ten in the morning"),
        ("30 10:00", "on Monday, November thirtieth, at ten in the morning"),
    ],
)
def test_times_are_read_in_words(instant: str, spoken: str) -> None:
    assert spoken_times.spoken_time(at(instant), NEW_YORK, SUNDAY) == spoken


def test_a_part_of_a_day_is_not_read_as_an_hour() -> None:
    spoken = spoken_times.spoken_time(at("23 13:00"), NEW_YORK, SUNDAY, part_only=True)
    assert spoken == "tomorrow, Monday in the afternoon"


@pytest.mark.parametrize(
    ("configured", "number", "name"),
    [
        ("Europe/Berlin", "+12125550100", "Europe/Berlin"),
        ("", "+12125550100", "America/New_York"),
        ("Nowhere/Land", "+12125550100", "America/New_York"),
        ("../etc/passwd", "", "UTC"),
        ("", "anonymous", "UTC"),
    ],
)
def test_the_time_zone_is_configured_or_the_lines_own(
    configured: str, number: str, name: str
) -> None:
    assert str(zones.zone_of(configured, number)) == name


@given(st.text(max_size=80), st.booleans())
def test_any_text_gives_a_time_or_none(text: str, asked: bool) -> None:
    when = times.find_time(text, SUNDAY, asked=asked)
    assert when is None or (when.at >= 0 and len(when.words) <= 120)


TIME_WORDS = """tomorrow today monday next friday the at half past quarter to ten thirty november
first second 31st february 30 in two hours weeks morning pm noon after between and by of any time
asap 99 0 25:61 14:30 o'clock tonight weekend"""
_WORDS = st.sampled_from(TIME_WORDS.split())


@given(st.lists(_WORDS, max_size=8).map(" ".join), st.booleans(), st.sampled_from(["", "tomorrow"]))
def test_any_heap_of_time_words_is_survived(text: str, asked: bool, day: str) -> None:
    when = times.find_time(text, SUNDAY, asked=asked, day=day)
    if when is not None and when.at:
        spoken_times.spoken_time(when.at, NEW_YORK, SUNDAY, part_only=when.part_only)
