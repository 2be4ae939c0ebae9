"""python -m benchmarks.floor_server: the real server with engines that cost nothing.

What remains is ours: the carrier's edge, the driver, the core, the journal, the outbox and
Postgres; and the voice activity model unless VOICE_ACTIVITY=off.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import cast

from benchmarks.trivial import Engines, LanguageModel
from voice_server import settings as configuration
from voice_server.app import open_server
from voice_server.cli.serve import new_loop
from voice_server.serving import serving
from voice_server.speech.engines import LocalEngines, open_local
from voice_server.telemetry import configure_logging


async def _serve(settings: configuration.Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    local = None
    if os.environ.get("VOICE_ACTIVITY") != "off":
        local = open_local(settings.inference_threads, settings.models_dir)
    engines = Engines(local)
    try:
        async with (
            open_server(
                settings,
                engines=cast(LocalEngines, engines),
                language_model=LanguageModel(),
            ) as server,
            serving(server),
        ):
            await stop.wait()
    finally:
        engines.close()


def main() -> None:
    """Serve until SIGTERM."""
    settings = configuration.load()
    configure_logging(settings.log_level)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(settings))


if __name__ == "__main__":
    main()
