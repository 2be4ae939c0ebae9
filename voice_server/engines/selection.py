"""Chooses the engines of each call: the providers its keys open, and the local ones behind them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime

import msgspec

from voice_server.engines.accounts import Account, Accounts, KeyUses
from voice_server.engines.ears import EarsChain, EarsLink
from voice_server.engines.health import Health
from voice_server.engines.hosted import HostedAgents
from voice_server.engines.language import LanguageChain, LanguageLink
from voice_server.engines.phrases import PhraseBook, Phrases, PreparedVoice
from voice_server.engines.plan import Plan, Spend
from voice_server.engines.readiness import AttentiveEars, Readiness
from voice_server.engines.search import SearchChain
from voice_server.engines.tally import Tally
from voice_server.engines.voice import VoiceChain, VoiceLink
from voice_server.hosted import HostedConfig, parse_hosted
from voice_server.limits import Limits
from voice_server.llm import catalogue
from voice_server.llm.remote.chat import Chat
from voice_server.llm.remote.connection import Connection
from voice_server.llm.remote.mind import Mind, read_mind, wanted_provider
from voice_server.llm.tool_schemas import ToolSchema, offered
from voice_server.llm.toolbox import CombinedToolbox, MessageSender
from voice_server.orders.toolbox import ARGUMENTS
from voice_server.ports import CallFacts
from voice_server.provider_settings import Provider, ProviderSettings
from voice_server.runtime.services import Services
from voice_server.speech.elevenlabs import (
    Access,
    CommitStrategy,
    EarsConfig,
    ElevenLabsSpeechToText,
    ElevenLabsTextToSpeech,
    VoiceConfig,
    VoiceSockets,
    parse_ears,
    parse_voice,
)
from voice_server.telemetry import EngineMetrics, Metrics
from voice_server.transfer_rules import transfer_rules
from voice_server.vault.choice import PROVIDERS, Engine, KeyChoice, KeyChooser
from voice_server.vault.notes import KeyNotes

log = logging.getLogger(__name__)

# With a local engine behind it a remote one is given up before a caller would notice.
LISTEN_LIMITS = Limits(first_byte_s=1.0, between_s=0.7, total_s=1.2)
SPEAK_LIMITS = Limits(first_byte_s=0.55, between_s=0.55, total_s=60.0)
THINK_LIMITS = Limits(first_byte_s=1.2, between_s=1.2, total_s=20.0)
# Of the race: a request for a tool is whole before it shows, so only the stream itself can be
# held to the limits above.
ANSWER_LIMITS = Limits(first_byte_s=4.0, between_s=4.0, total_s=21.0)
_CUT_GRACE_S = 1.0  # beyond the silence after which a service cuts by itself
LOCAL_LIMITS = Limits(first_byte_s=10.0, between_s=10.0, total_s=60.0)

_RING_S = 0.8  # the caller hears ringing meanwhile; a handshake on their greeting is silence
_MOST_MINDS = 3  # providers asked before the local model


class _ThinkingLink(msgspec.Struct, frozen=True):
    """A language model that can be asked."""

    account: Account
    connection: Connection
    mind: Mind


class RemotePlan(msgspec.Struct, frozen=True):
    """A plan with providers in it; empty parts are local."""

    local: Services
    local_health: dict[Engine, Health]
    phrases: PhraseBook
    sockets: VoiceSockets
    base_url: str
    ears: tuple[Account, ...]
    ears_config: EarsConfig
    voices: tuple[Account, ...]
    voice: VoiceConfig
    minds: tuple[_ThinkingLink, ...]
    tools: tuple[ToolSchema, ...]
    searches: tuple[Account, ...]
    sender: MessageSender | None
    user_id: str
    with_tools: bool  # somebody in it can ask for more than the local model does

    def services(self, spend: Spend) -> Services:
        """The collaborators of the call; `spend` takes what goes over the wire."""
        uses = KeyUses(self.user_id)
        services = self.local
        if self.with_tools:
            services = msgspec.structs.replace(services, toolbox=self._toolbox(spend, uses))
        if self.ears:
            ears = [
                EarsLink(
                    ElevenLabsSpeechToText(
                        self._access(account),
                        self.ears_config,
                        uses.of(account, spend),
                        LISTEN_LIMITS,
                    ),
                    account.health(Engine.SPEECH_TO_TEXT),
                    self._answer_s(),
                )
                for account in self.ears
            ]
            ears.append(EarsLink(services.speech_to_text, self._local(Engine.SPEECH_TO_TEXT)))
            services = msgspec.structs.replace(services, speech_to_text=EarsChain(ears))
        if self.voices:
            voices = [
                VoiceLink(
                    ElevenLabsTextToSpeech(
                        self._access(account), self.voice, self.sockets, uses.of(account, spend)
                    ),
                    account.health(Engine.TEXT_TO_SPEECH),
                    SPEAK_LIMITS,
                )
                for account in self.voices
            ]
            local = self._local(Engine.TEXT_TO_SPEECH)
            voices.append(VoiceLink(services.text_to_speech, local, LOCAL_LIMITS))
            chain = VoiceChain(voices)
            phrases = Phrases(self.phrases, chain, self._voice_name())
            services = msgspec.structs.replace(
                services, text_to_speech=PreparedVoice(chain, phrases), phrases=phrases
            )
        return self._thinking(services, spend, uses) if self.minds else services

    def _thinking(self, services: Services, spend: Spend, uses: KeyUses) -> Services:
        links = [
            LanguageLink(
                Chat(
                    link.connection,
                    link.mind,
                    self.tools,
                    THINK_LIMITS,
                    uses.of(link.account, spend),
                ),
                link.account.health(Engine.LANGUAGE_MODEL),
                ANSWER_LIMITS,
            )
            for link in self.minds
        ]
        local = self._local(Engine.LANGUAGE_MODEL)
        links.append(LanguageLink(services.language_model, local, LOCAL_LIMITS, reserve=True))
        readiness = Readiness([link.connection.warmth.start for link in self.minds])
        return msgspec.structs.replace(
            services,
            speech_to_text=AttentiveEars(services.speech_to_text, readiness),
            language_model=LanguageChain(links, readiness.asked),
        )

    def _toolbox(self, spend: Spend, uses: KeyUses) -> CombinedToolbox:
        return CombinedToolbox(
            self.local.toolbox,
            spend,
            search=SearchChain(self.searches, uses) if self.searches else None,
            sender=self.sender,
        )

    def _voice_name(self) -> str:
        """What distinguishes the voice: what a tenant's own account said is for that tenant."""
        payer = self.user_id if self.user_id in self.voices[0].owners else ""
        return msgspec.json.encode((payer, self.voice)).decode()

    def _answer_s(self) -> float:
        if self.ears_config.commit_strategy is CommitStrategy.VAD:
            return self.ears_config.vad_silence_s + _CUT_GRACE_S
        return LISTEN_LIMITS.between_s

    def _access(self, account: Account) -> Access:
        return Access(account.choice.key, self.base_url)

    def _local(self, engine: Engine) -> Health:
        return self.local_health[engine]


