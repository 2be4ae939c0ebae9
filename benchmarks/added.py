"""What a turn takes beyond the providers' own time: a whole server before simulated providers.

The server is another process and has all it has in production: signed webhooks, journal,
database, scam shield. Recognition, model and voice take fixed times, and from the final
transcript on nothing else is waited for, so that what is left is the server's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import os
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final

import httpx
import msgspec

from benchmarks.calls import Figure
from benchmarks.frames import CALLERS
from benchmarks.harness import CALLED, PROMPT_MS, PUBLIC_URL, prepare
from voice_server.call.history import CallerSaid
from voice_server.call.voice_activity import loudness
from voice_server.testing.caller import FRAME, FRAME_MS, Move
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.anthropic import messages
from voice_server.testing.lab.elevenlabs import Delays, open_elevenlabs
from voice_server.testing.lab.events import Pace
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.mind import Asked, Said
from voice_server.testing.lab.model import ModelSimulator
from voice_server.testing.lab.openai import chat_completions
from voice_server.testing.phone import Phone
from voice_server.testing.script import read_caller

DELAYS: Final = Delays(partial_every_ms=250, final_s=0.15, first_audio_s=0.075)
PACE: Final = Pace(first_byte_s=0.2, between_s=0.0)
CALLS, TURNS = 5, 8  # at once; of each
MINDS = ("openai", "anthropic")

_TOKEN = "benchmark-auth-token"
_START_S = 60.0
_QUIET_MS = 600  # of silence before the caller speaks again
_PATIENCE_MS = 8_000


class Turn(msgspec.Struct):
    """When things happened, in seconds of the loop's clock."""

    final_at: float
    spoke_at: float = math.nan  # the caller's last voice
    heard_at: float = math.nan  # the agent's first

    @property
    def added_ms(self) -> float:
        """The server's own part between the transcript and the first sound."""
        waited = self.heard_at - self.final_at - PACE.first_byte_s - DELAYS.first_audio_s
        return waited * 1000

    @property
    def whole_ms(self) -> float:
        """From the caller's last voice to the agent's first, as a caller feels it."""
        return (self.heard_at - self.spoke_at) * 1000


class Providers:
    """What the simulated providers say: each answer names the turn that it answers."""

    def __init__(self) -> None:
        self.turns: dict[int, Turn] = {}
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()

    def recognise(self, mulaw: bytes) -> str:
        """Called at the moment at which the transcript goes out."""
        if not sound.voiced(mulaw):
            return ""
        number = next(self._numbers)
        self.turns[number] = Turn(self._loop.time())
        return f"This is number {number}"

    async def think(self, asked: Asked) -> Said:
        """The answer to the newest words."""
        said = next(entry.text for entry in reversed(asked.history) if type(entry) is CallerSaid)
        return Said(f"{said.rsplit(maxsplit=1)[-1]}, thank you.")


class Asker:
    """A caller who says the same a number of times, and notes when the answers begin."""

    def __init__(self, providers: Providers, turns: int) -> None:
        script, voice = read_caller(CALLERS / "book_plumbing.wav")
        turn = script.turns[1]  # five words without a pause
        begin, end = round(turn.start * 8000), round(turn.end * 8000)
        frames = [voice[at : at + FRAME] for at in range(begin, end - FRAME, FRAME)]
        while loudness(frames[-1]) < sound.VOICED:
            frames.pop()
        self._words = frames
        self._providers = providers
        self._left = turns
        self._loop = asyncio.get_running_loop()
        self._zero = math.inf  # the beginning of the stream on the loop's clock
        self._saying: Iterator[bytes] = iter(())
        self._answer = bytearray()
        self._heard_at = self._spoke_at = math.nan
        self._quiet_since = 0

    def move(self, heard: bytes, now_ms: int) -> Move:
        """Listen to 20 ms and say the next 20."""
        self._zero = min(self._zero, self._loop.time() - now_ms / 1000)
        self._listen(heard, now_ms)
        if (frame := next(self._saying, None)) is not None:
            self._answer.clear()
            self._spoke_at, self._quiet_since = self._zero + now_ms / 1000, now_ms
            return Move(frame)
        quiet_ms = now_ms - self._quiet_since
        if quiet_ms >= _PATIENCE_MS or (self._answer and quiet_ms >= _QUIET_MS):
            self._take_answer()
            if not self._left:
                return Move(b"", hangs_up=True)
            self._left -= 1
            self._saying = iter(self._words)
        return Move(sound.SILENCE)

    def _listen(self, heard: bytes, now_ms: int) -> None:
        voice = heard.lstrip(sound.SILENCE)
        if not voice:
            return
        if not self._answer:
            silent_ms = (len(heard) - len(voice)) / 8
            self._heard_at = self._zero + (now_ms - FRAME_MS + silent_ms) / 1000
            heard = voice
        self._answer += heard
        self._quiet_since = now_ms

    def _take_answer(self) -> None:
        number = sound.said(bytes(self._answer)).split(",")[0]
        turn = self._providers.turns.get(int(number)) if number.isdecimal() else None
        if turn is not None:
            turn.spoke_at, turn.heard_at = self._spoke_at, self._heard_at
        self._answer.clear()


