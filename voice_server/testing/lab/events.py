"""Server-sent events at a provider's pace, with a meter, faults, and an eye on the client."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voice_server.testing.lab.faults import Fault, Injection
from voice_server.testing.lab.host import cut

_KINDS = ("input", "cached_input", "cache_write", "output")
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class Pace(msgspec.Struct, frozen=True):
    """How fast a model answers, in seconds."""

    first_byte_s: float = 0.2
    between_s: float = 0.01


class Piece(msgspec.Struct, frozen=True):
    """One write to the wire. `characters` of the answer are in it, and so many tokens."""

    wire: bytes
    characters: int = 0
    tokens: int = 0
    paced: bool = True  # waits its turn; else it goes out with the piece before


class Visit(msgspec.Struct):
    """One request, as the provider remembers it. Times are the loop's."""

    number: int
    path: str
    model: str
    fault: Fault
    arrived_at: float
    sent_tokens: int = 0
    finished: bool = False  # all of the answer went out
    closed_at: float = -1.0  # when the client went away in the middle
    billed: dict[str, int] = {}  # what it cost, by tariff item


class Meter:
    """What a provider would bill, by tariff item."""

    def __init__(self) -> None:
        self.items: Counter[str] = Counter()

    def add(self, item: str, quantity: int) -> None:
        """Bill some more of an item."""
        if quantity:
            self.items[item] += quantity

    def bill(self, visit: Visit, item: str, prompt: tuple[int, int, int], output: int) -> None:
        """Bill one request: fresh, cached and written tokens of its prompt, and the answer's."""
        visit.billed = {
            f"{item}.{kind}_tokens": count
            for kind, count in zip(_KINDS, (*prompt, output), strict=True)
        }
        for billed, count in visit.billed.items():
            self.add(billed, count)


class Pieces(Response):
    """Sends pieces until they are all out or the client is gone; then calls `settle` once."""

    media_type = "text/event-stream"

    def __init__(
        self,
        pieces: Iterable[Piece],
        *,
        pace: Pace,
        injection: Injection,
        visit: Visit,
        settle: Callable[[Visit], None],
        broken: Callable[[Fault], bytes],
    ) -> None:
        """`broken` writes what a fault in the middle of the answer looks like."""
        super().__init__()
        self._pieces = pieces
        self._pace = pace
        self._injection = injection
        self._visit = visit
        self._settle = settle
        self._broken = broken
        self._settled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pump = asyncio.ensure_future(self._pump(scope, receive, send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pump.cancel()
            gone.cancel()
            await asyncio.wait({pump, gone})
            if not self._settled:
                self._visit.closed_at = asyncio.get_running_loop().time()
                self._settle(self._visit)
        if not pump.cancelled():
            pump.result()

    async def _pump(self, scope: Scope, receive: Receive, send: Send) -> None:
        faulty = self._injection
        await asyncio.sleep(self._pace.first_byte_s)
        if faulty.fault is Fault.SLOW_FIRST_BYTE:
            await asyncio.sleep(faulty.delay_s)
        if faulty.fault is Fault.GARBAGE and not faulty.after_bytes:
            self._finish()
            await Response(HTML, media_type="text/html")(scope, receive, send)
            return
        if await self._strikes(0, scope, send, started=False):
            return
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        characters = 0
        for piece in self._pieces:
            if piece.paced:
                await asyncio.sleep(self._pace.between_s)
            if characters >= faulty.after_bytes and await self._strikes(
                characters, scope, send, started=True
            ):
                return
            characters += piece.characters
            self._visit.sent_tokens += piece.tokens
            await send({"type": "http.response.body", "body": piece.wire, "more_body": True})
        self._finish()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _finish(self) -> None:
        """Bill before the end goes out, so that who sees the end sees the bill."""
        self._visit.finished = True
        self._settled = True
        self._settle(self._visit)

    async def _strikes(self, at: int, scope: Scope, send: Send, *, started: bool) -> bool:
        """Let the fault happen if it is due; True ends the answer."""
        fault = self._injection.fault
        due = bool(self._injection.after_bytes) == started and at >= self._injection.after_bytes
        if not due or fault in (Fault.NONE, Fault.SLOW_FIRST_BYTE):
            return False
        if fault is Fault.STALL:
            await asyncio.sleep(self._injection.delay_s)
            self._injection = Injection()
            return False
        if fault is Fault.DROP:
            cut(Request(scope))
            await asyncio.sleep(3600)  # until the server notices
        self._settled = True
        self._settle(self._visit)
        body = self._broken(fault)
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True


async def _gone(receive: Receive) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def sliced(text: str) -> list[str]:
    """Text in pieces of four characters, each of which this laboratory calls a token."""
    return [text[at : at + 4] for at in range(0, len(text), 4)]
