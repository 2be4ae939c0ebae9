"""Streams under deadlines, and the race of two of them for the first answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from voice_server.engines.health import Health
from voice_server.errors import ServiceError, ServiceUnavailable
from voice_server.limits import Limits

T = TypeVar("T")


class Runner(msgspec.Struct, Generic[T], frozen=True):
    """One engine in a race: how it has been doing, its limits, and how to start its stream."""

    health: Health
    limits: Limits
    start: Callable[[], AsyncGenerator[T, None]]


class _Run(Generic[T]):
    """A started stream, up to its first item."""

    def __init__(self, runner: Runner[T]) -> None:
        self.runner = runner
        self.stream = runner.start()
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        self.first: asyncio.Task[T] = loop.create_task(self._first())

    async def _first(self) -> T:
        health, loop = self.runner.health, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.runner.limits.first_byte_s):
                item = await anext(self.stream)
        except (TimeoutError, StopAsyncIteration):
            health.failed(loop.time(), lasting=False)
            raise ServiceUnavailable(health.name, "no answer in time") from None
        except ServiceError as error:
            health.failed(loop.time(), lasting=not error.retryable)
            raise
        health.answered(loop.time() - self._began)
        return item

    async def close(self) -> None:
        """Stop it, so that the other side sees it stop and its cost is booked."""
        if not self.first.done():
            self.first.cancel()
            await asyncio.wait([self.first])
            self.runner.health.gave_up()
        if not self.first.cancelled():
            self.first.exception()  # taken note of; a loser's failure is nobody's business
        await self.stream.aclose()

    async def items(self) -> AsyncGenerator[T, None]:
        """The whole stream, each wait under its limit."""
        limits, health = self.runner.limits, self.runner.health
        loop = asyncio.get_running_loop()
        until = self._began + limits.total_s
        yield await self.first
        while True:
            try:
                async with asyncio.timeout(min(limits.between_s, max(0.0, until - loop.time()))):
                    item = await anext(self.stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                health.failed(loop.time(), lasting=False)
                raise ServiceUnavailable(health.name, "the answer broke off") from None
            yield item


async def race(runners: Sequence[Runner[T]]) -> AsyncGenerator[T, None]:
    """The stream of the first engine to answer.

    Engines are asked in order: the next one when the one before failed, or, as a hedge, when
    it has been silent for longer than it usually is. The loser is closed. Raises the last
    `ServiceError` when none answered, and at once when a stream fails after its first item:
    what was said cannot be unsaid.
    """
    runs: list[_Run[T]] = []
    try:
        winner = await _winner(list(runners), runs)
        for loser in [run for run in runs if run is not winner]:
            runs.remove(loser)
            await loser.close()
        async for item in winner.items():
            yield item
    finally:
        for run in runs:
            await run.close()


async def _winner(waiting: list[Runner[T]], runs: list[_Run[T]]) -> _Run[T]:
    """Start engines until one has answered; `runs` collects all that were started."""
    error: ServiceError | None = None
    late = False
    while True:
        going = [run for run in runs if not run.first.done()]
        if waiting and (not going or (late and len(going) < 2)):
            runs.append(_Run(waiting.pop(0)))
            going.append(runs[-1])
        if not going:
            raise error or ServiceUnavailable("engines", "none is configured")
        patience = going[-1].runner.health.hedge_s if waiting and len(going) < 2 else None
        done, _ = await asyncio.wait(
            [run.first for run in going],
            timeout=patience,
            return_when=asyncio.FIRST_COMPLETED,
        )
        late = not done
        for run in going:
            if run.first not in done:
                continue
            failure = run.first.exception()
            if failure is None:
                return run
            if not isinstance(failure, ServiceError):
                raise failure
            error = failure
