"""Where a call is in its life, and which way it may go from there."""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """The phases of a call."""

    WAITING = "waiting"  # no media yet
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    TRANSFERRING = "transferring"  # the carrier has the caller and rings a human
    ENDED = "ended"


# Every legal move, in one place; tests walk this table and the README draws it.
MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset({Phase.LISTENING, Phase.SPEAKING, Phase.ENDED}),
    Phase.LISTENING: frozenset({Phase.THINKING, Phase.SPEAKING, Phase.TRANSFERRING, Phase.ENDED}),
    Phase.THINKING: frozenset({Phase.LISTENING, Phase.SPEAKING, Phase.TRANSFERRING, Phase.ENDED}),
    Phase.SPEAKING: frozenset({Phase.LISTENING, Phase.TRANSFERRING, Phase.ENDED}),
    Phase.TRANSFERRING: frozenset({Phase.LISTENING, Phase.SPEAKING, Phase.ENDED}),
    Phase.ENDED: frozenset(),
}
