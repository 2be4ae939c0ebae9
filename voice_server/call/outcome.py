"""How a call ends: closed sets that can be counted, never prose."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Disposition(StrEnum):
    """What the call came to."""

    BOOKED = "booked"  # an order stands in the database
    HANDED_OVER = "handed_over"  # a human takes the line
    ANSWERED = "answered"  # ended politely, nothing booked
    ABANDONED = "abandoned"  # the caller hung up before the agent was done
    SILENT = "silent"  # nobody spoke
    SCAM = "scam"  # the scam shield ended it
    FAILED = "failed"  # we could not hold the conversation


class EndReason(StrEnum):
    """What made the call end."""

    AGENT_GOODBYE = "agent_goodbye"
    CALLER_HUNG_UP = "caller_hung_up"
    STREAM_LOST = "stream_lost"
    CARRIER_ENDED = "carrier_ended"
    TRANSFER = "transfer"
    SILENCE = "silence"
    MAX_DURATION = "max_duration"
    SCAM = "scam"
    PART_FAILED = "part_failed"
    SERVER_CLOSING = "server_closing"


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """The one final word about a call."""

    disposition: Disposition
    reason: EndReason


SILENCE = Outcome(Disposition.SILENT, EndReason.SILENCE)
SCAM = Outcome(Disposition.SCAM, EndReason.SCAM)
SCAM_HAND_OVER = Outcome(Disposition.HANDED_OVER, EndReason.SCAM)
FAILED = Outcome(Disposition.FAILED, EndReason.PART_FAILED)
MAX_DURATION = Outcome(Disposition.ANSWERED, EndReason.MAX_DURATION)
SERVER_CLOSING = Outcome(Disposition.FAILED, EndReason.SERVER_CLOSING)
