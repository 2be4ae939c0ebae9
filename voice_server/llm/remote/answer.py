"""What every provider's answer comes to: words, tool requests, an end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from voice_server.call.events import ReplyEnded, ToolRequested
from voice_server.call.history import ToolUsed
from voice_server.errors import ServiceError, ServiceUnavailable
from voice_server.llm.remote.expectation import expected_answer
from voice_server.ports import ReplyRequest

MAX_ANSWER = 20_000  # characters of text, or of one tool's arguments
MAX_TOOLS = 8
_DRAIN_S = 1.0
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ToolParts:
    """A tool request while its parts come in."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self, key: str = "", name: str = "") -> None:
        self.id = key
        self.name = name
        self.arguments = ""

    def add(self, arguments: str) -> None:
        """Take some more of the arguments' JSON text."""
        self.arguments += arguments


def ending(
    service: str, request: ReplyRequest, text: str, tools: Sequence[ToolParts]
) -> list[ToolRequested | ReplyEnded]:
    """The events that close a complete answer; raises `ServiceUnavailable` when it says nothing.

    Request ids are unique in the call: some servers count from zero in every answer.
    """
    if not text.strip() and not tools:
        raise ServiceUnavailable(service, "empty answer")
    if len(tools) > MAX_TOOLS or any(not _NAME.fullmatch(tool.name) for tool in tools):
        raise ServiceUnavailable(service, "garbled tool request")
    taken = {used.request_id for used in request.history if isinstance(used, ToolUsed)}
    events: list[ToolRequested | ReplyEnded] = []
    for tool in tools:
        key = _free(tool.id or f"{tool.name}-{request.turn}", taken)
        taken.add(key)
        events.append(ToolRequested(request.turn, key, tool.name, tool.arguments.strip() or "{}"))
    events.append(ReplyEnded(request.turn, expected_answer(text)))
    return events


def _free(key: str, taken: set[str]) -> str:
    number = 1
    candidate = key
    while candidate in taken:
        number += 1
        candidate = f"{key}-{number}"
    return candidate


async def drain(chunks: AsyncIterator[Any], take: Callable[[Any], str]) -> None:
    """Read the little that follows a finished answer: the usage, perhaps, and the end.

    A connection that was read to its end carries the next request without a new handshake.
    The reply is complete, so nothing here can fail it.
    """
    try:
        async with asyncio.timeout(_DRAIN_S):
            async for chunk in chunks:
                take(chunk)
    except (TimeoutError, ServiceError):
        return
