"""Tenants, agents and calls to test with."""

from __future__ import annotations

from typing import Any

from db import Pool
from db.rows import (
    CallRow,
    CostBooked,
    LineSaid,
    NewOrder,
    ScamDetected,
    SessionBegun,
    SessionEnded,
    StatusChanged,
    TurnMeasured,
)

ANNA = "aaaaaaaa-0000-4000-8000-000000000001"
BERT = "bbbbbbbb-0000-4000-8000-000000000002"
ADMIN = "cccccccc-0000-4000-8000-000000000003"
NOBODY = "dddddddd-0000-4000-8000-000000000004"  # a valid user without a profile

START = 1_780_000_000_000  # 2026-05-28T20:26:40Z


async def add_tenants(pool: Pool) -> None:
    """Anna and Bert, vendors with an agent and a number each, and an admin."""
    async with pool.server() as connection:
        await connection.executemany(
            "INSERT INTO user_profiles (id, role, full_name, email, phone) VALUES "
            "($1, $2, $3, $3 || '@example.com', '+12025550199')",
            [(ANNA, "vendor", "Anna"), (BERT, "vendor", "Bert"), (ADMIN, "admin", "Ada")],
        )
        await connection.executemany(
            "INSERT INTO ai_agents (id, user_id, name) VALUES ($1, $2, $1)",
            [("agent-anna", ANNA), ("agent-bert", BERT)],
        )
        await connection.executemany(
            "INSERT INTO phone_numbers (number, user_id, agent_id) VALUES ($1, $2, $3)",
            [("+12025550111", ANNA, "agent-anna"), ("+12025550122", BERT, "agent-bert")],
        )


def begun(call_id: str = "call-1", user_id: str = ANNA, **changes: Any) -> SessionBegun:
    facts: dict[str, Any] = {
        "call_id": call_id,
        "user_id": user_id,
        "agent_id": "agent-anna" if user_id == ANNA else "agent-bert",
        "carrier_call_id": f"CA-{call_id}",
        "from_number": "+12025550177",
        "to_number": "+12025550111",
        "status": "initiated",
        "direction": "inbound",
        "at": START,
    }
    return SessionBegun(**(facts | changes))


def ended(call_id: str = "call-1", user_id: str = ANNA, **changes: Any) -> SessionEnded:
    facts: dict[str, Any] = {
        "call_id": call_id,
        "user_id": user_id,
        "status": "completed",
        "outcome": "booked",
        "reason": "agent_goodbye",
        "duration_ms": 61_500,
        "cost_micro_usd": 12_940,
        "severity": "high",
        "risk": 0.8437219,
        "turns": 3,
        "journal": "journals/call-1.journal",
        "answered_at": START + 900,
        "at": START + 62_400,
    }
    return SessionEnded(**(facts | changes))


def line(
    sequence: int, speaker: str, text: str, call_id: str = "call-1", **changes: Any
) -> LineSaid:
    facts: dict[str, Any] = {
        "call_id": call_id,
        "sequence": sequence,
        "speaker": speaker,
        "text": text,
        "unheard": "",
        "started_ms": sequence * 1_000,
        "ended_ms": sequence * 1_000 + 800,
    }
    return LineSaid(**(facts | changes))


def cost(sequence: int, micro_usd: int, call_id: str = "call-1", **changes: Any) -> CostBooked:
    facts: dict[str, Any] = {
        "call_id": call_id,
        "sequence": sequence,
        "item": "twilio.voice_inbound.minutes",
        "quantity": 1,
        "micro_usd": micro_usd,
        "at": START + sequence,
    }
    return CostBooked(**(facts | changes))


def detected(sequence: int, call_id: str = "call-1", **changes: Any) -> ScamDetected:
    facts: dict[str, Any] = {
        "call_id": call_id,
        "sequence": sequence,
        "user_id": ANNA,
        "risk": 0.8437219,
        "severity": "high",
        "confidence": 0.918,
        "patterns_json": '[{"name":"gift_card_payment","weight":0.7}]',
        "predictions_json": '[{"model":"linear","label":"scam","probability":0.77123456}]',
        "keywords": ("gift card", "warrant"),
        "behaviour_json": '[{"name":"pressure"}]',
        "segments_json": '[{"number":2,"text":"buy gift cards"}]',
        "model_version": "scam-1",
        "processing_us": 3_700,
        "final": False,
        "at": START + sequence,
    }
    return ScamDetected(**(facts | changes))


def whole_call(call_id: str = "call-1") -> list[CallRow]:
    """Every kind of row once or more, as a call writes them."""
    return [
        begun(call_id),
        StatusChanged(call_id, "ringing", "ringing", START + 100),
        StatusChanged(call_id, "answered", "in-progress", START + 900),
        line(1, "agent", "Hello, how can I help?", call_id),
        line(2, "caller", "My sink leaks.", call_id),
        TurnMeasured(call_id, 3, 1, 310, 420, 690),
        cost(4, 8_500, call_id),
        line(5, "agent", "What is your", call_id, unheard=" name?"),
        cost(6, 4_400, call_id, item="twilio.media_stream.minutes"),
        detected(7, call_id),
        cost(8, 40, call_id, item="local.llm.turns"),
        StatusChanged(call_id, "completed", "completed", START + 62_000),
        ended(call_id),
    ]


def new_order(key: str = "key-1", vendor_id: str = ANNA, **changes: Any) -> NewOrder:
    facts: dict[str, Any] = {
        "key": key,
        "vendor_id": vendor_id,
        "call_id": "call-1",
        "customer_name": "Maria Lopez",
        "customer_phone": "+12025550133",
        "service_type": "plumbing",
        "description": "The sink leaks",
        "customer_address": "4 Elm Street",
        "scheduled_text": "tomorrow at ten",
    }
    return NewOrder(**(facts | changes))
