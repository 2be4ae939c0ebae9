"""Whether the hosted agents that rows of `ai_agents` name can take calls."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httpx
import msgspec
from pydantic import SecretStr

import db
from voice_server.doctor.check import Check, failed, ok, skipped, warning
from voice_server.hosted import HostedConfig, Override, parse_hosted
from voice_server.hosted.wire import AUDIO_FORMAT
from voice_server.limits import Limits
from voice_server.provider_settings import Provider, ProviderSettings
from voice_server.speech.elevenlabs import Access

LIMITS: Final = Limits(first_byte_s=5.0, between_s=5.0, total_s=10.0)
MOST_AGENTS: Final = 100
_AT_A_TIME: Final = 5
_NEEDED: Final = (
    "audio", "user_transcript", "agent_response", "interruption", "client_tool_call",
    "conversation_initiation_metadata", "ping",
)  # fmt: skip
_USEFUL: Final = (
    "agent_response_complete", "agent_response_correction", "agent_tool_response",
    "tentative_user_transcript",
)  # fmt: skip


class HostedRow(msgspec.Struct, frozen=True):
    """An active agent of ours and its `elevenlabs_config`."""

    agent_id: str
    elevenlabs_config: str


class _Asr(msgspec.Struct, frozen=True):
    user_input_audio_format: str = ""


class _Tts(msgspec.Struct, frozen=True):
    agent_output_audio_format: str = ""


class _Conversation(msgspec.Struct, frozen=True):
    client_events: tuple[str, ...] = ()


class _Config(msgspec.Struct, frozen=True):
    asr: _Asr = _Asr()
    tts: _Tts = _Tts()
    conversation: _Conversation = _Conversation()


class _Allowed(msgspec.Struct, frozen=True):
    agent: dict[str, Any] = {}
    tts: dict[str, Any] = {}


class _Overrides(msgspec.Struct, frozen=True):
    conversation_config_override: _Allowed = _Allowed()


class _Platform(msgspec.Struct, frozen=True):
    overrides: _Overrides = _Overrides()


class Described(msgspec.Struct, frozen=True):
    """What the service tells of an agent, as far as it matters here."""

    conversation_config: _Config = _Config()
    platform_settings: _Platform = _Platform()


async def hosted_rows(pool: db.Pool) -> tuple[HostedRow, ...]:
    """Active agents with a hosted one, at most 100; raises what `Pool.server` does."""
    async with pool.server() as connection:
        rows: list[Any] = await connection.fetch(
            """
            SELECT id, elevenlabs_config::text AS config FROM ai_agents
            WHERE status = 'active' AND elevenlabs_config IS NOT NULL
                AND elevenlabs_config <> '{}'::jsonb
            ORDER BY created_at, id LIMIT $1
            """,
            MOST_AGENTS,
        )
    return tuple(HostedRow(row["id"], row["config"]) for row in rows)


async def hosted_checks(
    settings: ProviderSettings, rows: tuple[HostedRow, ...], limits: Limits = LIMITS
) -> tuple[Check, ...]:
    """Each agent's configuration, and how it is set up in the server's account at ElevenLabs."""
    if not rows:
        return (skipped("hosted agents", "no agent has an elevenlabs_config"),)
    key = settings.key_of(Provider.ELEVENLABS)
    turn = asyncio.Semaphore(_AT_A_TIME)
    async with httpx.AsyncClient(timeout=limits.total_s) as http:

        async def one(row: HostedRow) -> Check:
            async with turn:
                return await _check(row, settings, key, http)

        return tuple(await asyncio.gather(*map(one, rows)))


async def _check(
    row: HostedRow, settings: ProviderSettings, key: SecretStr | None, http: httpx.AsyncClient
) -> Check:
    name = f"hosted agent of {row.agent_id}"
    config, warnings = parse_hosted(row.elevenlabs_config)
    if warnings:
        fix = "mend elevenlabs_config of the agent's row in ai_agents"
        return failed(name, "; ".join(warnings), fix)
    if config is None or key is None:
        return skipped(name, "not asked for: ELEVENLABS_API_KEY is not set")
    access = Access(key, settings.url_of(Provider.ELEVENLABS))
    url = access.url("v1", "convai", "agents", config.agent_id)
    try:
        answer = await http.get(url, headers=access.headers)
    except (httpx.HTTPError, OSError):
        fix = "check VOICE_SERVER_ELEVENLABS_API_URL, the network, its firewall and HTTPS_PROXY"
        return failed(name, "ElevenLabs cannot be reached", fix)
    if answer.status_code == httpx.codes.NOT_FOUND:
        fix = (
            "check agent_id, unless the tenant's own key is in the vault: `voice-server keys list`"
        )
        return warning(name, f"{config.agent_id} is not of the account of ELEVENLABS_API_KEY", fix)
    try:
        described = msgspec.json.decode(answer.content, type=Described)
    except msgspec.MsgspecError:
        described = None
    if answer.status_code != httpx.codes.OK or described is None:
        fix = "let the key of ELEVENLABS_API_KEY read agents, or try again"
        return warning(name, f"ElevenLabs does not tell (HTTP {answer.status_code})", fix)
    return set_up_check(name, config, described)


def set_up_check(name: str, config: HostedConfig, described: Described) -> Check:
    """What has to be changed in the agent's settings at ElevenLabs."""
    of = described.conversation_config
    formats = {of.asr.user_input_audio_format, of.tts.agent_output_audio_format}
    if formats != {AUDIO_FORMAT}:
        fix = "set the agent's input and output audio format to mu-law 8000 Hz"
        return failed(name, "it does not speak telephone audio", fix)
    allowed = described.platform_settings.overrides.conversation_config_override
    switches = {**allowed.agent, **allowed.tts}
    forbidden = [one for one in Override if one in config.overrides and not switches.get(one)]
    if forbidden:
        fix = "allow it in the agent's security settings, or take it out of overrides"
        return failed(name, f"it does not allow the override of {', '.join(forbidden)}", fix)
    events = set(of.conversation.client_events)
    if missing := [event for event in _NEEDED if events and event not in events]:
        fix = "switch the client events on in the agent's advanced settings"
        return failed(name, f"it does not send {', '.join(missing)}", fix)
    if missing := [event for event in _USEFUL if events and event not in events]:
        fix = "switch the client events on: calls are a little quicker with them"
        return warning(name, f"it does not send {', '.join(missing)}", fix)
    return ok(name, f"{config.agent_id} can take calls")
