"""One utterance of the hosted agent: its text and the audio that says it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from voice_server.call.events import SpeechReady, TurnId
from voice_server.errors import ServiceUnavailable
from voice_server.hosted.wire import SERVICE, Sound
from voice_server.limits import Limits
from voice_server.speech.elevenlabs.subtitles import Subtitles
from voice_server.speech.g711 import SILENCE

_BREATH = SILENCE * 160  # carries text that has no sound of its own: 20 ms
_BYTES_PER_MS = 8
_MOST_BYTES = 120_000 * _BYTES_PER_MS  # two minutes; nobody speaks so long in one breath
_FAST_MS_PER_CHARACTER = 40  # audio that is shorter for its text has broken off


class Response:
    """Filled by the conversation as its messages come, spoken once by the voice.

    `number` is the service's own (None until it tells), `text` "" until it is known; `planned`
    is the text as the call was told it, whatever is corrected later.
    """

    __slots__ = (
        "_bytes",
        "_changed",
        "_chunks",
        "_lost",
        "_over",
        "cut",
        "number",
        "planned",
        "spoken",
        "text",
    )

    def __init__(self, number: int | None, text: str = "") -> None:
        self.number = number
        self.text = text
        self.planned = ""
        self.cut = False  # the rest of it will never come
        self.spoken = Subtitles()
        self._chunks: deque[Sound] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self._lost = False  # with the conversation

    @property
    def over(self) -> bool:
        """All of its audio is here."""
        return self._over.is_set()

    def hear(self, sound: Sound) -> None:
        """Take some audio; beyond two minutes it is dropped."""
        if self.cut or self._bytes > _MOST_BYTES:
            return
        self._bytes += len(sound.mulaw)
        if sound.mulaw:
            self._chunks.append(sound)
        if sound.final:
            self.end()
        self._changed.set()

    def correct(self, corrected: str) -> None:
        """The service goes on otherwise: what was handed out stays, the rest is replaced."""
        said = self.spoken.text[: self.spoken.position]
        if corrected.startswith(said.rstrip()):
            self.text = corrected
            if self.spoken.text:
                self.spoken.text = f"{corrected} "

    def end(self) -> None:
        """No more audio will come."""
        self._over.set()
        self._changed.set()

    def abandon(self) -> None:
        """Nobody is to hear the rest."""
        self.cut = True
        self._chunks.clear()
        self.end()

    def lose(self) -> None:
        """The conversation is lost, and with it the audio that has not come."""
        self._lost = not self.over
        self.end()

    async def wait_over(self) -> None:
        """Wait until all audio is here, or will never be."""
        await self._over.wait()

    async def speak(self, turn: TurnId, limits: Limits) -> AsyncGenerator[SpeechReady, None]:
        """Yield the audio with the words it says; they add up to the text and one blank.

        Raises `ServiceUnavailable` when audio that is owed takes too long; what was handed out
        until then is in `spoken`.
        """
        self.spoken.give(f"{self.text} ")
        heard = False
        while True:
            self._changed.clear()
            while self._chunks and not self.cut:
                chunk = self._chunks.popleft()
                heard = True
                yield SpeechReady(turn, chunk.mulaw, self.spoken.hear(chunk.mulaw, chunk.alignment))
            if self._lost:
                raise ServiceUnavailable(SERVICE, "the conversation broke off in mid-sentence")
            if self.over or (self.spoken.aligned and self._all_said):
                break
            await self._wait(limits.between_s if heard else limits.first_byte_s, heard=heard)
        self.end()
        if not self.cut and (rest := self.spoken.upto(len(self.spoken.text))):
            yield SpeechReady(turn, _BREATH, rest)

    async def _wait(self, limit_s: float, *, heard: bool) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await self._changed.wait()
        except TimeoutError:
            if not heard or not self._sounds_whole:
                raise ServiceUnavailable(SERVICE, "the agent fell silent") from None
            self.end()  # not every agent tells where its audio ends

    @property
    def _all_said(self) -> bool:
        return not self.spoken.text[self.spoken.position :].strip()

    @property
    def _sounds_whole(self) -> bool:
        if self.spoken.aligned:
            return self._all_said
        return self._bytes >= _FAST_MS_PER_CHARACTER * _BYTES_PER_MS * len(self.text)
