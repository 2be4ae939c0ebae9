"""One-time tokens that tie a media stream to the call whose TwiML asked for it.

Twilio's signature has no time stamp and is the same for every WebSocket, so it can be
replayed; a token cannot.
"""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Final

import msgspec

_CAPACITY: Final = 10_000


class BadToken(StrEnum):
    """Why a token opens nothing."""

    MISSING = "missing_token"
    UNKNOWN = "unknown_token"  # never issued, used before, or crowded out
    EXPIRED = "expired_token"
    FOREIGN = "foreign_token"  # issued for another call


class _Grant(msgspec.Struct, frozen=True):
    carrier_call_id: str
    call_id: str
    expires_at: float


class MediaTokens:
    """Issues and takes back tokens. Holds at most `capacity`; the oldest make room."""

    __slots__ = ("_capacity", "_grants", "_ttl_s")

    def __init__(self, ttl_s: float, capacity: int = _CAPACITY) -> None:
        self._ttl_s = ttl_s
        self._capacity = capacity
        self._grants: dict[str, _Grant] = {}  # in the order of issue, hence of expiry

    def __len__(self) -> int:
        return len(self._grants)

    def issue(self, carrier_call_id: str, call_id: str, now: float) -> str:
        """Make a token for one stream of this call; `now` is any clock that never goes back."""
        self._make_room(now)
        token = secrets.token_urlsafe(32)
        self._grants[token] = _Grant(carrier_call_id, call_id, now + self._ttl_s)
        return token

    def redeem(self, token: str, carrier_call_id: str, call_id: str, now: float) -> BadToken | None:
        """Use a token up; None = it was good.

        A token shown for a foreign call stays good for its own: whoever overheard it
        must not be able to shut the caller out.
        """
        if not token:
            return BadToken.MISSING
        grant = self._grants.get(token)
        if grant is None:
            return BadToken.UNKNOWN
        if grant.expires_at <= now:
            del self._grants[token]
            return BadToken.EXPIRED
        if (grant.carrier_call_id, grant.call_id) != (carrier_call_id, call_id):
            return BadToken.FOREIGN
        del self._grants[token]
        return None

    def _make_room(self, now: float) -> None:
        while self._grants:
            oldest = next(iter(self._grants))
            full = len(self._grants) >= self._capacity
            if not full and self._grants[oldest].expires_at > now:
                return
            del self._grants[oldest]