@contextlib.asynccontextmanager
async def serving(data_dir: Path, env: Mapping[str, str]) -> AsyncIterator[str]:
    """A server of its own; yields HOST:PORT once it takes calls."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    variables = {
        **{name: value for name, value in os.environ.items() if "API_KEY" not in name},
        "VOICE_SERVER_PORT": address.split(":")[1],
        "VOICE_SERVER_PUBLIC_URL": PUBLIC_URL,
        "VOICE_SERVER_DATA_DIR": str(data_dir),
        "VOICE_SERVER_LOG_LEVEL": "error",
        "TWILIO_AUTH_TOKEN": _TOKEN,
        **env,
    }
    command = (sys.executable, "-m", "voice_server", "serve")
    server = await asyncio.create_subprocess_exec(*command, env=variables, stderr=DEVNULL)
    try:
        async with asyncio.timeout(_START_S), httpx.AsyncClient() as http:
            while not await _is_ready(http, address):
                assert server.returncode is None, "the server did not start"
                await asyncio.sleep(0.1)
        yield address
    finally:
        server.terminate()
        await server.wait()


async def _is_ready(http: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await http.get(f"http://{address}/readyz")).is_success
    except httpx.TransportError:
        return False


async def measure(data_dir: Path, mind: str, *, calls: int, turns: int) -> list[Turn]:
    """Hold calls at once with a server at `data_dir`; the turns that were answered."""
    providers = Providers()
    wire = messages() if mind == "anthropic" else chat_completions()
    simulator = ModelSimulator(wire, mind=providers.think, pace=PACE)
    speech = open_elevenlabs(delays=DELAYS, recogniser=providers.recognise)
    async with speech as elevenlabs, hosting(simulator.app) as url:
        env = {
            "ELEVENLABS_API_KEY": elevenlabs.key,
            "VOICE_SERVER_ELEVENLABS_API_URL": elevenlabs.url,
            f"{mind.upper()}_API_KEY": "key",
            f"VOICE_SERVER_{mind.upper()}_API_URL": f"{url}/v1" if mind == "openai" else url,
        }
        async with serving(data_dir, env) as address:
            askers = [Asker(providers, turns) for _ in range(calls)]
            phones = [_call(asker, address, place / calls) for place, asker in enumerate(askers)]
            await asyncio.gather(*phones)
    return [turn for turn in providers.turns.values() if not math.isnan(turn.heard_at)]


async def _call(asker: Asker, address: str, after_s: float) -> None:
    await asyncio.sleep(after_s)
    route = {PUBLIC_URL.removeprefix("https://"): address}
    phone = Phone(
        f"{PUBLIC_URL}/twilio/voice",
        auth_token=_TOKEN,
        caller=asker,
        to_number=CALLED,
        connect_to=route,
    )
    report = await phone.call()
    assert not report.errors, report.errors


def added_latency(folder: Path) -> Iterator[Figure]:
    """The server's own part of a turn, per language model; real time, a minute each."""
    data_dir = folder / "added"
    asyncio.run(prepare(data_dir, {"end_of_turn_ms": PROMPT_MS}))
    for mind in MINDS:
        turns = asyncio.run(measure(data_dir, mind, calls=CALLS, turns=TURNS))
        yield Figure(f"turns answered, {mind}", len(turns), f"of {CALLS * TURNS}")
        yield from figures(mind, turns)


def figures(mind: str, turns: list[Turn]) -> Iterator[Figure]:
    """Percentiles, by nearest rank."""
    for name, values in (
        ("added to a turn", sorted(turn.added_ms for turn in turns)),
        ("a whole turn", sorted(turn.whole_ms for turn in turns)),
    ):
        for percent in (50, 95, 99):
            rank = max(0, math.ceil(percent / 100 * len(values)) - 1)
            yield Figure(f"{name}, {mind}, p{percent}", round(values[rank], 1), "ms")
