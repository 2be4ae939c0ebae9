"""Calls that a hosted agent takes, with the ordinary engines behind it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import httpx
import msgspec

from voice_server.engines.accounts import Account, KeyUses
from voice_server.engines.ears import EarsChain, EarsLink
from voice_server.engines.health import Health
from voice_server.engines.plan import Plan, Spend
from voice_server.engines.tally import Tally
from voice_server.hosted import (
    Door,
    HostedBills,
    HostedConfig,
    HostedConversation,
    HostedEars,
    HostedMind,
    HostedVoice,
    Opening,
)
from voice_server.limits import Limits
from voice_server.ports import CallFacts
from voice_server.provider_settings import Provider
from voice_server.runtime.agents import policy_for
from voice_server.runtime.services import Services
from voice_server.speech.elevenlabs import Access
from voice_server.telemetry import EngineMetrics
from voice_server.vault.choice import Engine

# first_byte: the socket, its greeting, and the audio of a text, each. total: an answer, so
# that another model can still give one before the call takes the model for lost.
LIMITS = Limits(first_byte_s=1.5, between_s=0.8, total_s=3.0)

_RING_S = 0.8  # the caller hears ringing meanwhile
_AGENTS_KEPT = 1_000


class HostedPlan(msgspec.Struct, frozen=True):
    """A plan with a hosted agent before the engines of `ordinary`; `spend_of` is of its key."""

    ordinary: Plan
    door: Door
    opening: Opening
    health: Health
    spend_of: Callable[[Spend], Spend]
    bills: HostedBills

    def services(self, spend: Spend) -> Services:
        """The collaborators of the call; they share one conversation with the agent."""
        services = self.ordinary.services(spend)
        conversation = HostedConversation(
            self.door, self.opening, self.spend_of(spend), LIMITS, self.bills
        )
        ears = [
            EarsLink(HostedEars(conversation), self.health),
            EarsLink(services.speech_to_text, Health("ordinary ears")),
        ]
        return msgspec.structs.replace(
            services,
            speech_to_text=EarsChain(ears),
            language_model=HostedMind(conversation, services.language_model),
            text_to_speech=HostedVoice(conversation, services.text_to_speech),
        )


class HostedAgents:
    """The hosted agents that calls have gone to, and how they have been doing."""

    def __init__(
        self, base_url: str, http: Callable[[], httpx.AsyncClient], metrics: EngineMetrics
    ) -> None:
        self._base_url = base_url
        self._http = http
        self._tally = Tally(metrics, Provider.ELEVENLABS.value, Engine.HOSTED_AGENT.value)
        self._health: OrderedDict[tuple[Account | None, str], Health] = OrderedDict()
        self._bills = HostedBills()

    async def plan(
        self,
        facts: CallFacts,
        config: HostedConfig,
        account: Account | None,
        *,
        voice_id: str,
        ordinary: Plan,
    ) -> Plan:
        """Let the agent take the call, unless it has just failed; its address is asked for now.

        Without an account the agent has to be a public one. `voice_id` is who says words of
        our own.
        """
        health = self._health_of(account, config.agent_id)
        if health.rests(asyncio.get_running_loop().time()):
            return ordinary
        access = Access(account.choice.key, self._base_url) if account is not None else None
        door = Door(config.agent_id, self._base_url, access, self._http)
        await door.find(_RING_S)
        opening = Opening(
            config=config,
            greeting=policy_for(facts.agent).greeting,
            voice_id=voice_id,
            variables=_variables(facts),
        )
        spend_of = _spend_of(account, facts)
        return HostedPlan(ordinary, door, opening, health, spend_of, self._bills)

    async def close(self) -> None:
        """Ask for what was not told yet of calls that are over."""
        await self._bills.close()

    def _health_of(self, account: Account | None, agent_id: str) -> Health:
        place = (account, agent_id)
        health = self._health.pop(place, None)
        if health is None:
            health = Health(f"hosted agent {agent_id}", tally=self._tally)
        self._health[place] = health
        while len(self._health) > _AGENTS_KEPT:
            self._health.popitem(last=False)[1].forget()
        return health


def _variables(facts: CallFacts) -> dict[str, str | int | float | bool]:
    """What an agent's prompt can use as `{{name}}`, the same that our own prompts tell."""
    return {
        "agent_name": facts.agent.name,
        "tenant_name": facts.agent.tenant_name,
        "call_id": facts.call_id,
        "direction": facts.direction,
        "caller_number": facts.caller_number,
        "called_number": facts.called_number,
    }


def _spend_of(account: Account | None, facts: CallFacts) -> Callable[[Spend], Spend]:
    """Count the use of a tenant's key with the first thing it pays for."""

    def of(spend: Spend) -> Spend:
        return spend if account is None else KeyUses(facts.agent.user_id).of(account, spend)

    return of
