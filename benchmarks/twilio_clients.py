"""`python -m benchmarks.twilio_clients`: our client beside the SDK in threads.

Each creates the same calls at the simulated Twilio, in a process of its own, 20 at a time. The
CPU is that of the client's process.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import click

from voice_server.testing.lab.twilio import open_twilio
from voice_server.twilio.rest import CallOrder, TwilioRest

_CALLS, _AT_ONCE, _WARM_UP = 400, 20, 20
_TO, _FROM = "+12025550188", "+15005550006"
_TWIML = "<Response><Pause length='60'/></Response>"


async def _ours(account: str, token: str, url: str, calls: int) -> None:
    rest = TwilioRest(account, token, url)
    free = asyncio.Semaphore(_AT_ONCE)

    async def create() -> None:
        async with free:
            await rest.create_call(CallOrder(_TO, _FROM, twiml=_TWIML))

    await asyncio.gather(*(create() for _ in range(_WARM_UP)))
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(create() for _ in range(calls)))
    _tell(began, cpu, calls)
    await rest.close()


async def _sdk(account: str, token: str, url: str, calls: int) -> None:
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client

    client = Client(account, token, http_client=TwilioHttpClient(timeout=10))
    client.api.base_url = url
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(_AT_ONCE) as threads:

        def create() -> None:
            client.calls.create(to=_TO, from_=_FROM, twiml=_TWIML, timeout=30, time_limit=3600)

        async def many(count: int) -> None:
            await asyncio.gather(*(loop.run_in_executor(threads, create) for _ in range(count)))

        await many(_WARM_UP)
        began, cpu = time.perf_counter(), time.process_time()
        await many(calls)
        _tell(began, cpu, calls)


def _tell(began: float, cpu: float, calls: int) -> None:
    used = (time.process_time() - cpu) / calls * 1000
    click.echo(f"{used:5.1f} ms CPU a call, {calls / (time.perf_counter() - began):5.0f} calls/s")


@click.command()
@click.option("--client", hidden=True)
@click.argument("rest", nargs=-1)
def main(client: str | None, rest: tuple[str, ...]) -> None:
    """Measure both clients."""
    if client:
        run = _ours if client == "ours" else _sdk
        asyncio.run(run(rest[0], rest[1], rest[2], _CALLS))
    else:
        asyncio.run(_both())


async def _both() -> None:
    for client in ("ours", "sdk"):
        async with open_twilio(test_credentials=True) as lab:
            told = await asyncio.to_thread(
                subprocess.run,
                [
                    *(sys.executable, "-m", "benchmarks.twilio_clients", "--client", client),
                    *(lab.account_sid, lab.auth_token, lab.url),
                ],
                check=True,
                capture_output=True,
                text=True,
            )
        click.echo(f"{client:>5}: {told.stdout.strip()}")


if __name__ == "__main__":
    main()
