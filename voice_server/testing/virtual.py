"""An event loop in virtual time, so that a minute of call takes a fraction of a second.

Instead of sleeping, the loop sets its clock to the next timer. It does so only when nothing
real is under way:

* bytes between two sockets of this loop that the kernel has not delivered yet are counted and
  waited for, so a jump never overtakes them;
* jobs of `run_in_executor` and `asyncio.to_thread` hold time still until they are done;
* whatever else lives outside the loop (Postgres, a subprocess, a thread pool used directly,
  TLS between peers of this loop) is invisible to it: wrap those waits in `hold_time()`, or
  the object that makes them in `Unhurried`.

Time starts at 0 and stands still while callbacks run.
"""

from __future__ import annotations

import asyncio
import inspect
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, TypeVar

from voice_server.testing.traffic import Traffic

T = TypeVar("T")

_DELIVERY_S = 0.2  # loopback delivers within microseconds; a starved kernel thread takes longer
_HOLD_LIMIT_S = 60.0


class _JumpingSelector(selectors.DefaultSelector):
    """Polls, and moves the clock where an ordinary selector would sleep."""

    def __init__(self, hold_limit_s: float) -> None:
        super().__init__()
        self._hold_limit_s = hold_limit_s
        self.now = 0.0
        self.holds = 0
        self.traffic = Traffic()
        self._hold_limit_passed = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            ready = self._wait(timeout)
        if len(ready) > 1:  # the kernel's order of readiness is not reproducible
            ready.sort(key=lambda item: item[0].fd)
        return ready

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        if not self.holds:
            self._hold_limit_passed = False
        elif not self._hold_limit_passed:
            if ready := super().select(self._hold_limit_s):
                return ready
            self._hold_limit_passed = True  # it hangs: let the timeouts around it fire
        if self.traffic.in_flight:
            if ready := super().select(_DELIVERY_S):
                return ready
            self.traffic.give_up()
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose `time()` jumps to the next timer.

    Anything built on `loop.time`, `call_later`, `asyncio.sleep` and `asyncio.timeout` runs
    in it unchanged; `time.monotonic` and `time.sleep` do not belong in such code. When nothing
    at all happens during `hold_limit_s` real seconds of a hold, that is a hang: time then goes
    on, so that the timeouts of the code under test end it.
    """

    def __init__(self, *, hold_limit_s: float = _HOLD_LIMIT_S) -> None:
        self._jumping = _JumpingSelector(hold_limit_s)
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let no time pass inside this block, however long it really takes."""
        self._jumping.holds += 1
        try:
            yield
        finally:
            self._jumping.holds -= 1

    async def create_server(self, *args: Any, **kwargs: Any) -> asyncio.Server:
        server = await super().create_server(*args, **kwargs)
        for listener in server.sockets:
            self._jumping.traffic.listen(listener.getsockname())
        return server

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        job = _Job(self, func)
        future = super().run_in_executor(executor, job.run, *args)
        self._take()  # after a submission that may fail, before any callback of the job
        future.add_done_callback(job.settle)
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        with self.hold():  # it waits for threads under a timeout of its own
            await super().shutdown_default_executor(*args, **kwargs)

    def _make_socket_transport(self, sock: Any, *args: Any, **kwargs: Any) -> Any:
        # The one seam where asyncio hands over every connected stream socket.
        self._jumping.traffic.watch(sock)
        return super()._make_socket_transport(  # type: ignore[misc]
            sock, *args, **kwargs
        )

    def _release(self) -> None:
        self._jumping.holds -= 1

    def _take(self) -> None:
        self._jumping.holds += 1


class _Job:
    """One executor job; holds time from its submission until its result has arrived.

    A cancelled future does not stop a running function, whose side effects still count: it
    holds time until it returns.
    """

    __slots__ = ("_abandoned", "_func", "_loop", "_returned", "_started")

    def __init__(self, loop: VirtualLoop, func: Callable[..., Any]) -> None:
        self._loop = loop
        self._func = func
        self._started = False
        self._returned = False
        self._abandoned = False

    def run(self, *args: Any) -> Any:
        self._started = True
        try:
            return self._func(*args)
        finally:
            with suppress(RuntimeError):  # the loop may have closed without waiting for us
                self._loop.call_soon_threadsafe(self._return)

    def _return(self) -> None:
        # Not yet the time to let go: the result travels separately, right behind this call.
        self._returned = True
        if self._abandoned:
            self._loop._release()

    def settle(self, future: asyncio.Future[Any]) -> None:
        """The awaiting side has its result, or has given up."""
        if future.cancelled() and self._started and not self._returned:
            self._abandoned = True
        else:
            self._loop._release()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time; like `asyncio.run`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


@contextmanager
def hold_time() -> Iterator[None]:
    """Hold virtual time still around a wait on another process; nothing on other loops."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualLoop):
        with loop.hold():
            yield
    else:
        yield


class Unhurried:
    """Stands for an object whose async methods wait on another process.

    Each awaitable a method returns is awaited under `hold_time`; everything else passes
    through. Async context managers and iterators are not covered.
    """

    def __init__(self, inner: object) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        if not inspect.isroutine(attribute):
            return attribute

        @wraps(attribute)
        def call(*args: Any, **kwargs: Any) -> Any:
            result = attribute(*args, **kwargs)
            return _held(result) if inspect.isawaitable(result) else result

        return call


async def _held(result: Awaitable[T]) -> T:
    with hold_time():
        return await result
