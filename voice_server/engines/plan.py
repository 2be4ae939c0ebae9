"""What is decided about a call's engines while its phone rings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from voice_server.call.events import Consumed
from voice_server.ports import CallFacts
from voice_server.runtime.services import Services

Spend: TypeAlias = Callable[[Consumed], None]


class Plan(Protocol):
    """The engines of one call."""

    def services(self, spend: Spend) -> Services:
        """The collaborators of the call; `spend` takes what goes over the wire."""


class EngineChooser(Protocol):
    """Chooses the engines of calls."""

    async def choose(self, facts: CallFacts) -> Plan:
        """Choose for a call that is about to begin. Never raises `ServiceError`."""


class LocalOnly:
    """Every call gets the same engines, those of this machine."""

    __slots__ = ("_services",)

    def __init__(self, services: Services) -> None:
        self._services = services

    async def choose(self, facts: CallFacts) -> Plan:  # noqa: ARG002
        """The plan of all calls."""
        return self

    def services(self, spend: Spend) -> Services:  # noqa: ARG002 - they yield what they cost
        """The collaborators of all calls."""
        return self._services
