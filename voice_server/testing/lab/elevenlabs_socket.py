"""One socket of the simulated service, and all that its fault makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from voice_server.testing.lab.faults import Fault, Injection
from voice_server.testing.lab.host import cut

REFUSALS = {
    Fault.UNAUTHORIZED: (401, "invalid_api_key"),
    Fault.RATE_LIMITED: (429, "too_many_concurrent_requests"),
    Fault.SERVER_ERROR: (503, "system_busy"),
}
_DYING_S = 0.001  # what was sent before a connection died has arrived by then


def problem(status: int, error: str) -> Response:
    """How the service refuses a request."""
    return JSONResponse({"detail": {"status": error, "message": ""}}, status)


class FaultySocket:
    """Sends while it can. Its fault strikes once, when so much audio has `passed`.

    `fail` tells the peer an error of the protocol, and `errors` which one each fault comes to.
    """

    def __init__(
        self,
        socket: WebSocket,
        injection: Injection,
        fail: Callable[[str], Awaitable[object]],
        errors: Mapping[Fault, str],
    ) -> None:
        self._socket = socket
        self._injection = injection
        self._fail = fail
        self._errors = errors
        self._struck = False
        self._talking = asyncio.Event()
        self._talking.set()
        self.passed = 0  # bytes of audio, either way
        self.dying = False  # what still arrives is metered, and nothing more

    @property
    def stalled(self) -> bool:
        """Nothing goes out for a while."""
        return not self._talking.is_set()

    async def admit(self, refusal: tuple[int, str] | None = None) -> bool:
        """Accept the socket, unless it is refused, if only by its fault."""
        if refusal is None and not self._injection.after_bytes:
            refusal = REFUSALS.get(self._injection.fault)
        if refusal is not None:
            await self._socket.send_denial_response(problem(*refusal))
            return False
        await self._socket.accept()
        return True

    async def hesitate(self) -> None:
        """The first answer is due: keep it back if that is the fault."""
        if self._injection.fault is Fault.SLOW_FIRST_BYTE and not self._struck:
            self._struck = True
            await asyncio.sleep(self._injection.delay_s)

    async def pass_by(self, audio: int) -> None:
        """So many bytes more pass; the fault strikes if it is due."""
        self.passed += audio
        due = self._injection.fault is not Fault.SLOW_FIRST_BYTE and not self._struck
        if due and self.passed >= self._injection.after_bytes:
            self._struck = True
            await self._strike()

    async def _strike(self) -> None:
        match self._injection.fault:
            case Fault.STALL:
                self._talking.clear()
                loop = asyncio.get_running_loop()
                loop.call_later(self._injection.delay_s, self._talking.set)
            case Fault.DROP:
                self.drop()
            case Fault.CLOSE:
                await self.close(self._injection.code)
            case Fault.GARBAGE:
                await self._socket.send_text('{"type": \x00')
            case fault if fault in self._errors:
                await self._fail(self._errors[fault])

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send a message once nothing stalls it; lost on a dying connection."""
        await self._talking.wait()
        if not self.dying:
            await self._socket.send_text(msgspec.json.encode(message).decode())

    async def close(self, code: int, reason: str = "") -> None:
        """Close from this side."""
        self.dying = True
        await asyncio.sleep(_DYING_S)
        await self._socket.close(code, reason)

    def drop(self) -> None:
        """The connection dies without a word."""
        self.dying = True
        asyncio.get_running_loop().call_later(_DYING_S, cut, self._socket)

    def meet(self, fate: Injection) -> None:
        """From here on this connection has that fate: it strikes with the next audio."""
        self._injection = msgspec.structs.replace(fate, after_bytes=self.passed + 1)
        self._struck = False
