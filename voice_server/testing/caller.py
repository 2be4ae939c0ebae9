"""What the person on the simulated phone does, 20 ms at a time.

A caller is asked once per frame: it is given what it heard in the last 20 ms and answers
with what it says in the next. No clock and no I/O after construction, so that a conversation
runs alike in real and in virtual time.
"""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path
from typing import Protocol

import msgspec

from voice_server.call.voice_activity import loudness
from voice_server.testing.script import Script, ScriptError, Turn, read_caller
from voice_server.testing.wav import SAMPLE_RATE, SILENCE

FRAME = 160  # samples, 20 ms
FRAME_MS = 20
COMFORT = SILENCE * FRAME
AUDIBLE = 4  # loudness; the silence of a synthetic voice measures 0 or 1, a quiet voice 12

_KEY_MS = 240  # from key to key; people and dialling phones press 3 to 5 a second
_MIN_SPEECH_MS = 100  # less is a click, not an answer


class Move(msgspec.Struct, frozen=True):
    """What a caller does in 20 ms: its voice, keys pressed, hanging up after it."""

    mulaw: bytes = COMFORT
    digits: str = ""
    hangs_up: bool = False


_LISTEN = Move()
_HANG_UP = Move(hangs_up=True)


class Caller(Protocol):
    """Somebody on the line; used for one call."""

    def move(self, heard: bytes, now_ms: int) -> Move:
        """Answer the 20 ms of agent audio that ended at `now_ms` (since the call began)."""


class SilentCaller:
    """Says nothing, presses the given keys, hangs up after a while."""

    def __init__(self, stay_ms: int, *, digits: str = "", digits_at_ms: int = 0) -> None:
        self._stay_ms = stay_ms
        self._keys = _Keys(digits)
        self._digits_at_ms = digits_at_ms

    def move(self, heard: bytes, now_ms: int) -> Move:  # noqa: ARG002
        if now_ms >= self._stay_ms:
            return _HANG_UP
        key = self._keys.press(now_ms - self._digits_at_ms)
        return Move(digits=key) if key else _LISTEN


class Monologue:
    """Plays a voice from the start, whatever the agent does; then hangs up."""

    def __init__(self, voice: bytes, *, linger_ms: int = 1_000, hang_up: bool = True) -> None:
        self._frames = _cut(voice)
        self._next = 0
        self._linger_ms = linger_ms
        self._hang_up = hang_up
        self._done_at: int | None = None

    def move(self, heard: bytes, now_ms: int) -> Move:  # noqa: ARG002
        if self._next < len(self._frames):
            self._next += 1
            return Move(self._frames[self._next - 1])
        if self._done_at is None:
            self._done_at = now_ms
        over = self._hang_up and now_ms - self._done_at >= self._linger_ms
        return _HANG_UP if over else _LISTEN


class _Stage(Enum):
    WAITING = auto()
    SPEAKING = auto()
    LEAVING = auto()


