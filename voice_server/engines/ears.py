"""Ears in a chain: when one goes deaf, the next hears again what was not understood yet."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import msgspec

from voice_server.call.events import FinalTranscript
from voice_server.engines.health import Health
from voice_server.errors import ServiceError, ServiceUnavailable
from voice_server.ports import CallFacts, Heard, SpeechToText, Transcriber

_KEPT_FRAMES = 750  # 15 s: longer utterances are cut by any recogniser


class EarsLink(msgspec.Struct, frozen=True):
    """One recogniser of a chain. One that leaves a commit unanswered for `answer_s` has failed."""

    ears: SpeechToText
    health: Health
    answer_s: float = math.inf


class EarsChain:
    """A `SpeechToText` of several, best first; the last is used however it has been doing."""

    def __init__(self, links: Sequence[EarsLink]) -> None:
        assert links
        self._links = tuple(links)

    @asynccontextmanager
    async def listen(self, facts: CallFacts) -> AsyncIterator[_ChainedTranscriber]:
        """A transcriber that survives all but the last of its engines."""
        transcriber = _ChainedTranscriber(self._links, facts)
        try:
            yield transcriber
        finally:
            await transcriber.close()


class _ChainedTranscriber:
    """Passes audio to the engine in use, and keeps what it has not answered."""

    def __init__(self, links: Sequence[EarsLink], facts: CallFacts) -> None:
        self._links = links
        self._facts = facts
        self._kept = _Kept()
        self._engine: Transcriber | None = None
        self._stack = AsyncExitStack()

    def push(self, mulaw: bytes) -> None:
        self._kept.push(mulaw)
        if self._engine is not None:
            self._engine.push(mulaw)

    def commit(self, utterance: int) -> None:
        self._kept.commit(utterance)
        if self._engine is not None:
            self._engine.commit(utterance)

    async def __aiter__(self) -> AsyncGenerator[Heard, None]:
        loop = asyncio.get_running_loop()
        for place, link in enumerate(self._links):
            last = place == len(self._links) - 1
            if not last and not link.health.may_ask(loop.time()):
                continue
            try:
                engine = await self._stack.enter_async_context(link.ears.listen(self._facts))
                self._take_over(engine)
                if place:
                    link.health.took_over()
                async with aclosing(self._heard_of(engine, link)) as hearing:
                    async for heard in hearing:
                        link.health.answered()
                        if not isinstance(heard, FinalTranscript) or self._kept.answered(heard):
                            yield heard
            except ServiceError as error:
                link.health.failed(loop.time(), error)
                self._engine = None
                if last:
                    raise
                await self._stack.aclose()
                continue
            return

    async def _heard_of(self, engine: Transcriber, link: EarsLink) -> AsyncGenerator[Heard, None]:
        """What the engine says; raises `ServiceUnavailable` when an answer takes too long."""
        loop = asyncio.get_running_loop()
        began, stream = loop.time(), aiter(engine)
        waiting: asyncio.Task[Heard | None] | None = None
        try:
            while True:
                waiting = loop.create_task(_next(stream), name=link.health.name)
                while not waiting.done():
                    now, owed_since = loop.time(), self._kept.owed_since
                    since = now if owed_since is None else max(began, owed_since)
                    left = since + link.answer_s - now
                    if left <= 0:
                        raise ServiceUnavailable(link.health.name, "an utterance has no answer")
                    await asyncio.wait([waiting], timeout=None if left == math.inf else left)
                heard = waiting.result()
                if heard is None:
                    return
                yield heard
        finally:
            if waiting is not None:
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)  # told already, or too late
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    def _take_over(self, engine: Transcriber) -> None:
        for kept in self._kept:
            if isinstance(kept, int):
                engine.commit(kept)
            else:
                engine.push(kept)
        self._engine = engine

    async def close(self) -> None:
        """Free the engine in use."""
        self._engine = None
        await self._stack.aclose()


async def _next(stream: AsyncIterator[Heard]) -> Heard | None:
    return await anext(stream, None)


class _Kept(deque[bytes | int]):
    """Frames and commits without an answer, in order; the oldest frames go, commits never."""

    def __init__(self) -> None:
        super().__init__()
        self._owed: dict[int, float] = {}  # when each was committed
        self._frames = 0

    def push(self, mulaw: bytes) -> None:
        self.append(mulaw)
        self._frames += 1
        if self._frames > _KEPT_FRAMES:
            self._drop_frame()

    def commit(self, utterance: int) -> None:
        self.append(utterance)
        self._owed[utterance] = asyncio.get_running_loop().time()

    @property
    def owed_since(self) -> float | None:
        """When the oldest commit without an answer was made."""
        return min(self._owed.values(), default=None)

    def answered(self, heard: FinalTranscript) -> bool:
        """Forget the audio up to the commit that was answered; a cut of its own forgets all.

        False for an answer that was given before.
        """
        if heard.utterance == 0:
            self._forget_frames()
            return True
        if heard.utterance not in self._owed:
            return False
        del self._owed[heard.utterance]
        kept = list(self)
        end = kept.index(heard.utterance)
        begin = end  # answers may come in disorder: what belongs to earlier commits stays
        while begin and not isinstance(kept[begin - 1], int):
            begin -= 1
        del kept[begin : end + 1]
        self._frames -= end - begin
        self.clear()
        self.extend(kept)
        return True

    def _forget_frames(self) -> None:
        commits = [kept for kept in self if isinstance(kept, int)]
        self.clear()
        self.extend(commits)
        self._frames = 0

    def _drop_frame(self) -> None:
        commits: list[int] = []
        while isinstance(kept := self.popleft(), int):
            commits.append(kept)
        self.extendleft(reversed(commits))
        self._frames -= 1
