"""What goes wrong between the simulated Twilio and its clients, and where its webhooks lead."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from voice_server.testing.lab.faults import Fault, Injection
from voice_server.testing.lab.host import cut
from voice_server.testing.webhook import Route


def carries_out(fate: Injection) -> bool:
    """Whether the request does its work, whatever comes back."""
    loses_it = (Fault.SERVER_ERROR, Fault.DROP)
    return fate.fault not in loses_it or fate.after_bytes > 0


def is_well(fate: Injection) -> bool:
    """Whether the right answer goes out."""
    return fate.fault in (Fault.NONE, Fault.SLOW_FIRST_BYTE)


async def spoiled(fate: Injection, request: Request) -> Response:
    """The answer that goes out in place of the right one."""
    match fate.fault:
        case Fault.STALL:
            await asyncio.sleep(fate.delay_s)
            return PlainTextResponse("gateway timeout", 504)
        case Fault.DROP | Fault.CLOSE:
            cut(request)
            return Response()
        case Fault.GARBAGE:
            return PlainTextResponse("<html>what?</html>", 201)
        case _:
            return PlainTextResponse("upstream connect error", 503)


def route_to(connect_to: str | Mapping[str, str]) -> Route:
    """Lead every public host to one address, or each to its own."""
    if isinstance(connect_to, str):
        return Route(_Anywhere(connect_to) if connect_to else {})
    return Route(dict(connect_to))


class _Anywhere(dict[str, str]):
    """Has the same address for every host."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002
        return self._address
