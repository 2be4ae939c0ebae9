"""The time zone in which a tenant's callers mean their times."""

from __future__ import annotations

import contextlib
from datetime import timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
from phonenumbers import timezone as phone_zones


@lru_cache(maxsize=256)
def zone_of(configured: str, number: str) -> tzinfo:
    """The tenant's time zone: as configured, else where its number is at home, else UTC."""
    names = [configured]
    with contextlib.suppress(phonenumbers.NumberParseException):
        names += phone_zones.time_zones_for_number(phonenumbers.parse(number))
    for name in names:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return timezone.utc  # noqa: UP017 - datetime.UTC is the same object
