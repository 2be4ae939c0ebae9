"""The simulated providers of the chaotic calls: they fail at random, and meter all the same."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec

from voice_server.call.history import CallerSaid, ToolUsed
from voice_server.llm.tools import SEARCH_WEB
from voice_server.testing.lab.anthropic import messages
from voice_server.testing.lab.elevenlabs import Delays, ElevenLabsLab, open_elevenlabs
from voice_server.testing.lab.events import Pace
from voice_server.testing.lab.faults import Fault, FaultPlan, Injection
from voice_server.testing.lab.host import hosting
from voice_server.testing.lab.mind import Asked, ReceptionistMind, Said, Wanted, facts_of
from voice_server.testing.lab.model import ModelSimulator
from voice_server.testing.lab.openai import chat_completions, compatible
from voice_server.testing.lab.serpapi import SerpApiSimulator

WEB_QUESTION: Final = "look up"  # callers who say this have the model search the web
_OF_SOCKETS: Final = tuple(fault for fault in Fault if fault is not Fault.NONE)
_OF_REQUESTS: Final = tuple(fault for fault in _OF_SOCKETS if fault is not Fault.CLOSE)
_WEIGHTS: Final = {Fault.UNAUTHORIZED: 0.05}  # nobody asks for ten minutes after it
_CLOSE_CODES: Final = (1000, 1001, 1008, 1011, 1012, 1013, 3000, 4001, 4999)

# Odd fractions of a ms: nothing a provider does falls on the instant of a frame or a deadline
# of ours, so that neither side sees half of what happens at one instant.
_DELAYS: Final = Delays(final_s=0.150317, first_audio_s=0.075413, speed=9.8713)
_PACES: Final = {
    "openai": Pace(0.200731, 0.0101379),
    "anthropic": Pace(0.300577, 0.0120713),
    "google": Pace(0.250391, 0.0110897),
    "grok": Pace(0.220813, 0.0130541),
}
_WIRES: Final = {
    "openai": chat_completions(),
    "anthropic": messages(),
    "google": chat_completions("google", quirks=compatible()),
    "grok": chat_completions("grok", quirks=compatible()),
}
# How a server is told of each maker of models.
_KEYS: Final = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GEMINI_API_KEY",
    "grok": "XAI_API_KEY",
}
_PATHS: Final = {"openai": "/v1", "anthropic": "", "google": "/v1beta/openai", "grok": "/v1"}


class Dice(FaultPlan):
    """Some requests or connections, chosen by chance, meet a fault, also chosen by chance."""

    def __init__(
        self, chance: random.Random, share: float, most_bytes: int, faults: Sequence[Fault]
    ) -> None:
        """`most_bytes` of an answer pass before a fault that strikes in the middle."""
        super().__init__()
        self._faults = faults
        self._chance = chance
        self._share = share
        self._most_bytes = most_bytes
        self.struck: Counter[str] = Counter()

    def take(self) -> Injection:
        """The fate of the next one."""
        self.seen += 1
        chance = self._chance
        if chance.random() >= self._share:
            return Injection()
        [fault] = chance.choices(self._faults, [_WEIGHTS.get(one, 1.0) for one in self._faults])
        self.struck[fault.value] += 1
        return Injection(
            fault,
            after_bytes=chance.choice((0, 1)) * chance.randrange(1, self._most_bytes),
            delay_s=chance.choice((chance.uniform(0.2, 2.0), chance.uniform(2.0, 30.0))),
            code=chance.choice(_CLOSE_CODES),
        )


class CuriousMind:
    """The receptionist, who also looks things up on the web; a search that fails is repeated.

    No two thoughts take the same time: else every hedge would start as the answer comes.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._receptionist = ReceptionistMind()

    async def __call__(self, asked: Asked) -> Said:
        """The answer."""
        await asyncio.sleep(self._chance.uniform(0.0, 0.4))
        newest = asked.history[-1] if asked.history else None
        question = newest.text if isinstance(newest, CallerSaid) else ""
        if WEB_QUESTION in question and SEARCH_WEB in asked.tools:
            return _search(f"{question} {facts_of(asked.system).caller_number}")
        if isinstance(newest, ToolUsed) and newest.name == SEARCH_WEB:
            tries = sum(1 for entry in asked.history if isinstance(entry, ToolUsed))
            if '"error"' in (newest.result or "") and tries < 3:
                return _search(msgspec.json.decode(newest.arguments)["query"])
            return Said("I have looked it up for you. What else can I do for you?")
        return await self._receptionist(asked)


