"""`voice-server lab`: every simulated provider on this machine, for any client."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Callable

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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, not shell lines.")
def command(port_base: int, server: str, as_json: bool) -> None:
    """Run simulated ElevenLabs, OpenAI, Google, Grok, Anthropic, SerpApi, Twilio and Firebase.

    Prints the environment that points a server or any client at them, then runs until Ctrl-C.
    ElevenLabs hears with the local recogniser where its weights are at hand, else only the
    words that its own simulated speech carries; what it says are tones, not words.
    """
    try:
        asyncio.run(_run(port_base, server, as_json=as_json))
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on port {port_base} and those after it ({error.strerror}); "
            "choose another --port-base"
        ) from None


async def _run(port_base: int, server: str, *, as_json: bool) -> None:
    import msgspec

    from voice_server.testing.lab.everything import open_lab

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    more = {"recogniser": ears} if (ears := _ears()) else {}
    async with open_lab(port_base=port_base, server=server, **more) as lab:
        if as_json:
            click.echo(msgspec.json.encode(lab).decode())
        else:
            for name, value in lab.environment.items():
                click.echo(f"export {name}={shlex.quote(value)}")
            click.echo("# Leave this running; Ctrl-C ends it.", err=True)
        await stop.wait()


def _ears() -> Callable[[bytes], str] | None:
    """The local recogniser, loaded when first needed; None without its weights."""
    from models.weights import Weights, WeightsMissing
    from voice_server.speech import g711
    from voice_server.speech.moonshine import RATE, Moonshine
    from voice_server.speech.resample import resample
    from voice_server.testing.lab import elevenlabs_audio

    weights = Weights(None)
    try:
        files = [weights.path(f"moonshine_{part}") for part in ("encoder", "decoder", "tokenizer")]
    except WeightsMissing:
        return None
    opened: list[Moonshine] = []

    def recognise(mulaw: bytes) -> str:
        if words := elevenlabs_audio.heard(mulaw):
            return words
        if not elevenlabs_audio.voiced(mulaw):
            return ""
        if not opened:
            opened.append(Moonshine(*files))
        samples = resample(g711.decode_float(mulaw), 8000, RATE)
        return opened[0].transcribe(samples, lambda: False)

    return recognise
