"""Tells when an HTTP request really goes out: what never left costs nothing.

A request that waits for a connection, or was given up while it did, has reached nobody; one
whose body is on the wire may have been worked on, whatever becomes of its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


class Departure:
    """Of one request to httpx, which is given its `extensions`; `told` is called at that time."""

    __slots__ = ("_told", "left")

    def __init__(self, told: Callable[[], None] = lambda: None) -> None:
        self.left = False
        self._told = told

    @property
    def extensions(self) -> dict[str, Any]:
        """What makes the client report."""
        return {"trace": self._trace}

    async def _trace(self, event: str, _: Mapping[str, Any]) -> None:
        if event.endswith(".send_request_body.started"):
            self.left = True
            self._told()
