"""The rows a call writes, as values that can wait in memory or in a spill file.

Every row is idempotent: writing it twice leaves the database as writing it once, because a
spill file may be replayed after a crash that happened between the write and its note.
`sequence` numbers the rows of a call from 1; instants are ms since the Unix epoch.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class SessionBegun(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A call exists. `status` is one of the `call_sessions` statuses."""

    call_id: str
    user_id: str  # the tenant, a UUID
    agent_id: str
    carrier_call_id: str  # Twilio's CallSid
    from_number: str
    to_number: str
    status: str
    direction: str  # "inbound" or "outbound"
    at: int
    campaign_id: str = ""


class StatusChanged(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The call moved on. A terminal status is never moved back."""

    call_id: str
    status: str
    raw_status: str  # the carrier's own word
    at: int


class LineSaid(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """One line of the transcript; `unheard` is what the agent planned and nobody heard."""

    call_id: str
    sequence: int
    speaker: str  # "caller" or "agent"
    text: str
    unheard: str
    started_ms: int  # since the call began
    ended_ms: int


class CostBooked(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A cost, in micro-dollars (1 USD = 1,000,000)."""

    call_id: str
    sequence: int
    item: str
    quantity: int
    micro_usd: int
    at: int


class TurnMeasured(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Stage latencies of one turn in ms from the end of the caller's speech; -1 = no such stage."""

    call_id: str
    sequence: int
    turn: int
    transcript_ms: int
    first_text_ms: int
    first_audio_ms: int


class ScamDetected(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """One assessment. The JSON texts are ready for the JSONB columns of `scam_detections`."""

    call_id: str
    sequence: int
    user_id: str
    risk: float  # full precision; the column keeps two digits
    severity: str
    confidence: float
    patterns_json: str
    predictions_json: str
    keywords: tuple[str, ...]
    behaviour_json: str
    segments_json: str
    model_version: str
    processing_us: int
    final: bool
    at: int


class SessionEnded(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The call is over: folds its lines into `conversation_data` and counts it in the usage.

    Counted once, however often it is written. `journal` is where the journal lies, "" if none.
    """

    call_id: str
    user_id: str
    status: str  # "completed", "failed" or "cancelled"
    outcome: str  # a Disposition value
    reason: str  # an EndReason value
    duration_ms: int
    cost_micro_usd: int
    severity: str
    risk: float
    turns: int
    journal: str
    answered_at: int  # 0 = never answered
    at: int
    conversation_id: str = ""  # at the service of a hosted agent


class AnswerDetected(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """The carrier's verdict on who answered a call of ours: a person or a machine."""

    call_id: str
    answered_by: str  # the carrier's own word, e.g. "human" or "machine_start"
    took_ms: int  # how long the carrier listened
    at: int


CallRow: TypeAlias = (
    SessionBegun
    | StatusChanged
    | LineSaid
    | CostBooked
    | TurnMeasured
    | ScamDetected
    | SessionEnded
    | AnswerDetected
)


class AgentRow(msgspec.Struct, frozen=True):
    """An `ai_agents` row with the number it answers; the configurations are JSON texts."""

    agent_id: str
    user_id: str
    tenant_name: str
    name: str
    status: str
    phone_number: str
    voice_config: str
    llm_config: str
    behavior_config: str
    elevenlabs_config: str
    tenant_phone: str = ""  # whom to warn of scams; E.164, never logged


class NewOrder(msgspec.Struct, frozen=True):
    """An order to be booked. `key` makes booking it twice the same as booking it once."""

    key: str
    vendor_id: str  # the tenant, a UUID
    call_id: str
    customer_name: str
    customer_phone: str
    service_type: str  # plumbing, electrical, cleaning, repairs, maintenance or other
    description: str
    customer_address: str = ""
    customer_email: str = ""
    priority: str = "medium"
    scheduled_at: int = 0  # ms since the Unix epoch, 0 = not agreed
    scheduled_text: str = ""  # the caller's own words about the time
