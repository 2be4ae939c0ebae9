"""python -m benchmarks.independent: Pipecat answers the telephone of `voice-server lab`.

Nothing but the lab is ours: Pipecat is the server, Twilio's own library places the call and
fetches its recording. A recorded caller speaks to it; what Pipecat said is read back from the
recording by ear.

    python -m venv peer
    peer/bin/pip install "pipecat-ai[websocket,elevenlabs,openai,silero,runner]"
    python -m benchmarks.independent --python peer/bin/python
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import msgspec

from benchmarks.frames import CALLERS
from models.weights import Weights
from voice_server.testing import wav
from voice_server.testing.lab.local_speech import LocalSpeech
from voice_server.testing.report import replies, spurts

_BOT = Path(__file__).with_name("pipecat_bot.py")
_START_S, _CALL_S, _WAIT_S = 60.0, 180.0, 0.5
_TWIML = '<Response><Connect><Stream url="wss://peer.example.com/media"/></Connect></Response>'
_PER_MS = 8  # samples


class Line(msgspec.Struct, frozen=True, order=True):
    """What one side said in one breath, as it was understood."""

    at_ms: int
    who: str
    text: str


class Held(msgspec.Struct, frozen=True):
    """A call that Pipecat has held, and how long it took to answer each time."""

    status: str
    seconds: float
    lines: tuple[Line, ...]
    reply_ms: tuple[int, ...]


@contextlib.contextmanager
def running(*command: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block."""
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def hold(python: str, callee: Path) -> Held:
    """Have Pipecat, installed for the interpreter `python`, answer a call by this recording."""
    port = free_port()
    lab = (sys.executable, "-m", "voice_server", "lab", "--json")
    with running(*lab, "--server", f"127.0.0.1:{port}", "--callee", str(callee)) as providers:
        assert providers.stdout is not None
        env: dict[str, str] = msgspec.json.decode(providers.stdout.readline())["environment"]
        told = env | {"PORT": str(port), "HOME": tempfile.gettempdir()}
        with running(python, str(_BOT), env=told) as peer:
            _await_port(port, peer)
            call, recording = _call(env)
    return asyncio.run(_listen(call, recording))


def _await_port(port: int, peer: subprocess.Popen[str]) -> None:
    until = time.monotonic() + _START_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if peer.poll() is not None or time.monotonic() > until:
            raise click.ClickException("Pipecat does not start; its last words are above")
        time.sleep(_WAIT_S)


def _call(env: dict[str, str]) -> tuple[Any, bytes]:
    """Place the call with Twilio's library; returns the call when it is over, and its audio."""
    from twilio.rest import Client

    account, token = env["TWILIO_ACCOUNT_SID"], env["TWILIO_AUTH_TOKEN"]
    client = Client(account, token)
    client.api.base_url = env["VOICE_SERVER_TWILIO_API_URL"]
    call = client.calls.create(
        to="+12025550143",
        from_="+12025550100",
        twiml=_TWIML,
        record=True,
        recording_channels="dual",
        time_limit=int(_CALL_S),
    )
    until = time.monotonic() + _CALL_S + _START_S
    while call.status in ("queued", "ringing", "in-progress"):
        if time.monotonic() > until:
            raise click.ClickException("the call does not end")
        time.sleep(_WAIT_S)
        call = call.fetch()
    (recording,) = client.calls(call.sid).recordings.list()
    url = f"{client.api.base_url}{recording.uri.removesuffix('.json')}.wav"
    return call, httpx.get(url, auth=(account, token)).raise_for_status().content


async def _listen(call: Any, recording: bytes) -> Held:
    """Write down what both sides said, spurt by spurt."""
    speech = LocalSpeech(Weights(None))
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(recording)
        file.flush()
        tracks = wav.read(Path(file.name)).channels
    spoken = [spurts(track) for track in tracks]
    lines = [
        Line(begin, who, await speech.hear(track[begin * _PER_MS : end * _PER_MS]))
        for who, track, stretches in zip(("caller", "agent"), tracks, spoken, strict=True)
        for begin, end in stretches
    ]
    return Held(
        status=call.status,
        seconds=len(tracks[0]) / 8000,
        lines=tuple(sorted(lines)),
        reply_ms=replies(*spoken),
    )


@click.command()
@click.option("--python", required=True, help="The interpreter for which Pipecat is installed.")
@click.option(
    "--callee",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=CALLERS / "ask_for_human.wav",
    help="Who talks to it: a recording with a script.",
)
def main(python: str, callee: Path) -> None:
    """Let Pipecat hold a call; prints what was said."""
    held = hold(python, callee)
    for line in held.lines:
        click.echo(f"{line.at_ms / 1000:6.1f}  {line.who:>6}: {line.text}")
    click.echo(f"{held.status} after {held.seconds:.0f} s; it answered after {held.reply_ms} ms")


if __name__ == "__main__":
    main()
