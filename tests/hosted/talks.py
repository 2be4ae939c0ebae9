"""A conversation with a simulated agent, seen from its three sides; the rest is fake."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from pydantic import SecretStr

from tests.engines.engines import Mind, Voice
from tests.runtime.fakes import FACTS
from voice_server.call import events as e
from voice_server.errors import ServiceError
from voice_server.hosted import (
    Door,
    HostedConfig,
    HostedConversation,
    HostedEars,
    HostedMind,
    HostedVoice,
    Opening,
)
from voice_server.limits import Limits
from voice_server.ports import ReplyRequest
from voice_server.speech.elevenlabs import Access
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs import ElevenLabsLab, open_elevenlabs
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID, LabAgent
from voice_server.testing.lab.mind import Said, always

LIMITS = Limits(first_byte_s=1.0, between_s=0.8, total_s=3.0)
FRAME_S = 0.02


def agent(*answers: Said | str, **settings: Any) -> LabAgent:
    """An agent that says these things in turn, and nothing of its own accord at first."""
    said = [Said(one) if isinstance(one, str) else one for one in answers]
    return LabAgent(always(*said or [Said("All right.")]), **{"first_message": ""} | settings)


class Talk:
    """All sides of one conversation."""

    def __init__(self, lab: ElevenLabsLab, conversation: HostedConversation) -> None:
        self.lab = lab
        self.house = lab.house
        self.conversation = conversation
        self.ordinary_mind = Mind("An ordinary answer.")
        self.ordinary_voice = Voice(word_s=0.05)
        self.mind = HostedMind(conversation, self.ordinary_mind)
        self.voice = HostedVoice(conversation, self.ordinary_voice)
        self.facts: list[e.Event] = []
        self.error: ServiceError | None = None
        self.error_at = -1.0
        self.ears: Any = None
        self._commits = 0

    async def listen(self) -> None:
        """Take the facts as they come, until the conversation is lost."""
        try:
            async for fact in self.ears:
                self.facts.append(fact)
        except ServiceError as error:
            self.error, self.error_at = error, asyncio.get_running_loop().time()

    async def say(self, text: str, *, pause_s: float = 0.24) -> int:
        """The caller says something in real time, pauses, and the pause is committed."""
        await self.play(sound.spoken(text) + sound.SILENCE * round(pause_s / FRAME_S))
        self._commits += 1
        self.ears.commit(self._commits)
        return self._commits

    async def play(self, audio: bytes) -> None:
        for at in range(0, len(audio), 160):
            self.ears.push(audio[at : at + 160])
            await asyncio.sleep(FRAME_S)

    async def hush(self, seconds: float) -> None:
        """Nobody says anything for a while."""
        await self.play(sound.SILENCE * round(seconds / FRAME_S))

    def told(self, kind: type[Any]) -> list[Any]:
        """The facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def reply(self, *history: Any, turn: int = 1) -> list[e.Event]:
        """Ask for a reply and take all of it, while the line stays quiet."""
        request = ReplyRequest(turn, history, FACTS)
        return [piece async for piece in self.mind.reply(request)]

    async def speak(self, turn: int, *pieces: str) -> str:
        """Let the voice say a turn; returns the words that its sounds stand for."""
        return "".join(piece.text for piece in await self.sounds(turn, *pieces))

    async def sounds(self, turn: int, *pieces: str) -> list[e.SpeechReady]:
        return [
            piece
            async for piece in self.voice.speak(turn, as_they_come(pieces), FACTS)
            if isinstance(piece, e.SpeechReady)
        ]


async def as_they_come(pieces: Sequence[str]) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece


@asynccontextmanager
async def talk(
    hosted: LabAgent | None = None,
    *,
    config: HostedConfig | None = None,
    greeting: str = "",
    key: str | None = "lab-elevenlabs-key",
    spent: Counter[str] | None = None,
    wait: bool = True,
    **options: Any,
) -> AsyncIterator[Talk]:
    """A running conversation; with `wait` it has begun, or is lost, when the block starts."""
    booked = spent if spent is not None else Counter[str]()

    def spend(consumed: e.Consumed) -> None:
        assert consumed.quantity > 0
        booked[consumed.item] += consumed.quantity

    agents = {AGENT_ID: hosted or agent()}
    async with open_elevenlabs(agents=agents, **options) as lab, httpx.AsyncClient() as http:
        access = Access(SecretStr(key), lab.url) if key is not None else None
        config = config or HostedConfig(AGENT_ID)
        door = Door(config.agent_id, lab.url, access, lambda: http)
        opening = Opening(config, greeting, "JBFqnCBsd6RMkjVDRZzb", {"call_id": "call-1"})
        conversation = HostedConversation(door, opening, spend, LIMITS)
        one = Talk(lab, conversation)
        async with HostedEars(conversation).listen(FACTS) as one.ears:
            listening = asyncio.ensure_future(one.listen())
            if wait:
                await asyncio.sleep(0.05)
            try:
                yield one
            finally:
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening
