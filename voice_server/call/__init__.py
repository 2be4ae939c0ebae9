"""The pure core of a phone call: events in, commands out."""

from voice_server.call.agent import BOOK_ORDER, END_CALL, TRANSFER_CALL
from voice_server.call.machine import Call
from voice_server.call.outcome import Disposition, EndReason, Outcome
from voice_server.call.phase import MOVES, Phase
from voice_server.call.policy import Policy, Rate

__all__ = [
    "BOOK_ORDER",
    "END_CALL",
    "MOVES",
    "TRANSFER_CALL",
    "Call",
    "Disposition",
    "EndReason",
    "Outcome",
    "Phase",
    "Policy",
    "Rate",
]
