"""The common vocabulary of what a simulated service can get wrong on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Fault(StrEnum):
    """One way for a request or connection to go wrong."""

    NONE = "none"
    SLOW_FIRST_BYTE = "slow_first_byte"  # silent for `delay_s`, then as usual
    STALL = "stall"  # silent for `delay_s` in the middle, then as usual
    DROP = "drop"  # the connection dies without a word
    CLOSE = "close"  # a WebSocket is closed with `code`
    GARBAGE = "garbage"  # bytes that are no message of the protocol
    UNAUTHORIZED = "unauthorized"  # 401
    RATE_LIMITED = "rate_limited"  # 429
    SERVER_ERROR = "server_error"  # 503
    QUOTA = "quota"  # the account is used up


class Injection(msgspec.Struct, frozen=True):
    """A fault and when it strikes. `after_bytes` of the answer pass before it does.

    What a byte of the answer is, each simulator says: audio, or text.
    """

    fault: Fault = Fault.NONE
    after_bytes: int = 0
    delay_s: float = 30.0
    code: int = 1011


class FaultPlan:
    """Which request or connection gets which fault; they are numbered from 1."""

    def __init__(
        self,
        numbered: Mapping[int, Injection | Fault] | None = None,
        otherwise: Injection | Fault = Fault.NONE,
    ) -> None:
        self._numbered = {number: _injection(what) for number, what in (numbered or {}).items()}
        self._otherwise = _injection(otherwise)
        self.seen = 0

    def take(self) -> Injection:
        """The fate of the next request or connection."""
        self.seen += 1
        return self._numbered.get(self.seen, self._otherwise)


def _injection(what: Injection | Fault) -> Injection:
    return what if isinstance(what, Injection) else Injection(what)
