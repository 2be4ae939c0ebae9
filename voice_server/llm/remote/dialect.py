"""What tells one provider from another: how it is asked, how it answers, how it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from voice_server.call.events import ReplyEnded, ToolRequested
from voice_server.llm.catalogue import ModelCard
from voice_server.llm.remote.mind import Mind
from voice_server.llm.remote.usage import OutputCount, Usage
from voice_server.llm.tool_schemas import ToolSchema
from voice_server.ports import ReplyRequest


class Answer(Protocol):
    """One streamed answer while it comes in."""

    received: OutputCount

    @property
    def finished(self) -> object:
        """True when nothing is missing but a little of the usage, perhaps."""
        ...

    @property
    def usage(self) -> Usage | None:
        """What the provider has told of the tokens."""
        ...

    def take(self, event: Any) -> str:
        """Take an event; returns its text. Raises `ServiceUnavailable` for what cannot be."""
        ...

    def ending(self, request: ReplyRequest) -> list[ToolRequested | ReplyEnded]:
        """The events after the text; raises `ServiceUnavailable` for half an answer."""
        ...


class Sdk(msgspec.Struct, frozen=True):
    """The parts of a vendor's package; all vendors have these."""

    client: Callable[..., Any]
    http: Callable[..., Any]
    stream: type[Any]  # of plain JSON
    error: type[Exception]


class Dialect(msgspec.Struct, frozen=True):
    """One provider's way; `service` is its name in costs, errors and logs."""

    service: str
    path: str  # below the base URL
    models_query: dict[str, object]
    optional: frozenset[str]  # parameters an answer can do without
    rehearsal: bytes  # an answer on the wire
    sdk: Callable[[], Sdk]  # imports it
    tools: Callable[[tuple[ToolSchema, ...]], list[dict[str, Any]]]
    body: Callable[[Mind, list[dict[str, Any]], ReplyRequest], dict[str, Any]]
    parts: Callable[[Mapping[str, Any]], list[Any]]  # of a body, in the order of the cache
    split: Callable[[ModelCard, int, int], tuple[int, int, int]]
    answer: Callable[[], Answer]
