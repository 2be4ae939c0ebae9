"""`voice-server lab`: every simulated provider on this machine, for any client."""

from __future__ import annotations

import asyncio
import shlex
import signal
from pathlib import Path
from typing import Any

import click


@click.command(name="lab")
@click.option(
    "--port-base",
    default=0,
    type=click.IntRange(0, 65_000),
    help="Listen on this port and the seven after it; default: any free ones.",
)
@click.option(
    "--server", default="", help="HOST:PORT that gets the webhooks and media of simulated calls."
)
@click.option(
    "--callee",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Who answers simulated calls: a recording, as in `voice-server call`; default: silence.",
)
@click.option("--tones", is_flag=True, help="No models: ElevenLabs speaks and hears tones only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, not shell lines.")
def command(port_base: int, server: str, callee: Path | None, tones: bool, as_json: bool) -> None:
    """Run simulated ElevenLabs, OpenAI, Google, Grok, Anthropic, SerpApi, Twilio and Firebase.

    Prints the environment that points a server or any client at them, then runs until Ctrl-C.
    ElevenLabs hears and speaks with the local models where their weights are at hand, so that
    any client can hold a conversation; without them it speaks tones and understands only those
    of the lab.
    """
    options = _callees(callee) if callee is not None else {}
    if not tones:
        options |= _words()
    try:
        asyncio.run(_run(port_base, server, options, as_json=as_json))
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on port {port_base} and those after it ({error.strerror}); "
            "choose another --port-base"
        ) from None


async def _run(port_base: int, server: str, options: dict[str, Any], *, as_json: bool) -> None:
    import msgspec

    from voice_server.testing.lab.everything import open_lab

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_lab(port_base=port_base, server=server, **options) as lab:
        if as_json:
            click.echo(msgspec.json.encode(lab).decode())
        else:
            for name, value in lab.environment.items():
                click.echo(f"export {name}={shlex.quote(value)}")
            click.echo("# Leave this running; Ctrl-C ends it.", err=True)
        await stop.wait()


def _words() -> dict[str, Any]:
    """The local ears and voice; nothing without their weights."""
    from models.weights import Weights, WeightsMissing
    from voice_server.testing.lab.local_speech import LocalSpeech

    try:
        speech = LocalSpeech(Weights(None))
    except WeightsMissing:
        return {}
    return {"recogniser": speech.hear, "speaker": speech.say}


def _callees(recording: Path) -> dict[str, Any]:
    """A caller of its own for every call; raises `ClickException` for what is no recording."""
    from voice_server.testing.caller import caller_for
    from voice_server.testing.lab.twilio import Callee
    from voice_server.testing.script import ScriptError
    from voice_server.testing.wav import WavError

    try:
        caller_for(recording)
    except (ScriptError, WavError) as error:
        raise click.ClickException(f"--callee: {error}") from None
    return {"callees": lambda _form: Callee(caller=caller_for(recording))}
