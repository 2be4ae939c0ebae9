"""What the person on the phone hears of us: each wait, and whether it was ours to end."""

from __future__ import annotations

from collections.abc import Callable

from voice_server.call.voice_activity import loudness
from voice_server.testing.caller import AUDIBLE, FRAME_MS, Caller, Move


class Ear:
    """A caller who also measures, frame by frame, on what the phone really played.

    A silence is ours from the end of our last sound, or from the end of the tenant's patience
    after the caller's own words, as long as the call owes a sound: it is opening, thinking, or
    speaking, or the caller has said something that nobody has answered. `phase` tells the
    first; the second is heard.
    """

    def __init__(self, caller: Caller, phase: Callable[[], str], *, patience_ms: int) -> None:
        self._caller = caller
        self._phase = phase
        self._patience_ms = patience_ms
        self._quiet_since = 0
        self._answered = True
        self.now_ms = -1
        self.spoke_ms = 0  # how much the caller has said so far
        self.speaking = False
        self.heard_ms = 0  # how much of us was audible since the caller's last words
        self.began_ms = -1  # when the fault began
        self.waits: list[int] = []  # ms, those that ended later than that
        self._wait = 0

    def move(self, heard: bytes, now_ms: int) -> Move:
        """Measure the last 20 ms, then do as the caller does."""
        self.now_ms = now_ms
        if loudness(heard) >= AUDIBLE:
            self.heard_ms += FRAME_MS
            self._answered = True
            self._sound(now_ms)
        elif not self.speaking:
            self._silence(now_ms)
        move = self._caller.move(heard, now_ms)
        self.speaking = loudness(move.mulaw) >= AUDIBLE
        if self.speaking:
            self.spoke_ms += FRAME_MS
            self.heard_ms = 0
            self._answered = False
            self._sound(now_ms + self._patience_ms)
        return move

    def _silence(self, now_ms: int) -> None:
        phase = self._phase()
        if phase == "listening" and self._answered:  # it is the caller's turn
            self._sound(now_ms)
        elif phase not in ("", "ended"):
            self._wait = now_ms - self._quiet_since

    def _sound(self, until_ms: int) -> None:
        """Silence is explained up to here."""
        self.end()
        self._quiet_since = until_ms

    def end(self) -> None:
        """What was waited for has come, or the call is over."""
        if self._wait > 0 and self.now_ms > self.began_ms >= 0:
            self.waits.append(self._wait)
        self._wait = 0
