"""Which hosted agent answers, read from `ai_agents.elevenlabs_config`.

    {"agent_id": "agent_...", "overrides": ["first_message", "language", "voice_id"],
     "language": "de", "dynamic_variables": {"office_hours": "8 to 5"}}

A tenant wrote that JSON, and a call should not fail over it: what is wrong in it is left out
and named in a warning; without a usable `agent_id` the ordinary engines take the call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from voice_server.speech.elevenlabs.config import bare_language

Variable: TypeAlias = str | int | float | bool

_AGENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_SYSTEM = "system__"  # names the service keeps for itself
_MOST_VARIABLES = 40
_LONGEST_VALUE = 2_000  # characters


class Override(StrEnum):
    """What a call may set, where the agent's security settings at ElevenLabs allow it."""

    FIRST_MESSAGE = "first_message"  # our agent's greeting
    LANGUAGE = "language"
    VOICE_ID = "voice_id"  # the voice of our agent's own words


class HostedConfig(msgspec.Struct, frozen=True):
    """A hosted agent. `language` is a bare ISO 639 code, "" = the agent's own."""

    agent_id: str
    overrides: frozenset[Override] = frozenset()
    language: str = ""
    dynamic_variables: dict[str, Variable] = {}


def parse_hosted(elevenlabs_config: str) -> tuple[HostedConfig | None, tuple[str, ...]]:
    """The hosted agent, and warnings that name what was left out; None = there is none."""
    warnings: list[str] = []
    given = _object(elevenlabs_config, warnings)
    if not given:
        return None, tuple(warnings)
    known = set(HostedConfig.__struct_fields__)
    for name in sorted(given.keys() - known):
        _warn(warnings, name if name.isidentifier() else "(a field)", "unknown")
    agent_id = given.get("agent_id")
    if not isinstance(agent_id, str) or not _AGENT_ID.fullmatch(agent_id.strip()):
        warnings.append(
            "elevenlabs_config.agent_id: not the id of an ElevenLabs agent; "
            "the ordinary engines are used"
        )
        return None, tuple(warnings)
    config = HostedConfig(
        agent_id=agent_id.strip(),
        overrides=_overrides(given.get("overrides", []), warnings),
        language=_language(given.get("language", ""), warnings),
        dynamic_variables=_variables(given.get("dynamic_variables", {}), warnings),
    )
    return config, tuple(warnings)


def _object(text: str, warnings: list[str]) -> Mapping[str, Any]:
    try:
        given = msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        warnings.append("elevenlabs_config: not JSON; the ordinary engines are used")
        return {}
    if isinstance(given, dict):
        return given
    if given is not None:
        warnings.append("elevenlabs_config: not an object; the ordinary engines are used")
    return {}


def _warn(warnings: list[str], field: str, problem: str) -> None:
    warnings.append(f"elevenlabs_config.{field}: {problem}; left out")


def _overrides(given: object, warnings: list[str]) -> frozenset[Override]:
    named = given if isinstance(given, list) else [given]
    fitting = [name for name in named if isinstance(name, str) and name in tuple(Override)]
    if len(fitting) < len(named):
        _warn(warnings, "overrides", f"a list of {', '.join(Override)} is expected")
    return frozenset(map(Override, fitting))


def _language(given: object, warnings: list[str]) -> str:
    language = bare_language(given) if isinstance(given, str) else ""
    if given and not language:
        _warn(warnings, "language", "not a language code like en")
    return language


def _variables(given: object, warnings: list[str]) -> dict[str, Variable]:
    if not isinstance(given, dict):
        _warn(warnings, "dynamic_variables", "not an object")
        return {}
    fitting = {name: value for name, value in given.items() if _is_variable(name, value)}
    if len(fitting) < len(given) or len(fitting) > _MOST_VARIABLES:
        problem = (
            f"at most {_MOST_VARIABLES} texts, numbers and truth values with names of letters, "
            f"digits and _, none with {_SYSTEM} in front"
        )
        _warn(warnings, "dynamic_variables", problem)
    return dict(list(fitting.items())[:_MOST_VARIABLES])


def _is_variable(name: str, value: object) -> bool:
    if not _VARIABLE.fullmatch(name) or name.startswith(_SYSTEM):
        return False
    if isinstance(value, str):
        return len(value) <= _LONGEST_VALUE
    return isinstance(value, bool | int | float)
