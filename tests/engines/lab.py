"""A server whose engines are simulated providers, chosen by its environment alone."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from models.weights import Weights
from tests.db.server import fetch
from voice_server.runtime.replay import replay
from voice_server.speech import g711
from voice_server.speech.moonshine import RATE, Moonshine
from voice_server.speech.resample import resample
from voice_server.testing.box import Box, CallResult
from voice_server.testing.caller import caller_for
from voice_server.testing.lab.anthropic import messages
from voice_server.testing.lab.elevenlabs import ElevenLabsLab, open_elevenlabs
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.model import ModelSimulator
from voice_server.testing.lab.openai import chat_completions, compatible
from voice_server.testing.report import PhoneReport
from voice_server.testing.virtual import hold_time

CALLER = Path(__file__).parents[1] / "callers" / "book_plumbing.wav"
MINDS: dict[str, Any] = {
    "openai": functools.partial(ModelSimulator, chat_completions()),
    "anthropic": functools.partial(ModelSimulator, messages()),
    "google": functools.partial(ModelSimulator, chat_completions("google", quirks=compatible())),
    "grok": functools.partial(ModelSimulator, chat_completions("grok", quirks=compatible())),
}
KEYS = {"google": "GEMINI_API_KEY", "grok": "XAI_API_KEY"}  # else named after the provider
PATHS = {"openai": "/v1", "google": "/v1beta/openai", "grok": "/v1"}


@functools.cache
def _moonshine() -> Moonshine:
    path = Weights(None).path
    return Moonshine(
        path("moonshine_encoder"), path("moonshine_decoder"), path("moonshine_tokenizer")
    )


@functools.lru_cache(maxsize=500)  # callers in virtual time speak alike in every call
def recognise(mulaw: bytes) -> str:
    """What a real recogniser hears; the simulated service does not listen by itself."""
    if len(mulaw) < 800:
        return ""
    samples = resample(g711.decode_float(mulaw), 8000, RATE)
    return _moonshine().transcribe(samples, lambda: False)


class Providers:
    """The simulated side: what it metered, and the settings that point a server at it."""

    def __init__(self, speech: ElevenLabsLab, mind: Any, settings: dict[str, str]) -> None:
        self.speech = speech
        self.mind = mind
        self.settings = settings

    @property
    def metered(self) -> Counter[str]:
        """What the providers would bill."""
        return Counter(self.speech.meter.items) + Counter(self.mind.meter.items)


@asynccontextmanager
async def providers(
    mind: str = "openai",
    *,
    mind_options: dict[str, Any] | None = None,
    speech_key: str = "",
    **speech_options: Any,
) -> AsyncIterator[Providers]:
    """ElevenLabs and one maker of language models, on loopback."""
    simulator = MINDS[mind](**(mind_options or {}))
    options = {"recogniser": recognise, "hypothesis": lambda _: ""} | speech_options
    async with AsyncExitStack() as stack:
        speech = await stack.enter_async_context(open_elevenlabs(**options))
        url = await stack.enter_async_context(hosting(simulator.app))
        yield Providers(
            speech,
            simulator,
            {
                "ELEVENLABS_API_KEY": speech_key or speech.key,
                "elevenlabs_api_url": speech.url,
                KEYS.get(mind, f"{mind.upper()}_API_KEY"): f"lab-{mind}-key",
                f"{mind}_api_url": f"{url}{PATHS.get(mind, '')}",
            },
        )


class Story(msgspec.Struct):
    """One call, as its witnesses tell it."""

    result: CallResult
    report: PhoneReport
    booked: Counter[str]  # quantities of the providers' items
    cost: dict[str, int]  # micro-dollars, by item
    lines: list[Any]
    orders: int
    waits_ms: list[int]  # from the end of the caller's words to the next sound of ours

    @property
    def heard(self) -> str:
        """What the caller heard of us."""
        return " ".join(line.text for line in self.lines if line.speaker == "agent")


async def tell(box: Box, dsn: str, wav: Path = CALLER) -> Story:
    """Let the caller call, and gather what everybody knows of it."""
    result, report = await box.call(caller_for(wav))
    with hold_time():
        rows = await fetch(
            dsn,
            "SELECT item, sum(quantity)::bigint AS quantity, sum(micro_usd)::bigint AS cost "
            "FROM call_costs WHERE call_id = $1 GROUP BY item",
            result.call_id,
        )
        orders = await fetch(
            dsn, "SELECT order_id FROM orders WHERE call_session_id = $1", result.call_id
        )
    ours = [
        row
        for row in rows
        if row["item"].split(".")[0] in ("elevenlabs", *MINDS)
        and not row["item"].endswith(".estimated_replies")  # our own doubts, not on any bill
    ]
    lines = list(replay(Path(result.journal)).lines)
    return Story(
        result=result,
        report=report,
        booked=Counter({row["item"]: row["quantity"] for row in ours}),
        cost={row["item"]: row["cost"] for row in ours},
        lines=lines,
        orders=len(orders),
        waits_ms=[
            after.started_ms - before.ended_ms
            for before, after in pairwise(lines)
            if (before.speaker, after.speaker) == ("caller", "agent")
        ],
    )
