"""From an agent's row to the rules of its calls. Odd values fall back, they never fail a call."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, TypeGuard

import msgspec

from db.rows import AgentRow
from detectors.assessment import Severity
from voice_server.call import Policy, Rate

log = logging.getLogger(__name__)

_GREETING = "Hello, this is {name} from {tenant}. How can I help you today?"
_NUMBERS = {  # behaviour key -> (policy field, least, most)
    "max_call_duration": ("max_call_ms", 10_000, 4 * 3_600_000),
    "end_of_turn_ms": ("end_of_turn_ms", 200, 5_000),
    "silence_ms": ("silence_ms", 2_000, 120_000),
    "barge_in_ms": ("barge_in_ms", 60, 2_000),
    "filler_ms": ("filler_ms", 500, 10_000),
}
_FLAGS = {
    "auto_end_on_silence": "end_on_silence",
    "scam_detection_enabled": "detect_scams",
    "interruptible": "interruptible",
}
_PHRASES = {
    "greeting": "greeting",
    "silence_closing": "silence_closing",
    "scam_closing": "scam_closing",
    "scam_challenge": "scam_challenge",
    "scam_hand_over": "scam_hand_over",
    "failure_closing": "failure_closing",
    "transfer_missed": "transfer_missed",
}
_PHRASE_LISTS = ("fillers", "tool_fillers")
_MOST_PHRASES = 8  # each is said ahead of need, and paid for
_LONGEST_PHRASE = 120  # a caller who waits for an answer does not want a speech
_BANDS = {
    "scam_warn_at": "warn_at",
    "scam_verify_at": "verify_at",
    "scam_block_at": "block_at",
    "scam_hand_over_at": "hand_over_at",
    "scam_end_at": "end_at",
}


def behaviour(agent: AgentRow) -> dict[str, Any]:
    """The agent's `behavior_config`; an unreadable one counts as empty and is logged."""
    try:
        return msgspec.json.decode(agent.behavior_config or "{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        log.warning("unreadable behavior_config", extra={"agent": agent.agent_id})
        return {}


def policy_for(
    agent: AgentRow,
    tariff: Iterable[Rate] = (),
    *,
    carrier_items: tuple[str, ...] = (),
    stream_items: tuple[str, ...] = (),
) -> Policy:
    """The rules of this agent's calls, from the document's `behavior_config` and our defaults."""
    config = behaviour(agent)
    chosen: dict[str, Any] = {
        "greeting": _GREETING.format(name=agent.name, tenant=agent.tenant_name),
        "tariff": tuple(tariff),
        "carrier_items": carrier_items,
        "stream_items": stream_items,
    }
    for key, (field, least, most) in _NUMBERS.items():
        value = config.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            chosen[field] = int(min(most, max(least, value)))
    for key, field in _FLAGS.items():
        if isinstance(config.get(key), bool):
            chosen[field] = config[key]
    chosen |= _words(config)
    for key, field in _BANDS.items():
        if config.get(key) in tuple(Severity):
            chosen[field] = Severity(config[key])
        elif key in config and config[key] is None:
            chosen[field] = None
    return Policy(**chosen)


def _words(config: dict[str, Any]) -> dict[str, Any]:
    """What the tenant has put in their own words."""
    single = {field: config.get(key) for key, field in _PHRASES.items()}
    lists = {key: config.get(key) for key in _PHRASE_LISTS}
    return {field: words for field, words in single.items() if isinstance(words, str)} | {
        key: tuple(phrases) for key, phrases in lists.items() if _are_phrases(phrases)
    }


def _are_phrases(value: object) -> TypeGuard[list[str]]:
    return (
        isinstance(value, list)
        and len(value) <= _MOST_PHRASES
        and all(isinstance(one, str) and 0 < len(one.strip()) <= _LONGEST_PHRASE for one in value)
    )