def _search(query: str) -> Said:
    return Said(
        "One moment.", (Wanted(SEARCH_WEB, msgspec.json.encode({"query": query}).decode()),)
    )


class Town:
    """All providers, and the settings that point a server at them."""

    def __init__(
        self,
        speech: ElevenLabsLab,
        minds: Mapping[str, ModelSimulator],
        search: SerpApiSimulator,
        settings: dict[str, Any],
    ) -> None:
        self.speech = speech
        self.minds = minds
        self.search = search
        self.settings = settings

    @property
    def metered(self) -> Counter[str]:
        """What all of them would bill, by item."""
        sums = Counter(self.speech.meter.items) + self.search.meter.items
        return sum((mind.meter.items for mind in self.minds.values()), sums)

    def metered_of_callers(self) -> dict[str, Counter[str]]:
        """The part of it that names its call, by the caller's number: thoughts and searches."""
        bills: dict[str, Counter[str]] = {}
        for mind in self.minds.values():
            for visit, body in zip(mind.visits, mind.bodies, strict=True):
                caller = facts_of(_system(body)).caller_number
                bills.setdefault(caller, Counter()).update(visit.billed)
        for query in self.search.charged:
            bills.setdefault(query.split()[-1], Counter())["serpapi.search.requests"] += 1
        return bills

    def struck(self) -> dict[str, dict[str, int]]:
        """Which faults struck, by provider and what it was doing."""
        plans: dict[str, FaultPlan] = {
            "ears": self.speech.ears_faults,
            "voice": self.speech.voice_faults,
            "voice over HTTP": self.speech.http_faults,
            "hosted agent": self.speech.house.faults,
            **{name: mind.plan for name, mind in self.minds.items()},
            "search": self.search.plan,
        }
        return {
            name: dict(sorted(plan.struck.items()))
            for name, plan in plans.items()
            if isinstance(plan, Dice)
        }


def _system(body: Mapping[str, Any]) -> str:
    """The rules and facts of a request, in the wording of either API."""
    system = body.get("system")
    if isinstance(system, Sequence):
        return "\n".join(block["text"] for block in system)
    return str(body["messages"][0]["content"])


@asynccontextmanager
async def open_town(seed: int, share: float) -> AsyncIterator[Town]:
    """Every provider on loopback; `share` of what it is asked for meets a fault."""
    chances = (random.Random(f"{seed} {number}") for number in range(10))

    def dice(most_bytes: int, faults: Sequence[Fault] = _OF_REQUESTS, more: int = 1) -> Dice:
        return Dice(next(chances), min(1.0, share * more), most_bytes, faults)

    mind = CuriousMind(next(chances))
    minds = {
        name: ModelSimulator(wire, mind=mind, plan=dice(120), pace=_PACES[name])
        for name, wire in _WIRES.items()
    }
    search = SerpApiSimulator(plan=dice(2), searches_left=1_000_000)
    settings: dict[str, Any] = {"SERPAPI_API_KEY": "lab-serpapi-key"}
    async with AsyncExitStack() as stack:
        speech = await stack.enter_async_context(
            open_elevenlabs(
                delays=_DELAYS,
                ears_faults=dice(160_000, _OF_SOCKETS),
                voice_faults=dice(160_000, _OF_SOCKETS, more=8),  # one carries many calls
                http_faults=dice(80_000),
                agent_faults=dice(160_000, _OF_SOCKETS),
            )
        )
        settings |= {"ELEVENLABS_API_KEY": speech.key, "elevenlabs_api_url": speech.url}
        settings["serpapi_api_url"] = await stack.enter_async_context(hosting(search.app))
        for name, simulator in minds.items():
            url = await stack.enter_async_context(hosting(simulator.app))
            settings[_KEYS[name]] = f"lab-{name}-key"
            settings[f"{name}_api_url"] = f"{url}{_PATHS[name]}"
        yield Town(speech, minds, search, settings)
