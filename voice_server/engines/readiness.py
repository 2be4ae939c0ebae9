"""Connections to language models that are open again when a long pause ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from voice_server.call.voice_activity import SPEECH_LEVEL, loudness
from voice_server.ports import CallFacts, Heard, SpeechToText, Transcriber

# Half of what our pools keep idle connections for: whoever begins to speak in the other half may
# still be speaking when it is over.
_FRESH_S = 30.0


class Readiness:
    """What one call has done to keep its models in reach.

    When it has not asked for half a minute, the next sound of the caller opens or renews the
    connections (each of `knocks` does for one model): the question comes when they have finished.
    """

    __slots__ = ("_due", "_knocks", "_loop")

    def __init__(self, knocks: Sequence[Callable[[], object]]) -> None:
        self._knocks = tuple(knocks)
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self.asked()

    def asked(self) -> None:
        """The connections are in use, or were opened just now."""
        self._due = self._loop.time() + _FRESH_S

    def hear(self, mulaw: bytes) -> None:
        """Take one frame of the caller."""
        if self._loop.time() >= self._due and loudness(mulaw) >= SPEECH_LEVEL:
            self.asked()
            for knock in self._knocks:
                knock()


class AttentiveEars:
    """A `SpeechToText` whose caller is heard by a `Readiness` too."""

    __slots__ = ("_ears", "_readiness")

    def __init__(self, ears: SpeechToText, readiness: Readiness) -> None:
        self._ears = ears
        self._readiness = readiness

    @asynccontextmanager
    async def listen(self, facts: CallFacts) -> AsyncIterator[_AttentiveTranscriber]:
        """A transcriber as `ears` opens it."""
        async with self._ears.listen(facts) as transcriber:
            yield _AttentiveTranscriber(transcriber, self._readiness)


class _AttentiveTranscriber:
    __slots__ = ("_readiness", "_transcriber", "commit")

    def __init__(self, transcriber: Transcriber, readiness: Readiness) -> None:
        self._transcriber = transcriber
        self._readiness = readiness
        self.commit = transcriber.commit

    def push(self, mulaw: bytes) -> None:
        self._readiness.hear(mulaw)
        self._transcriber.push(mulaw)

    def __aiter__(self) -> AsyncIterator[Heard]:
        return aiter(self._transcriber)
