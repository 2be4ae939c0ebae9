"""Copies of the core with one small mistake in them, beside the real one and untouched by it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import voice_server.call
from voice_server.call import Call, Policy

# The modules that behave, each after those it imports; the others are plain values, shared.
BEHAVIOUR = (
    "turns",
    "caller",
    "playout",
    "clauses",
    "dialogue",
    "deadlines",
    "meter",
    "risk",
    "agent_turn",
    "agent",
    "view",
    "record",
    "handover",
    "quiet",
    "conversation",
    "transferring",
    "machine",
)
_SOURCES = Path(voice_server.call.__file__).parent
_COPY = "planted_core"


class Plant(NamedTuple):
    """A mistake: in `module`, the one place that reads `right` reads `wrong` instead."""

    mistake: str
    module: str
    right: str
    wrong: str


def planted(plant: Plant | None) -> Callable[[Policy], Call]:
    """The `Call` of a fresh copy of the core, with the mistake made."""
    try:
        for name in BEHAVIOUR:
            sys.modules[f"{_COPY}.{name}"] = _copied(name, plant)
        return sys.modules[f"{_COPY}.machine"].Call
    finally:
        for name in BEHAVIOUR:
            sys.modules.pop(f"{_COPY}.{name}", None)


def _copied(name: str, plant: Plant | None) -> ModuleType:
    source = (_SOURCES / f"{name}.py").read_text()
    if plant is not None and plant.module == name:
        places = source.count(plant.right)
        assert places == 1, f"{plant.mistake}: its place was found {places} times in {name}.py"
        source = source.replace(plant.right, plant.wrong)
    for other in BEHAVIOUR:
        source = source.replace(f"voice_server.call.{other} import", f"{_COPY}.{other} import")
    module = ModuleType(f"{_COPY}.{name}")
    exec(compile(source, f"<{name} with a mistake>", "exec"), module.__dict__)
    return module
