"""What the call has cost so far, in exact micro-dollars."""

from __future__ import annotations

from voice_server.call.policy import Rate


class Meter:
    """Adds up consumption per tariff item.

    Money is computed from the item's total, so that a thousand small bookings cost exactly
    what one big one does. Items without a rate cost nothing but are still booked.
    """

    __slots__ = ("_quantities", "_rates", "_total")

    def __init__(self, tariff: tuple[Rate, ...]) -> None:
        self._rates = {rate.item: rate for rate in tariff}
        self._quantities: dict[str, int] = {}
        self._total = 0

    @property
    def micro_usd(self) -> int:
        """All bookings together; never falls."""
        return self._total

    def book(self, item: str, quantity: int) -> int:
        """Add `quantity` (>= 0) of an item; returns what this booking added to the cost."""
        before = self._quantities.get(item, 0)
        after = before + quantity
        self._quantities[item] = after
        added = self._worth(item, after) - self._worth(item, before)
        self._total += added
        return added

    def _worth(self, item: str, quantity: int) -> int:
        rate = self._rates.get(item)
        return 0 if rate is None else -(-quantity * rate.micro_usd // rate.per)


def started_minutes(ms: int) -> int:
    """Minutes as a carrier bills them: every started one counts, an answered call at least one."""
    return max(1, -(-ms // 60_000))
