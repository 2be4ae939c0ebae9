"""After a long pause of a call its models are in reach again before they are asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import pytest

from tests.engines.engines import Ears
from tests.engines.lab import KEYS, MINDS, PATHS
from tests.engines.test_selection import NOWHERE, local
from tests.runtime.fakes import FACTS
from voice_server.call.events import FinalTranscript, ReplyText
from voice_server.call.history import CallerSaid
from voice_server.engines.readiness import AttentiveEars, Readiness
from voice_server.engines.selection import Engines
from voice_server.ports import ReplyRequest, Transcriber
from voice_server.provider_settings import ProviderSettings
from voice_server.runtime.services import Services
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.mind import Said, always
from voice_server.vault.choice import KeyChooser

QUIET, VOICE = b"\xff" * 160, b"\x10" * 160
FRAME_S = 0.02
PROVIDERS = sorted(MINDS)


class Call:
    """One call at a provider, and the connections that its model has open."""

    def __init__(self, services: Services, pool: Any, transcriber: Transcriber) -> None:
        self._services = services
        self._pool = pool
        self._transcriber = transcriber

    @property
    def connections(self) -> set[int]:
        return {id(one) for one in self._pool.connections if not one.is_closed()}

    async def hear(self, frame: bytes, seconds: float) -> None:
        for _ in range(round(seconds / FRAME_S)):
            self._transcriber.push(frame)
            await asyncio.sleep(FRAME_S)

    async def ask(self) -> set[int]:
        """Have a question answered; returns the connections that had to be opened for it."""
        before = self.connections
        request = ReplyRequest(1, (CallerSaid("My tap leaks."),), FACTS)
        said = [piece async for piece in self._services.language_model.reply(request)]
        assert any(isinstance(piece, ReplyText) for piece in said)
        return self.connections - before


@asynccontextmanager
async def call(provider: str) -> AsyncIterator[Call]:
    """A call whose phone has rung, at a simulated provider and over real sockets."""
    simulator = MINDS[provider](mind=always(Said("Yes.")))
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(hosting(simulator.app))
        address = f"{url}{PATHS.get(provider, '')}"
        keys = {KEYS.get(provider, f"{provider.upper()}_API_KEY"): "lab-key"}
        of = ProviderSettings(**NOWHERE | keys | {f"{provider}_api_url": address})
        engines = Engines(of, KeyChooser(of, None), local(), can_transfer=False)
        stack.push_async_callback(engines.close)
        await engines.prepare()
        plan: Any = await engines.choose(FACTS)
        services = plan.services(lambda consumed: None)
        transcriber = await stack.enter_async_context(services.speech_to_text.listen(FACTS))
        pool = plan.minds[0].connection._client._client._transport._pool
        await asyncio.sleep(0.5)
        yield Call(services, pool, transcriber)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("pause_s", [35, 61, 200])
def test_the_turn_after_a_long_pause_opens_no_connection(virtual, provider, pause_s):
    async def scene() -> None:
        async with call(provider) as one:
            assert await one.ask() == set()
            await one.hear(QUIET, pause_s)
            await one.hear(VOICE, 2)
            await one.hear(QUIET, 0.7)
            assert await one.ask() == set()

    virtual(scene())


def test_without_a_sound_of_the_caller_the_connections_are_left_to_expire(virtual):
    async def scene() -> None:
        async with call("openai") as one:
            await one.ask()
            await one.hear(QUIET, 100)
            assert len(await one.ask()) == 1

    virtual(scene())


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_caller_who_talks_for_minutes_is_answered_over_an_open_connection(virtual, provider):
    async def scene() -> None:
        async with call(provider) as one:
            await one.hear(VOICE, 200)
            assert await one.ask() == set()

    virtual(scene())


def knocks(virtual, heard: Sequence[tuple[bytes | None, float]]) -> int:
    """How often a model's door is knocked at; None stands for a question."""

    async def scene() -> int:
        counted = 0

        def knock() -> None:
            nonlocal counted
            counted += 1

        readiness = Readiness([knock])
        for frame, seconds in heard:
            if frame is None:
                readiness.asked()
            for _ in range(round(seconds / FRAME_S)):
                readiness.hear(frame or QUIET)
                await asyncio.sleep(FRAME_S)
        return counted

    return virtual(scene())


@pytest.mark.parametrize(
    ("heard", "count"),
    [
        ([(VOICE, 29)], 0),
        ([(QUIET, 300)], 0),
        ([(QUIET, 300), (VOICE, 3)], 1),
        ([(QUIET, 31), (VOICE, 3), (QUIET, 20), (VOICE, 3)], 1),
        ([(QUIET, 25), (None, 25), (VOICE, 3)], 0),
        ([(None, 3), (VOICE, 3)] * 20, 0),
        ([(VOICE, 100)], 3),
    ],
    ids=[
        "just rung", "silence", "after silence", "just knocked", "just asked", "talk", "monologue",
    ],
)  # fmt: skip
def test_providers_are_knocked_at_only_when_a_caller_speaks_after_half_a_minute(
    virtual, heard, count
):
    assert knocks(virtual, heard) == count


def test_attentive_ears_hear_as_the_ears_within_them_do(virtual):
    async def scene() -> None:
        ears = Ears()
        async with AttentiveEars(ears, Readiness([])).listen(FACTS) as transcriber:
            for frame in (b"a", b"b"):
                transcriber.push(frame)
            transcriber.commit(1)
            async with aclosing(aiter(transcriber)) as hearing:
                assert await anext(hearing) == FinalTranscript("ab", 1)
            assert ears.open == 1
        assert ears.got == [b"a", b"b", 1]
        assert ears.open == 0

    virtual(scene())
