"""Whose turn it is: when the caller speaks, pauses and has finished."""

from __future__ import annotations

import re
from enum import Enum

from voice_server.call.events import Expectation
from voice_server.call.voice_activity import SPEECH_LEVEL

FRAME_MS = 20

_FAINT_LEVEL = 3  # the tail of a word may be as soft as this
_FAINT_FACTOR = 1.3
_FLOOR_FACTOR = 2.5  # speech stands out from the line's own noise by this
_FLOOR_CEILING = 24.0  # a louder "noise floor" is a voice that never paused
_FLOOR_RISE = 0.004  # per frame: a new hum is learnt within some seconds
_FLOOR_FALL = 0.2

_SURE_SPEECH = 50  # percent, Silero's own recommended threshold
_STILL_SPEECH = 35  # and its exit threshold, 0.15 lower
_SCORE_LIFE_MS = 400  # without a newer score the model counts as absent

_ATTACK_MS = 60  # loud and confirmed by the model
_ATTACK_ALONE_MS = 120  # loud, no model to ask


class Edge(Enum):
    """The caller began or stopped making speech."""

    OPENED = "opened"
    CLOSED = "closed"


class VoiceGate:
    """Loudness and the voice activity model together, with hysteresis.

    Loudness is there with every frame, the model's scores lag by some tens of ms but know a
    voice from a door. Either may be missing.
    """

    __slots__ = (
        "_floor",
        "_loud_ms",
        "_release_ms",
        "_score",
        "_score_at",
        "last_voice_at",
        "onset_at",
        "open",
    )

    def __init__(self, release_ms: int) -> None:
        self.open = False
        self.onset_at = 0  # when the present or last utterance began
        self.last_voice_at = 0  # the newest moment that held voice
        self._release_ms = release_ms
        self._loud_ms = 0
        self._floor = 2.0
        self._score = 0
        self._score_at = -_SCORE_LIFE_MS

    def score(self, percent: int, now: int) -> None:
        """Take the model's view of one more window."""
        self._score, self._score_at = percent, now

    def hear(self, loudness: int, now: int) -> Edge | None:
        """Take one frame; returns the edge it makes, if any."""
        loud = loudness >= SPEECH_LEVEL and loudness >= self._floor * _FLOOR_FACTOR
        drift = _FLOOR_RISE if loudness > self._floor else _FLOOR_FALL
        self._floor = min(_FLOOR_CEILING, self._floor + (loudness - self._floor) * drift)
        known = now - self._score_at < _SCORE_LIFE_MS
        if self.open:
            faint = loudness >= _FAINT_LEVEL and loudness > self._floor * _FAINT_FACTOR
            return self._while_open(loud, faint, known, now)
        if not loud or (known and self._score < _STILL_SPEECH and self._loud_ms >= _ATTACK_MS):
            # a long loud noise that the model does not take for a voice keeps waiting
            self._loud_ms = self._loud_ms if loud else 0
            return None
        self._loud_ms += FRAME_MS
        confirmed = known and self._score >= _SURE_SPEECH
        if self._loud_ms < (_ATTACK_MS if confirmed else _ATTACK_ALONE_MS):
            return None
        # frames that were held up arrive in one burst: their speech cannot predate the call
        self.open, self.onset_at, self.last_voice_at = True, max(0, now - self._loud_ms), now
        self._loud_ms = 0
        return Edge.OPENED

    def _while_open(self, loud: bool, faint: bool, known: bool, now: int) -> Edge | None:
        voiced = self._score >= _STILL_SPEECH if known else loud
        # the score lags: on a frame of plain silence it still speaks of the one before
        if voiced and (loud or (faint and self._score >= _SURE_SPEECH)):
            self.last_voice_at = now
            return None
        if now - self.last_voice_at < self._release_ms:
            return None
        self.open = False
        return Edge.CLOSED


_PATIENCE_PERCENT = {
    Expectation.ANYTHING: 100,
    Expectation.YES_NO: 80,
    Expectation.DIGITS: 200,  # people pause between the groups of a number
    Expectation.SPELLING: 200,
    Expectation.ADDRESS: 150,
}
_UNFINISHED_PERCENT = 170
_UNFINISHED = re.compile(
    r"(?:[,…]|\b(?:an?|and|as|at|because|but|for|from|i|if|in|is|it's|like|my|of|on|or|our|so|"
    r"that|the|their|to|uh|um|was|we|well|when|which|with|your)[ .…]*)$",
    re.IGNORECASE,
)


def patience_ms(end_of_turn_ms: int, expects: Expectation, text: str) -> int:
    """How long a silence must last until the caller has finished.

    Longer where an answer comes in pieces, and after words that nobody ends on.
    """
    percent = _PATIENCE_PERCENT[expects]
    if _UNFINISHED.search(text.rstrip()):
        percent = max(percent, _UNFINISHED_PERCENT)
    return end_of_turn_ms * percent // 100
