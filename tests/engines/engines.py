"""Engines that do as they are told, and remember how they were treated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.runtime.fakes import FACTS
from voice_server.call import events as e
from voice_server.engines.health import Health
from voice_server.errors import ServiceError, ServiceRejected, ServiceUnavailable
from voice_server.limits import Limits
from voice_server.ports import CallFacts, ReplyRequest

LIMITS = Limits(first_byte_s=1.0, between_s=0.5, total_s=5.0)
DOWN = ServiceUnavailable("fake", "down")
REFUSED = ServiceRejected("fake", "no credit")
REQUEST = ReplyRequest(1, (), FACTS)

Step = float | str | ServiceError | Exception


class Mind:
    """Waits (s), says and fails as its script has it; the same for each question."""

    def __init__(self, *script: Step) -> None:
        self.script = script
        self.asked = self.begun = self.closed = 0

    async def reply(self, request: ReplyRequest) -> AsyncGenerator[e.ReplyText, None]:
        self.asked += 1
        self.begun += 1
        try:
            for step in self.script:
                if isinstance(step, str):
                    yield e.ReplyText(request.turn, step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    await asyncio.sleep(step)
        finally:
            self.closed += 1


class Voice:
    """Speaks word by word. Before the n-th word it does what `moods[n]` says."""

    def __init__(self, word_s: float = 0.1, moods: dict[int, Step] | None = None) -> None:
        self.word_s = word_s
        self.moods = moods or {}
        self.given = ""
        self.asked = self.closed = 0

    async def speak(
        self, turn: e.TurnId, pieces: AsyncIterator[str], facts: CallFacts
    ) -> AsyncGenerator[e.SpeechReady, None]:
        self.asked += 1
        count = 0
        try:
            async for piece in pieces:
                self.given += piece
                for word in _words(piece):
                    mood = self.moods.get(count, 0.0)
                    count += 1
                    if isinstance(mood, Exception):
                        raise mood
                    if isinstance(mood, str):  # half a word, then silence
                        yield e.SpeechReady(turn, b"\x20", word[: int(mood)])
                        raise DOWN
                    await asyncio.sleep(self.word_s + mood)
                    yield e.SpeechReady(turn, b"\x20" * len(word), word)
        finally:
            self.closed += 1


def _words(text: str) -> list[str]:
    """The words with the blanks that follow them."""
    words = text.split(" ")
    return [*(f"{word} " for word in words[:-1]), *filter(None, words[-1:])]


class Ears:
    """Answers each commit with the frames it got since the last, unless told otherwise."""

    def __init__(
        self,
        *,
        wait_s: float = 0.05,
        refuses: ServiceError | None = None,
        fails_at: int = 0,
        answers_first: bool = False,
        error: ServiceError = DOWN,
        repeats: bool = False,
    ) -> None:
        """`fails_at` a commit it fails, having answered it or not."""
        self.got: list[bytes | int] = []
        self.open = 0
        self._wait_s = wait_s
        self._refuses = refuses
        self._fails_at = fails_at
        self._answers_first = answers_first
        self._error = error
        self._repeats = repeats
        self._work: asyncio.Queue[tuple[int, bytes] | bytes] = asyncio.Queue()
        self._frames: list[bytes] = []

    @asynccontextmanager
    async def listen(self, facts: CallFacts) -> AsyncIterator[Ears]:
        if self._refuses is not None:
            raise self._refuses
        self.open += 1
        try:
            yield self
        finally:
            self.open -= 1

    def push(self, mulaw: bytes) -> None:
        self.got.append(mulaw)
        self._frames.append(mulaw)

    def commit(self, utterance: int) -> None:
        self.got.append(utterance)
        self._work.put_nowait((utterance, b"".join(self._frames)))
        self._frames.clear()

    def cut(self) -> None:
        """The engine ends an utterance by itself."""
        self._work.put_nowait((0, b"".join(self._frames)))
        self._frames.clear()

    async def __aiter__(self) -> AsyncGenerator[e.FinalTranscript, None]:
        while True:
            utterance, audio = await self._work.get()
            await asyncio.sleep(self._wait_s)
            failing = utterance == self._fails_at and utterance > 0
            if not failing or self._answers_first:
                for _ in range(2 if self._repeats else 1):
                    yield e.FinalTranscript(audio.decode(), utterance)
            if failing:
                raise self._error


async def collect(stream: AsyncGenerator[e.ReplyText, None]) -> list[tuple[float, str]]:
    """What was said and when."""
    loop = asyncio.get_running_loop()
    return [(round(loop.time(), 3), piece.text) async for piece in stream]


async def slowly(texts: Sequence[str], gap_s: float) -> AsyncIterator[str]:
    for text in texts:
        yield text
        await asyncio.sleep(gap_s)


def health(name: str = "fake") -> Health:
    return Health(name)
