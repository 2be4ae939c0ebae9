"""`voice-server serve`: run the server until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # imported when used: `--help` must not wait for it
    from voice_server.settings import Settings


@click.command(name="serve")
@click.option("--host", help="Address to listen on (VOICE_SERVER_HOST).")
@click.option("--port", type=int, help="Port to listen on (VOICE_SERVER_PORT).")
def command(host: str | None, port: int | None) -> None:
    """Run the server. SIGTERM and Ctrl-C let live calls end first; a second one hurries."""
    import db
    from models.weights import WeightsMissing
    from voice_server import settings as configuration
    from voice_server.errors import ConfigurationError

    given: dict[str, Any] = {"host": host, "port": port}
    try:
        settings = configuration.load({k: v for k, v in given.items() if v is not None})
        serve(settings)
    except (ConfigurationError, WeightsMissing, db.StoreError) as error:
        raise click.ClickException(str(error)) from None


def serve(settings: Settings) -> None:
    """Run a server until a signal ends it; raises `ConfigurationError` and what `db` raises."""
    from voice_server.telemetry import configure_logging

    configure_logging(settings.log_level)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(settings))


def new_loop() -> asyncio.AbstractEventLoop:
    """The fastest loop there is here."""
    try:
        import uvloop
    except ImportError:  # no build for this platform
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def _serve(settings: Settings) -> None:
    from voice_server.app import open_server
    from voice_server.serving import serving

    stop = asyncio.Event()
    hurry = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    async with open_server(settings) as server, serving(server) as url:
        # The quarter of a million objects of loaded modules live as long as the process. Looking
        # through them for garbage takes 150 ms, in which every call would be without sound.
        gc.collect()
        gc.freeze()
        click.echo(f"voice-server listens at {url}", err=True)
        if settings.insecure_webhooks:
            click.secho(
                "WARNING: webhook signatures are not checked; fit for development only.",
                fg="yellow",
                err=True,
            )
        await stop.wait()
        click.echo("closing: no new calls, waiting for the live ones", err=True)
        draining = asyncio.ensure_future(server.desk.drain(settings.drain_s))
        hurrying = asyncio.ensure_future(hurry.wait())
        await asyncio.wait([draining, hurrying], return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not draining.done():
            draining.cancel()
            await server.desk.drain(0)
