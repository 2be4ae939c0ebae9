"""Which model an agent thinks with, and how: its `llm_config`, made safe."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from voice_server.llm.catalogue import Catalogue, ModelCard, Provider

# As the agents' table gives them to every agent.
_USUAL_MODEL = "gpt-4o-mini"
_MAX_TOKENS = 1_000
_LEAST_TOKENS, _MOST_TOKENS = 64, 4_000
_MAX_PROMPT = 20_000  # characters of an agent's own instructions


class Mind(msgspec.Struct, frozen=True):
    """A model and its parameters. `temperature` None = the provider's own."""

    card: ModelCard
    model: str
    max_tokens: int = _MAX_TOKENS
    temperature: float | None = None
    instructions: str = ""
    warnings: tuple[str, ...] = ()


def read_mind(llm_config: str, catalogue: Catalogue, on: date, *, model: str = "") -> Mind:
    """Read an agent's `llm_config` for a call of that day; odd values fall back, never fail.

    `model` takes the place of the configured one (a fallback to another provider). What was
    changed is told in `warnings`, for the log.
    """
    config = _object(llm_config)
    asked = model or _text(config, "model") or _USUAL_MODEL
    choice = catalogue.resolve(asked, on)
    warnings = [choice.warning] if choice.warning else []
    temperature = _number(config, "temperature", 0.0, 2.0)
    if temperature is not None and not choice.card.temperature:
        temperature = None
        warnings.append(f"{choice.card.id} takes no temperature; it was left out")
    limit = _number(config, "max_tokens", _LEAST_TOKENS, _MOST_TOKENS)
    return Mind(
        card=choice.card,
        model=choice.model,
        max_tokens=int(limit) if limit is not None else _MAX_TOKENS,
        temperature=temperature,
        instructions=_text(config, "system_prompt")[:_MAX_PROMPT],
        warnings=tuple(warnings),
    )


def wanted_provider(llm_config: str, catalogue: Catalogue, on: date) -> Provider | None:
    """Whose model the agent's `llm_config` names; None = only what the table gives every agent."""
    asked = _text(_object(llm_config), "model") or _USUAL_MODEL
    return None if asked == _USUAL_MODEL else catalogue.resolve(asked, on).card.provider


def _object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}


def _text(config: dict[str, Any], key: str) -> str:
    value = config.get(key)
    return value.strip() if isinstance(value, str) else ""


def _number(config: dict[str, Any], key: str, least: float, most: float) -> float | None:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(most, max(least, float(value)))
