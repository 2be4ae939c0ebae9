"""Streams under deadlines, and the race of two of them for the first answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from voice_server.engines.health import Health
from voice_server.errors import ServiceError, ServiceUnavailable
from voice_server.limits import Limits

T = TypeVar("T")

_AT_ONCE = 2  # engines at work on one question


class Runner(msgspec.Struct, Generic[T], frozen=True):
    """One engine in a race: how it has been doing, its limits, and how to start its stream.

    A `reserve` is not for hedging: it starts when every engine before it has failed.
    """

    health: Health
    limits: Limits
    start: Callable[[], AsyncGenerator[T, None]]
    reserve: bool = False


class _Run(Generic[T]):
    """A started stream, up to its first item."""

    def __init__(self, runner: Runner[T]) -> None:
        self.runner = runner
        self.stream = runner.start()
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        self.first: asyncio.Task[T] = loop.create_task(self._first(), name=runner.health.name)

    async def _first(self) -> T:
        health, limits = self.runner.health, self.runner.limits
        loop = asyncio.get_running_loop()
        item = await self._next(limits.first_byte_s, "no answer in time")
        if item is None:
            error = ServiceUnavailable(health.name, "an empty answer")
            health.failed(loop.time(), error)
            raise error
        health.answered(loop.time() - self._began)
        return item

    async def _next(self, limit_s: float, problem: str) -> T | None:
        """The next item, None at the end; takes note of failures. Raises `ServiceError`."""
        health, loop = self.runner.health, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit_s):
                return await anext(self.stream, None)
        except TimeoutError:
            late = ServiceUnavailable(health.name, problem)
            health.failed(loop.time(), late)
            raise late from None
        except ServiceError as error:
            health.failed(loop.time(), error)
            raise

    async def close(self) -> None:
        """Stop it, so that the other side sees it stop and its cost is booked."""
        if not self.first.done():
            self.first.cancel()
            await asyncio.wait([self.first])
        if not self.first.cancelled():
            self.first.exception()  # taken note of; a loser's failure is nobody's business
        await self.stream.aclose()

    async def items(self) -> AsyncGenerator[T, None]:
        """The whole stream, each wait under its limit."""
        limits, loop = self.runner.limits, asyncio.get_running_loop()
        until = self._began + limits.total_s
        item: T | None = await self.first
        while item is not None:
            yield item
            left = max(0.0, until - loop.time())
            item = await self._next(min(limits.between_s, left), "the answer broke off")


async def race(runners: Sequence[Runner[T]]) -> AsyncGenerator[T, None]:
    """The stream of the first engine to answer.

    Engines are asked in order: the next one when those before failed, or, as a hedge, when
    one has been silent for longer than it usually is. Engines that rest are passed over, but
    never the last. The loser is closed. Raises the last `ServiceError` when none answered, and
    at once when a stream fails after its first item: what was said cannot be unsaid.
    """
    contest = _Contest(runners)
    losers: asyncio.Future[list[None]] | None = None
    winner: _Run[T] | None = None
    try:
        winner = await contest.winner()
        if winner.runner is not runners[0]:
            winner.runner.health.took_over()
        # Beside the answer, which must not wait for it.
        losers = asyncio.gather(*(run.close() for run in contest.runs if run is not winner))
        items = winner.items()
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()
    finally:
        if losers is None:
            await asyncio.gather(*(run.close() for run in contest.runs))
        else:
            assert winner is not None
            await winner.close()
            await losers


class _Contest(Generic[T]):
    """Who is running, and who may still start. `runs` are all that were started."""

    def __init__(self, runners: Sequence[Runner[T]]) -> None:
        self.runs: list[_Run[T]] = []
        self._waiting = deque(runners)
        self._loop = asyncio.get_running_loop()

    async def winner(self) -> _Run[T]:
        error: ServiceError | None = None
        late = False
        while True:
            going = [run for run in self.runs if not run.first.done()]
            if not going or (late and self._may_hedge(going)):
                self._start_next(going)
            if not going:
                raise error or ServiceUnavailable("engines", "none is configured")
            patience = going[-1].runner.health.hedge_s if self._may_hedge(going) else None
            firsts = [run.first for run in going]
            done, _ = await asyncio.wait(
                firsts, timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
            late = not done
            for run in [run for run in going if run.first in done]:
                failure = run.first.exception()
                if failure is None:
                    return run
                if not isinstance(failure, ServiceError):
                    raise failure
                error = failure

    def _may_hedge(self, going: Sequence[_Run[T]]) -> bool:
        """Another engine may start beside those that run."""
        return len(going) < _AT_ONCE and any(not runner.reserve for runner in self._waiting)

    def _start_next(self, going: list[_Run[T]]) -> None:
        while self._waiting:
            if going and self._waiting[0].reserve:
                return
            runner = self._waiting.popleft()
            if not self._waiting or runner.health.may_ask(self._loop.time()):
                if going:
                    runner.health.hedged()
                self.runs.append(_Run(runner))
                going.append(self.runs[-1])
                return
