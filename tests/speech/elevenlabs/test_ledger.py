"""Over chaotic calls our ledger and the service's meter agree to the unit."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest

from tests.speech.conftest import FACTS
from tests.speech.elevenlabs.conftest import access, ears, given, mouth
from voice_server.errors import ServiceError
from voice_server.speech.elevenlabs.access import open_socket
from voice_server.speech.elevenlabs.config import parse_voice
from voice_server.speech.elevenlabs.sockets import VoiceSocket
from voice_server.speech.elevenlabs.voice_wire import dialect as dialect_of
from voice_server.testing.lab.elevenlabs import open_elevenlabs
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection

FAULTS = tuple(Fault)


def chaos(random_: random.Random, most_bytes: int) -> FaultPlan:
    return FaultPlan(
        {
            number: Injection(random_.choice(FAULTS), random_.randrange(most_bytes), 3.0)
            for number in range(1, 40)
        }
    )


@pytest.mark.parametrize("seed", range(8))
def test_every_byte_of_a_chaotic_call_is_booked_once(virtual, seed):
    async def main():
        dice = random.Random(seed)
        async with ears(ears_faults=chaos(dice, 40_000)) as (_, ear, _ledger):
            for _ in range(6):  # the fixture compares the books on the way out
                await ear.say("some words of a call", pause_ms=dice.choice([20, 240]))
                await asyncio.sleep(dice.random())
            utterances = [final.utterance for final in ear.finals if final.utterance]
            assert utterances == sorted(set(utterances))

    virtual(main())


@pytest.mark.parametrize("seed", range(8))
def test_every_character_of_chaotic_turns_is_booked_once(virtual, seed):
    async def main():
        dice = random.Random(seed)
        plans = {"voice_faults": chaos(dice, 30_000), "http_faults": chaos(dice, 30_000)}
        async with mouth(**plans) as it:

            async def turn(number: int) -> None:
                gap_s = dice.choice([0.0, 0.05, 2.0])
                pieces = given("One sentence. ", "Another one. ", "A third.", gap_s=gap_s)
                speech = it.voice.speak(number, pieces, FACTS)
                patience_s = dice.choice([0.1, 0.5, 20.0])
                try:
                    async with asyncio.timeout(patience_s), aclosing(speech):
                        async for _ in speech:
                            pass
                except (TimeoutError, ServiceError):
                    return

            for first in range(0, 12, 3):
                await asyncio.gather(*(turn(first + n) for n in range(3)))
                await asyncio.sleep(dice.random() * 5)

    virtual(main())


def test_text_for_a_socket_that_has_just_died_is_not_booked(virtual):
    async def main():
        voice = parse_voice("{}")[0]
        dialect = dialect_of(voice)
        async with open_elevenlabs() as lab:
            query = dialect.query(voice)
            connection = await open_socket(
                access(lab), *dialect.path(voice), query=query, within_s=1.0
            )
            socket, booked = VoiceSocket(connection, dialect), []
            context = socket.open("t1", voice, asyncio.Event())
            running = asyncio.ensure_future(socket.run())
            await asyncio.sleep(0.1)
            connection.transport.abort()
            context.say("Too late.", booked.append)
            await running
            assert context.error is not None
            assert booked == []
            assert lab.meter.items == {}

    virtual(main())