class Conversation:
    """Speaks each turn of a script when it is its time.

    A turn waits until the agent has said something (since the caller's last turn) and has
    been silent at the caller's ear for `patience_s`; `interrupt_after_s` speaks into the
    agent's words instead; after `max_wait_s` the caller goes on in any case. After the last
    turn it listens to the agent's closing and hangs up, or stays when `hang_up` is false.
    """

    def __init__(self, script: Script, voice: bytes) -> None:
        self._script = script
        self._voice = voice
        self._ear = _Ear()
        self._turns = list(reversed(script.turns))
        self._since = 0
        self._stage = _Stage.WAITING if script.turns else _Stage.LEAVING
        self._began = 0
        self._frames: list[bytes] = []
        self._keys = _Keys("")

    def move(self, heard: bytes, now_ms: int) -> Move:
        self._ear.listen(heard, now_ms)
        if self._stage is _Stage.WAITING and self._is_due(self._turns[-1], now_ms):
            self._begin(self._turns.pop(), now_ms)
        if self._stage is _Stage.SPEAKING:
            return self._speak(now_ms)
        if self._stage is _Stage.LEAVING and self._script.hang_up:
            closed = self._ear.has_finished(round(self._script.farewell_s * 1000), now_ms)
            return _HANG_UP if closed or self._waited_enough(now_ms) else _LISTEN
        return _LISTEN

    def _is_due(self, turn: Turn, now_ms: int) -> bool:
        if turn.interrupt_after_s is not None:
            began = self._ear.began_at
            if began is not None and now_ms - began >= turn.interrupt_after_s * 1000:
                return True
        patience_ms = round((self._script.patience_s + turn.pause_s) * 1000)
        return self._ear.has_finished(patience_ms, now_ms) or self._waited_enough(now_ms)

    def _waited_enough(self, now_ms: int) -> bool:
        quiet_since = max(self._since, self._ear.last_heard_at)
        return now_ms - quiet_since >= self._script.max_wait_s * 1000

    def _begin(self, turn: Turn, now_ms: int) -> None:
        begin, end = (round(second * SAMPLE_RATE) for second in (turn.start, turn.end))
        self._frames = _cut(self._voice[begin:end])
        self._keys = _Keys(turn.digits)
        self._began = now_ms
        self._stage = _Stage.SPEAKING

    def _speak(self, now_ms: int) -> Move:
        index = (now_ms - self._began) // FRAME_MS
        key = self._keys.press(now_ms - self._began)
        frame = self._frames[index] if index < len(self._frames) else COMFORT
        if index + 1 >= len(self._frames) and self._keys.are_done:
            self._stage = _Stage.WAITING if self._turns else _Stage.LEAVING
            self._since = now_ms
            self._ear.forget()
        return Move(frame, key)


class WavCaller(Monologue):
    """Plays channel 0 of a mu-law wav from its start. Raises WavError, OSError."""

    def __init__(self, path: Path | str, *, linger_ms: int = 1_000, hang_up: bool = True) -> None:
        self.script, voice = read_caller(Path(path))
        super().__init__(voice, linger_ms=linger_ms, hang_up=hang_up)


class ScriptedCaller(Conversation):
    """Holds the conversation of a wav's sidecar. Raises ScriptError, WavError, OSError."""

    def __init__(self, path: Path | str) -> None:
        self.script, voice = read_caller(Path(path))
        if not (self.script.respond and self.script.turns):
            raise ScriptError(
                f"{Path(path).stem}: no script to follow; its sidecar needs "
                '"respond": true and turns (or play it with WavCaller)'
            )
        super().__init__(self.script, voice)


def caller_for(path: Path | str) -> WavCaller | ScriptedCaller:
    """The caller that suits a recording: scripted if its sidecar says `respond`."""
    caller = WavCaller(path)
    return ScriptedCaller(path) if caller.script.respond else caller


class _Ear:
    """When the agent spoke, judged by loudness at the caller's end of the line."""

    __slots__ = ("_heard_ms", "began_at", "last_heard_at")

    def __init__(self) -> None:
        self.last_heard_at = 0
        self.forget()

    def forget(self) -> None:
        """Start counting anew, at the end of a turn of the caller."""
        self.began_at: int | None = None
        self._heard_ms = 0

    def listen(self, heard: bytes, now_ms: int) -> None:
        if loudness(heard) < AUDIBLE:
            return
        if self.began_at is None:
            self.began_at = now_ms - FRAME_MS
        self.last_heard_at = now_ms
        self._heard_ms += FRAME_MS

    def has_finished(self, silence_ms: int, now_ms: int) -> bool:
        spoke = self._heard_ms >= _MIN_SPEECH_MS
        return spoke and now_ms - self.last_heard_at >= silence_ms


class _Keys:
    """Keys pressed one after the other."""

    __slots__ = ("_left",)

    def __init__(self, digits: str) -> None:
        self._left = list(enumerate(digits))

    def press(self, elapsed_ms: int) -> str:
        """The key that goes down at this instant, "" for none."""
        if self._left and elapsed_ms >= self._left[0][0] * _KEY_MS:
            return self._left.pop(0)[1]
        return ""

    @property
    def are_done(self) -> bool:
        return not self._left


def _cut(voice: bytes) -> list[bytes]:
    """Frames of 20 ms, the last one filled up with silence."""
    return [voice[at : at + FRAME].ljust(FRAME, SILENCE) for at in range(0, len(voice), FRAME)]
