"""The silence in the caller's ear: how long it has lasted, and when it has lasted too long."""

from __future__ import annotations

import msgspec

from voice_server.call.playout import part_heard
from voice_server.call.policy import Policy

# For an answer after a long patience: the usual 700 and this make `filler_ms`. After digits,
# spelling or half a sentence this ends 1.6 to 1.95 s after the caller's last sound, and is not
# cut to make up for it: until that patience is over the turn is theirs, and whoever spells slowly
# would be talked over, or hear a phrase before each answer that was about to come.
_GRACE_MS = 550


class _Aside(msgspec.Struct):
    """An interjection on its way to the ear."""

    text: str
    starts_at: int
    ends_at: int


class Heard(msgspec.Struct, frozen=True):
    """What the caller heard of an interjection."""

    text: str
    started_ms: int
    ended_ms: int


class Quiet:
    """Keeps by time alone when the last sound ends: marks may be lost, time is not.

    `audible_until` is when all audio sent so far will have been played.
    """

    __slots__ = (
        "_aside",
        "_asked",
        "_asked_at",
        "_count",
        "_owed_since",
        "_policy",
        "audible_until",
    )

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._aside: _Aside | None = None
        self._asked = ""  # the phrase that was asked for and has not come
        self._asked_at = 0
        self._count = 0
        self._owed_since: int | None = None
        self.audible_until = 0

    @property
    def aside_plays(self) -> bool:
        """An interjection has been sent and not been told of."""
        return self._aside is not None

    def sounds(self, ms: int, now: int) -> None:
        """So much audio was sent: it plays behind what was sent before."""
        self.audible_until = max(now, self.audible_until) + ms

    def cut(self, now: int) -> None:
        """What was sent and not played was thrown away."""
        self.audible_until = min(now, self.audible_until)

    def due(self, spoken_at: int, now: int, *, owed: bool) -> int | None:
        """When an interjection is due, None while no sound is owed.

        `filler_ms` after the last sound, ours or the caller's, but not before an answer had
        its chance: silence that needs no excuse, as the caller's pause does not, may have
        lasted longer than that already.
        """
        if not owed:
            self._owed_since = None
            return None
        if self._owed_since is None:
            self._owed_since = now
        last = max(self.audible_until, spoken_at, self._asked_at)
        return max(last + self._policy.filler_ms, self._owed_since + _GRACE_MS)

    def next_phrase(self, now: int, *, tool_runs: bool) -> str:
        """The phrase to ask for; they take turns through the call."""
        policy = self._policy
        phrases = (tool_runs and policy.tool_fillers) or policy.fillers
        self._asked, self._asked_at = phrases[self._count % len(phrases)], now
        self._count += 1
        return self._asked

    def takes(self, text: str, now: int) -> bool:
        """Whether this interjection was asked for and no other sound came first."""
        wanted = bool(text) and text == self._asked and self.audible_until <= now
        self._asked = ""
        return wanted

    def interjected(self, text: str, ms: int, now: int) -> None:
        """An interjection was sent."""
        self.sounds(ms, now)
        self._aside = _Aside(text, now, self.audible_until)

    def aside_heard(self, now: int) -> Heard | None:
        """What has been heard of the interjection, which is over or about to be cut."""
        aside, self._aside = self._aside, None
        if aside is None:
            return None
        ends_at = min(now, aside.ends_at)
        length = aside.ends_at - aside.starts_at
        text = part_heard(aside.text, ends_at - aside.starts_at, length).strip()
        return Heard(text, aside.starts_at, ends_at) if text else None
