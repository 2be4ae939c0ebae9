"""Puts Twilio's status callbacks, separate requests that overtake each other, in order."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from voice_server.twilio.desk import CarrierStatus, StatusChange

_CAPACITY: Final = 10_000
_RANK: Final = {status: rank for rank, status in enumerate(CarrierStatus)}


class Stale(StrEnum):
    """Why a callback changes nothing."""

    UNKNOWN_STATUS = "unknown_status"
    REPEATED = "repeated"
    OVERTAKEN = "overtaken"
    AFTER_THE_END = "after_the_end"


class _Standing(msgspec.Struct, frozen=True):
    status: CarrierStatus
    sequence: int


class StatusBook:
    """Remembers how far each call has come; the longest unheard-of calls make room.

    A callback counts if its `SequenceNumber` is the highest yet and its status is further
    on than the last. A final status counts whenever none came before it.
    """

    __slots__ = ("_calls", "_capacity")

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._calls: dict[str, _Standing] = {}
        self._capacity = capacity

    def enter(self, carrier_call_id: str, fields: Mapping[str, str]) -> StatusChange | Stale:
        """Take the fields of a callback; say what is new, or why nothing is."""
        try:
            status = CarrierStatus(fields.get("CallStatus", ""))
        except ValueError:
            return Stale.UNKNOWN_STATUS
        sequence = number(fields.get("SequenceNumber", ""))
        standing = self._calls.get(carrier_call_id)
        if standing is not None and (stale := _compare(standing, status, sequence)) is not None:
            return stale
        self._remember(carrier_call_id, _Standing(status, sequence))
        return StatusChange(carrier_call_id, status, number(fields.get("CallDuration", "")))

    def _remember(self, carrier_call_id: str, standing: _Standing) -> None:
        self._calls.pop(carrier_call_id, None)
        if len(self._calls) >= self._capacity:
            del self._calls[next(iter(self._calls))]
        self._calls[carrier_call_id] = standing


def _compare(standing: _Standing, status: CarrierStatus, sequence: int) -> Stale | None:
    if status is standing.status:
        return Stale.REPEATED
    if standing.status.is_final:
        return Stale.AFTER_THE_END
    if status.is_final:
        return None
    unordered = sequence < 0 or standing.sequence < 0
    if _RANK[status] < _RANK[standing.status] or not (unordered or sequence > standing.sequence):
        return Stale.OVERTAKEN
    return None


def number(text: str) -> int:
    """A number of a form, -1 where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
