"""A socket with a bug in one of its halves: the engine that it belongs to fails at once."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from tests.engines.engines import LIMITS, Ears, Voice
from tests.speech.conftest import FACTS
from tests.speech.elevenlabs.conftest import EARS, VOICE, Ear, access, given, mouth, now
from voice_server.call.events import Consumed, FinalTranscript
from voice_server.engines.ears import EarsChain, EarsLink
from voice_server.engines.health import Health
from voice_server.engines.tally import Tally
from voice_server.engines.voice import VoiceChain, VoiceLink
from voice_server.errors import EngineBroken, ServiceUnavailable
from voice_server.speech.elevenlabs import (
    ElevenLabsSpeechToText,
    ElevenLabsTextToSpeech,
    VoiceSockets,
)
from voice_server.speech.elevenlabs.sending import Send, sending
from voice_server.telemetry import Metrics
from voice_server.testing.lab.elevenlabs import open_elevenlabs

FRAME = b"." * 160


class BrokenBooks:
    """Books whose first entry meets a bug; they are kept by whoever sends."""

    def __init__(self) -> None:
        self.items: Counter[str] = Counter()
        self._broken = True

    def spend(self, consumed: Consumed) -> None:
        if self._broken:
            self._broken = False
            raise LookupError("what the caller said")
        self.items[consumed.item] += consumed.quantity


def counted(metrics: Metrics, engine: str) -> float | None:
    labels = {"provider": "elevenlabs", "engine": engine, "kind": "bug"}
    return metrics.registry.get_sample_value("voice_server_engine_failures_total", labels)


def remote(metrics: Metrics, engine: str) -> Health:
    return Health(engine, tally=Tally(metrics.engines, "elevenlabs", engine))


async def nothing_said(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def a_bug(_: ClientConnection) -> None:
    raise LookupError("what the caller said")


async def nothing(_: ClientConnection) -> None:
    return


async def talk(send: Send) -> None:
    """Receive from a service that says nothing, while `send` does what it does."""
    async with serve(nothing_said, "127.0.0.1", 0, close_timeout=0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}"
        async with (
            connect(url, close_timeout=0) as socket,
            sending(socket, send, "a sender"),
            asyncio.timeout(60),
        ):
            await socket.recv()


def test_a_receiver_does_not_wait_for_what_a_broken_sender_never_asks(virtual):
    async def main():
        with pytest.raises(EngineBroken) as told:
            await talk(a_bug)
        assert now() < 1
        assert "LookupError at a_bug:" in str(told.value)
        assert "caller said" not in str(told.value)

    virtual(main())


def test_a_sender_that_is_done_is_no_bug(virtual):
    async def main():
        with pytest.raises(ServiceUnavailable):
            await talk(nothing)
        assert now() >= 60

    virtual(main())


def test_a_bug_in_the_receiver_is_the_engines_failure_too(virtual, caplog):
    async def main():
        async with serve(nothing_said, "127.0.0.1", 0, close_timeout=0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}", close_timeout=0) as socket:
                with pytest.raises(EngineBroken):
                    async with sending(socket, nothing, "a sender"):
                        await a_bug(socket)

    virtual(main())
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "a bug in an engine")
    assert record.kind == "LookupError"
    assert "caller said" not in caplog.text


def test_ears_with_a_bug_give_way_within_the_sentence_and_no_word_is_lost(virtual):
    async def main():
        metrics, local = Metrics(), Ears()
        async with open_elevenlabs() as lab:
            ears = ElevenLabsSpeechToText(access(lab), EARS, BrokenBooks().spend)
            chain = EarsChain(
                [EarsLink(ears, remote(metrics, "ears")), EarsLink(local, Health("local"))]
            )
            async with chain.listen(FACTS) as transcriber:
                ear = Ear(transcriber)
                listening = asyncio.create_task(ear.listen())
                await ear.play(FRAME * 450)
                assert local.open == 0
                await ear.play(FRAME * 100)  # ten seconds are booked in the middle of it
                assert local.open == 1
                transcriber.commit(1)
                await asyncio.sleep(0.1)
                assert [final.utterance for final in ear.finals] == [1]
                assert isinstance(ear.finals[0], FinalTranscript)
                listening.cancel()
                await asyncio.wait([listening])
        assert len(local.got) == 551
        assert counted(metrics, "ears") == 1

    virtual(main())


def test_a_voice_with_a_bug_gives_way_to_the_next_one_at_once(virtual):
    async def main():
        metrics, local, sockets = Metrics(), Voice(), VoiceSockets()
        async with open_elevenlabs() as lab:
            try:
                voice = ElevenLabsTextToSpeech(access(lab), VOICE, sockets, BrokenBooks().spend)
                chain = VoiceChain(
                    [
                        VoiceLink(voice, remote(metrics, "voice"), LIMITS),
                        VoiceLink(local, Health("local"), LIMITS),
                    ]
                )
                began = now()
                said = [piece async for piece in chain.speak(1, given("Good day."), FACTS)]
                assert now() - began < LIMITS.first_byte_s
            finally:
                await sockets.close()
        assert "".join(piece.text for piece in said) == local.given == "Good day."
        assert counted(metrics, "voice") == 1

    virtual(main())


def test_after_a_bug_the_next_turn_is_spoken_over_a_new_socket(virtual):
    async def main():
        async with mouth() as it:
            broken = BrokenBooks()

            def stumble(consumed: Consumed) -> None:
                broken.spend(consumed)
                it.ledger.spend(consumed)

            it.voice = ElevenLabsTextToSpeech(access(it.lab), VOICE, it.sockets, stumble)
            turn = await it.say("Good day.")
            assert isinstance(turn.error, EngineBroken)
            turn = await it.say("Good day.")
            assert (turn.error, turn.text) == (None, "Good day.")
            assert it.sockets.handshakes == 2

    virtual(main())
