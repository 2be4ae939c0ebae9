"""Ears in a chain: when one goes deaf, the next hears again what was not understood yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from voice_server.call.events import Consumed, FinalTranscript, PartialTranscript
from voice_server.engines.health import Health
from voice_server.errors import ServiceError
from voice_server.ports import CallFacts, SpeechToText, Transcriber

Heard = PartialTranscript | FinalTranscript | Consumed

_KEPT_FRAMES = 750  # 15 s: longer utterances are cut by any recogniser


class EarsLink(msgspec.Struct, frozen=True):
    """One recogniser of a chain."""

    ears: SpeechToText
    health: Health


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
        self._kept: deque[bytes | int] = deque(maxlen=_KEPT_FRAMES)  # frames, and commits
        self._engine: Transcriber | None = None
        self._stack = AsyncExitStack()

    def push(self, mulaw: bytes) -> None:
        self._kept.append(mulaw)
        if self._engine is not None:
            self._engine.push(mulaw)

    def commit(self, utterance: int) -> None:
        self._kept.append(utterance)
        if self._engine is not None:
            self._engine.commit(utterance)

    async def __aiter__(self) -> AsyncGenerator[Heard, None]:
        loop = asyncio.get_running_loop()
        for place, link in enumerate(self._links):
            last = place == len(self._links) - 1
            if not last and not link.health.is_open(loop.time()):
                continue
            began = loop.time()
            try:
                engine = await self._stack.enter_async_context(link.ears.listen(self._facts))
                link.health.answered(loop.time() - began)
                self._take_over(engine)
                async for heard in engine:
                    if isinstance(heard, FinalTranscript):
                        self._answered(heard.utterance)
                    yield heard
            except ServiceError as error:
                link.health.failed(loop.time(), lasting=not error.retryable)
                self._engine = None
                if last:
                    raise
                await self._stack.aclose()
                continue
            return

    def _take_over(self, engine: Transcriber) -> None:
        for kept in self._kept:
            if isinstance(kept, int):
                engine.commit(kept)
            else:
                engine.push(kept)
        self._engine = engine

    def _answered(self, utterance: int) -> None:
        """Forget the audio up to the commit that was answered; a cut of its own forgets all."""
        if utterance == 0:
            commits = [kept for kept in self._kept if isinstance(kept, int)]
            self._kept.clear()
            self._kept.extend(commits)
            return
        while self._kept and utterance in self._kept:
            if self._kept.popleft() == utterance:
                return

    async def close(self) -> None:
        """Free the engine in use."""
        self._engine = None
        await self._stack.aclose()
