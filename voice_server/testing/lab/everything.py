"""Every simulated provider at once, and the environment that points a client or server at them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from voice_server.testing.lab import elevenlabs_audio
from voice_server.testing.lab.anthropic import messages
from voice_server.testing.lab.elevenlabs import open_elevenlabs
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.model import ModelSimulator
from voice_server.testing.lab.openai import chat_completions
from voice_server.testing.lab.serpapi import SerpApiSimulator
from voice_server.testing.lab.twilio import Callee, open_twilio

# Clients read these where ours is not meant: the variables of the vendors' own SDKs.
_SDK_URLS = {"openai": "OPENAI_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL"}
_MINDS = {"openai": "OPENAI_API_KEY", "google": "GEMINI_API_KEY", "grok": "XAI_API_KEY"}
_PATHS = {"openai": "/v1", "google": "/v1beta/openai", "grok": "/v1"}


class Lab(msgspec.Struct, frozen=True):
    """Where each provider listens, and the variables for a server or a client."""

    urls: dict[str, str]
    environment: dict[str, str]


@asynccontextmanager
async def open_lab(
    *,
    port_base: int = 0,
    server: str = "",
    recogniser: Callable[[bytes], str | Awaitable[str]] = elevenlabs_audio.heard,
    speaker: Callable[[str], bytes | Awaitable[bytes]] = elevenlabs_audio.voice,
    callees: Callable[[Mapping[str, str]], Callee] | None = None,
) -> AsyncIterator[Lab]:
    """Run all providers until the block ends, on ports from `port_base` on (0 = any free ones).

    `server` (host:port) is where the simulated carrier takes the webhooks and media of calls,
    whatever host their URLs name. ElevenLabs hears with `recogniser` and speaks with `speaker`,
    both mu-law; the default ones know the lab's own audio only. `callees` says who answers the
    calls that the carrier is asked to place. Raises `OSError` for a port in use.
    """
    ports: Iterator[int] = itertools.count(port_base) if port_base else itertools.repeat(0)
    urls: dict[str, str] = {}
    environment: dict[str, str] = {}
    async with AsyncExitStack() as stack:

        async def host(name: str, app: object) -> str:
            urls[name] = await stack.enter_async_context(hosting(app, port=next(ports)))
            return urls[name]

        speech = await stack.enter_async_context(
            open_elevenlabs(
                port=next(ports),
                recogniser=recogniser,
                hypothesis=lambda _: "",
                speaker=speaker,
            )
        )
        urls["elevenlabs"] = speech.url
        environment["ELEVENLABS_API_KEY"] = speech.key
        for provider in ("openai", "google", "grok"):
            url = await host(provider, ModelSimulator(chat_completions(provider)).app)
            urls[provider] = f"{url}{_PATHS[provider]}"
            environment[_MINDS[provider]] = f"lab-{provider}-key"
        await host("anthropic", ModelSimulator(messages()).app)
        environment["ANTHROPIC_API_KEY"] = "lab-anthropic-key"
        await host("serpapi", SerpApiSimulator().app)
        environment["SERPAPI_API_KEY"] = "lab-serpapi-key"
        carrier = await stack.enter_async_context(
            open_twilio(port=next(ports), connect_to=server, callees=callees)
        )
        urls["twilio"] = carrier.url
        environment["TWILIO_ACCOUNT_SID"] = carrier.account_sid
        environment["TWILIO_AUTH_TOKEN"] = carrier.auth_token
        mirror = FirebaseLab()
        database = mirror.database_url(await host("firebase", mirror.app))
        for name, url in urls.items():
            if name != "firebase":
                environment[f"VOICE_SERVER_{name.upper()}_API_URL"] = url
        environment["VOICE_SERVER_FIREBASE_DATABASE_URL"] = database
        environment |= {variable: urls[name] for name, variable in _SDK_URLS.items()}
        yield Lab(urls, environment)