class Engines:
    """Chooses for all calls of a server. Close it when they are over."""

    def __init__(
        self,
        settings: ProviderSettings,
        keys: KeyChooser,
        local: Services,
        *,
        can_transfer: bool,
        sender: MessageSender | None = None,
        metrics: EngineMetrics | None = None,
    ) -> None:
        """`local` works without any key; `sender` sends the text messages of calls."""
        metrics = metrics or Metrics().engines
        self._settings = settings
        self._keys = keys
        self._local = local
        self._can_transfer = can_transfer
        self._sender = sender
        self._notes = KeyNotes(keys)
        self._accounts = Accounts(settings, self._notes, metrics)
        self._phrases = PhraseBook(local.text_to_speech)
        self._sockets = VoiceSockets()
        self._hosted = HostedAgents(
            settings.url_of(Provider.ELEVENLABS), lambda: self._sockets.http, metrics
        )
        self._local_health = {
            engine: Health(f"local {engine.value}", tally=Tally(metrics, "local", engine.value))
            for engine in Engine
        }

    async def prepare(self) -> None:
        """Connect with the server's own keys, so that no call waits until an SDK is loaded."""
        for provider in PROVIDERS[Engine.LANGUAGE_MODEL]:
            key = self._settings.key_of(provider)
            if key is not None:
                await self._accounts.of(KeyChoice(provider, key, "server")).mind()

    async def choose(self, facts: CallFacts) -> Plan:
        """Choose by the tenant's keys, the server's and the agent's row; warms what takes time.

        Never raises `ServiceError`: what does not work shows when it is used.
        """
        agent = facts.agent
        await self._accounts.forget_idle()
        today = datetime.fromtimestamp(facts.started_at / 1000, UTC).date()
        keys = await self._keys.choose(
            agent.user_id,
            {
                Engine.SPEECH_TO_TEXT: (),
                Engine.TEXT_TO_SPEECH: (),
                Engine.LANGUAGE_MODEL: (),
                Engine.SEARCH: (),
            },
        )
        ears_config, ears_warnings = parse_ears(agent.voice_config)
        voice, voice_warnings = parse_voice(agent.voice_config)
        minds = await self._minds(facts, keys[Engine.LANGUAGE_MODEL], today)
        hosted, hosted_warnings = parse_hosted(agent.elevenlabs_config)
        plan = RemotePlan(
            local=self._local,
            local_health=self._local_health,
            phrases=self._phrases,
            sockets=self._sockets,
            base_url=self._settings.url_of(Provider.ELEVENLABS),
            ears=self._of(facts, keys[Engine.SPEECH_TO_TEXT]),
            ears_config=ears_config,
            voices=self._of(facts, keys[Engine.TEXT_TO_SPEECH]),
            voice=voice,
            minds=minds,
            tools=self._tools(facts, keys[Engine.SEARCH]),
            searches=self._of(facts, keys[Engine.SEARCH]),
            sender=self._sender,
            user_id=agent.user_id,
            with_tools=bool(minds or hosted),
        )
        warnings = [*ears_warnings, *voice_warnings] if plan.ears or plan.voices else []
        warnings += hosted_warnings
        _tell(facts, [*dict.fromkeys(warnings), *(w for link in minds for w in link.mind.warnings)])
        for link in minds:
            link.connection.warmth.start()
        if plan.voices:
            access = Access(plan.voices[0].choice.key, plan.base_url)
            if (warming := self._sockets.warm(access, voice)) is not None:
                await asyncio.wait([warming], timeout=_RING_S)
        return plan if hosted is None else await self._behind_agent(facts, hosted, plan)

    async def _behind_agent(self, facts: CallFacts, hosted: HostedConfig, plan: RemotePlan) -> Plan:
        """The plan, for what the hosted agent of the agent's row does not do."""
        keys = await self._keys.choose(facts.agent.user_id, {Engine.HOSTED_AGENT: ()})
        accounts = self._of(facts, keys[Engine.HOSTED_AGENT])
        return await self._hosted.plan(
            facts,
            hosted,
            accounts[0] if accounts else None,
            voice_id=plan.voice.voice_id,
            ordinary=plan,
        )

    def _of(self, facts: CallFacts, keys: Sequence[KeyChoice]) -> tuple[Account, ...]:
        return tuple(self._accounts.of(key, facts.agent.user_id) for key in keys)

    async def _minds(
        self, facts: CallFacts, keys: Sequence[KeyChoice], today: date
    ) -> tuple[_ThinkingLink, ...]:
        """The agent's model, if it names one, and behind it the usual ones of the other keys.

        Without a model of its own an agent thinks with the tenant's key, whoever gave that one.
        """
        config = facts.agent.llm_config
        own = read_mind(config, catalogue.shipped(), today)
        wanted = wanted_provider(config, catalogue.shipped(), today)
        links = []
        # A stable sort: apart from that, the tenant's keys stay before the server's.
        ranked = sorted(keys, key=lambda key: key.provider.value != wanted) if wanted else keys
        for key in ranked[:_MOST_MINDS]:
            mind = own
            if key.provider.value != own.card.provider:
                usual = next(m for p, m in catalogue.DEFAULTS.items() if p == key.provider.value)
                mind = read_mind(config, catalogue.shipped(), today, model=usual)
            account = self._accounts.of(key, facts.agent.user_id)
            links.append(_ThinkingLink(account, await account.mind(), mind))
        return tuple(links)

    def _tools(self, facts: CallFacts, search: Sequence[KeyChoice]) -> tuple[ToolSchema, ...]:
        return offered(
            ARGUMENTS,
            can_transfer=self._can_transfer or transfer_rules(facts.agent) is not None,
            can_text=self._sender is not None,
            can_search=bool(search),
        )

    async def close(self) -> None:
        """Close all connections to providers."""
        await self._hosted.close()
        await self._sockets.close()
        await self._accounts.close()
        await self._notes.close()


def _tell(facts: CallFacts, warnings: Sequence[str]) -> None:
    for warning in warnings:
        told = {"agent": facts.agent.agent_id, "warning": warning}
        log.warning("an agent's configuration is odd", extra=told)
