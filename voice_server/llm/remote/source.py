"""Asks a vendor's SDK for streams: under deadlines, with its errors mapped, and closed for sure."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

from voice_server.departure import Departure
from voice_server.llm.remote.bill import Bill
from voice_server.llm.remote.failures import is_refusal, refused_parameter, vendor_errors
from voice_server.llm.remote.patience import Patience

log = logging.getLogger(__name__)

_on_departure: ContextVar[Callable[[], None] | None] = ContextVar("on_departure", default=None)

# The SDKs' 5 s would have most turns of a call begin with a TLS handshake. Longer than the
# pauses between turns, shorter than any provider keeps idle connections [unverified].
KEEP_ALIVE_S = 60.0


async def watch_departure(request: Any) -> None:
    """A request hook of the SDKs' HTTP clients: tells the bill when a question goes out."""
    if (told := _on_departure.get()) is not None:
        request.extensions |= Departure(told).extensions


@contextmanager
def _departing(told: Callable[[], None]) -> Iterator[None]:
    """Within the block requests of this task call `told` when they go out."""
    token = _on_departure.set(told)
    try:
        yield
    finally:
        _on_departure.reset(token)


class Source:
    """One vendor's way to answer. Calls share it.

    `ask` sends a body and returns the SDK's stream; `errors` are what it raises; `optional` are
    the parameters an answer can do without.
    """

    __slots__ = ("_ask", "_dropped", "_errors", "_optional", "_service")

    def __init__(
        self,
        service: str,
        ask: Callable[[Mapping[str, Any]], Awaitable[Any]],
        *,
        errors: tuple[type[Exception], ...],
        optional: frozenset[str],
    ) -> None:
        self._service = service
        self._ask = ask
        self._errors = errors
        self._optional = optional
        self._dropped: dict[str, set[str]] = {}

    @asynccontextmanager
    async def stream(
        self, body: Mapping[str, Any], patience: Patience, bill: Bill
    ) -> AsyncIterator[AsyncGenerator[Any, None]]:
        """Ask; the provider sees the connection close when the block is left.

        A parameter the model does not take is left out, for good, with a warning. Asking and
        iterating raise `ServiceError`.
        """
        with vendor_errors(self._service, self._errors):
            answer = await self._answer(body, patience, bill)
        try:
            async with aclosing(self._chunks(answer, patience)) as chunks:
                yield chunks
        finally:
            await answer.close()

    async def _chunks(self, answer: Any, patience: Patience) -> AsyncGenerator[Any, None]:
        iterator = aiter(answer)
        while True:
            with vendor_errors(self._service, self._errors):
                try:
                    chunk = await patience.wait(anext(iterator))
                except StopAsyncIteration:
                    return
            patience.answered()
            yield chunk

    async def _answer(self, body: Mapping[str, Any], patience: Patience, bill: Bill) -> Any:
        model = str(body["model"])
        dropped = self._dropped.setdefault(model, set())
        while True:
            fit = {name: value for name, value in body.items() if name not in dropped}
            try:
                with _departing(bill.sent):
                    return await patience.wait(self._ask(fit))
            except self._errors as error:
                if is_refusal(error):
                    bill.refused()
                name = refused_parameter(error, self._optional & fit.keys())
                if not name:
                    raise
                dropped.add(name)
                log.warning("a parameter is left out", extra={"model": model, "parameter": name})
