"""Text to speech on this machine, clause by clause; what was said before costs nothing."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import Protocol

from voice_server.call.events import Consumed, SpeechReady, TurnId
from voice_server.errors import ServiceRejected
from voice_server.ports import CallFacts
from voice_server.speech import g711
from voice_server.speech.clauses import ClauseCutter
from voice_server.speech.pool import InferencePool, Urgency

SERVICE = "local text to speech"
CONSUMED = "local.tts.characters"

CACHE_BYTES = 16 << 20  # 35 minutes of speech
_BREATH = g711.SILENCE * 160  # stands for text that has no sound: 20 ms


class Voice(Protocol):
    """A model that speaks."""

    def say(self, text: str) -> bytes:
        """8 kHz mu-law of one clause, b"" when nothing can be said. Any thread."""


class _Flight:
    """One synthesis and how many wait for it."""

    __slots__ = ("future", "waiting")

    def __init__(self, future: asyncio.Future[bytes]) -> None:
        self.future = future
        self.waiting = 0


class LocalTextToSpeech:
    """Speaks for all calls of one event loop with one voice."""

    __slots__ = ("_cache", "_cached", "_flights", "_limit", "_load", "_pool", "synthesised")

    def __init__(
        self, load: Callable[[], Voice], pool: InferencePool, cache_bytes: int = CACHE_BYTES
    ) -> None:
        self._load = load
        self._pool = pool
        self._limit = cache_bytes
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0  # bytes
        self._flights: dict[str, _Flight] = {}
        self.synthesised = 0  # clauses that the voice really had to say

    async def speak(
        self,
        turn: TurnId,
        pieces: AsyncIterator[str],
        facts: CallFacts,  # noqa: ARG002
    ) -> AsyncGenerator[SpeechReady | Consumed, None]:
        """Yield mu-law audio clause by clause, its text exactly as given.

        Characters are booked before the work begins, so that an abandoned turn has paid; the
        cache is free. Closing the generator takes the clause out of the line.
        """
        cutter = ClauseCutter()
        urgency = Urgency.FIRST_CLAUSE
        async for piece in pieces:
            for clause in cutter.add(piece):
                if self._must_work(clause):
                    yield Consumed(CONSUMED, len(clause))
                yield SpeechReady(turn, await self._say(clause, urgency), clause)
                urgency = Urgency.NEXT_CLAUSE
        for clause in cutter.finish():
            if self._must_work(clause):
                yield Consumed(CONSUMED, len(clause))
            yield SpeechReady(turn, await self._say(clause, urgency), clause)

    async def warm(self, texts: Iterable[str]) -> None:
        """Say fixed prompts into the cache, when nobody else needs the threads."""
        for text in texts:
            cutter = ClauseCutter()
            for clause in (*cutter.add(text), *cutter.finish()):
                await self._say(clause, Urgency.WARMING)

    def _must_work(self, clause: str) -> bool:
        key = clause.strip()
        return bool(key) and key not in self._cache and key not in self._flights

    async def _say(self, clause: str, urgency: Urgency) -> bytes:
        key = clause.strip()
        if not key:
            return _BREATH
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        flight = self._flights.get(key)
        if flight is None or flight.future.get_loop() is not asyncio.get_running_loop():
            flight = self._take_off(key, urgency)
        return await self._wait(flight)

    def _take_off(self, key: str, urgency: Urgency) -> _Flight:
        self.synthesised += 1
        flight = _Flight(self._pool.submit(urgency, lambda: self._load().say(key)))
        self._flights[key] = flight
        flight.future.add_done_callback(lambda done: self._land(key, flight, done))
        return flight

    @staticmethod
    async def _wait(flight: _Flight) -> bytes:
        """Wait in company: the work is given up only when the last one leaves."""
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.future) or _BREATH
        except asyncio.CancelledError:
            if flight.waiting == 1:
                flight.future.cancel()
            raise
        except Exception as error:
            raise ServiceRejected(SERVICE, f"the voice failed ({type(error).__name__})") from error
        finally:
            flight.waiting -= 1

    def _land(self, key: str, flight: _Flight, done: asyncio.Future[bytes]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if done.cancelled() or done.exception() is not None:
            return
        audio = done.result() or _BREATH
        if len(audio) > self._limit:
            return
        self._cached += len(audio) - len(self._cache.pop(key, b""))
        self._cache[key] = audio
        while self._cached > self._limit:
            self._cached -= len(self._cache.popitem(last=False)[1])
