"""The vendor's own client holds a conversation with the simulated agent."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError

from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs import Delays, ElevenLabsLab, open_elevenlabs
from voice_server.testing.lab.elevenlabs_agents import AGENT_ID, LabAgent
from voice_server.testing.lab.mind import Said, Wanted, always

with warnings.catch_warnings():  # the client names a class that websockets will retire
    warnings.simplefilter("ignore", DeprecationWarning)
    from elevenlabs.conversational_ai.conversation import (
        AsyncAudioInterface,
        AsyncConversation,
        AudioInterface,
        ClientTools,
        Conversation,
        ConversationInitiationData,
    )

PORTION = 800  # bytes: 100 ms
HASTE = Delays(final_s=0.0, first_audio_s=0.0, speed=1_000.0)
BOOKING = Wanted("book_order", '{"name":"Mary"}')


def hasty(*answers: Said, **settings: Any) -> LabAgent:
    """An agent that takes no time."""
    return LabAgent(always(*answers), **{"turn_s": 0.2, "think_s": 0.0} | settings)


def portions(text: str) -> list[bytes]:
    audio = sound.spoken(text) + sound.SILENCE * 20
    return [audio[at : at + PORTION] for at in range(0, len(audio), PORTION)]


class Microphone(AsyncAudioInterface):
    """Says what it is told to, hears what the agent says."""

    def __init__(self) -> None:
        self.heard = b""
        self.interruptions = 0
        self._send: Callable[[bytes], Awaitable[None]] | None = None

    async def start(self, input_callback: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = input_callback

    async def stop(self) -> None:
        self._send = None

    async def output(self, audio: bytes) -> None:
        self.heard += audio

    async def interrupt(self) -> None:
        self.interruptions += 1

    async def say(self, text: str) -> None:
        for portion in portions(text):
            assert self._send is not None
            await self._send(portion)


class Told:
    """What the client's callbacks were given, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def async_callback(self, name: str) -> Callable[..., Awaitable[None]]:
        async def note(*args: Any) -> None:
            self.events.append((name, *args))

        return note

    def callback(self, name: str) -> Callable[..., None]:
        return lambda *args: self.events.append((name, *args))

    async def until(self, name: str, count: int = 1) -> list[Any]:
        """Wait for so many events of a kind; returns their first arguments."""
        async with asyncio.timeout(30):
            while len(found := [one[1:] for one in self.events if one[0] == name]) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return [args[0] if args else None for args in found]


@contextmanager
def client(lab: ElevenLabsLab, key: str = "") -> Iterator[ElevenLabs]:
    with httpx.Client(timeout=5) as http:
        yield ElevenLabs(api_key=key or lab.key, base_url=lab.url, httpx_client=http)


@contextmanager
def conversation(
    lab: ElevenLabsLab, told: Told, phone: Microphone, **more: Any
) -> Iterator[AsyncConversation]:
    async def book(parameters: dict[str, Any]) -> str:
        told.events.append(("tool", parameters))
        return '{"order_id":"A1"}'

    tools = ClientTools(loop=asyncio.get_running_loop())
    tools.register("book_order", book, is_async=True)
    with client(lab) as vendor:
        yield AsyncConversation(
            vendor,
            AGENT_ID,
            audio_interface=phone,
            client_tools=tools,
            callback_agent_response=told.async_callback("said"),
            callback_agent_response_correction=told.async_callback("corrected"),
            callback_user_transcript=told.async_callback("heard"),
            callback_latency_measurement=told.async_callback("latency"),
            callback_audio_alignment=told.async_callback("aligned"),
            callback_disconnect=told.async_callback("over"),
            **{"requires_auth": True} | more,
        )


async def test_the_async_client_hears_the_agent_and_is_heard():
    agents = {AGENT_ID: hasty(Said("We can fix that."))}
    async with open_elevenlabs(agents=agents, delays=HASTE) as lab:
        told, phone = Told(), Microphone()
        config = ConversationInitiationData(
            conversation_config_override={"agent": {"first_message": "Hi there."}},
            dynamic_variables={"call_id": "c1"},
        )
        with conversation(lab, told, phone, config=config) as talk:
            await talk.start_session()
            assert await told.until("said") == ["Hi there."]
            await phone.say("my tap leaks")
            assert await told.until("heard") == ["my tap leaks"]
            assert await told.until("said", 2) == ["Hi there.", "We can fix that."]
            await told.until("aligned", 4)
            await talk.end_session()
            assert (await talk.wait_for_session_end()).startswith("conv_")
            assert sound.said(phone.heard).startswith("Hi there.")
            assert lab.house.openings[0]["dynamic_variables"] == {"call_id": "c1"}


async def test_the_async_client_runs_a_tool_and_is_told_goodbye():
    booking = Said("One moment.", (BOOKING,))
    goodbye = Said("Booked. Goodbye.", (Wanted("end_call", "{}"),))
    agents = {AGENT_ID: hasty(booking, goodbye, first_message="")}
    async with open_elevenlabs(agents=agents, delays=HASTE) as lab:
        told, phone = Told(), Microphone()
        with conversation(lab, told, phone) as talk:
            await talk.start_session()
            await told_is_connected(talk)
            await phone.say("please book it")
            [parameters] = await told.until("tool")
            assert parameters["name"] == "Mary"
            assert await told.until("said", 2) == ["One moment.", "Booked. Goodbye."]
            [details] = await told.until("over")
            assert (details.reason, details.close_code) == ("agent", 1000)
            assert [result["result"] for result in lab.house.results] == ['{"order_id":"A1"}']


async def told_is_connected(talk: Any) -> None:
    async with asyncio.timeout(30):
        while talk._conversation_id is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_the_async_client_is_told_of_interruptions_and_pings():
    answer = Said("This is a very long answer to a very short question. " * 4)
    agents = {AGENT_ID: hasty(answer, first_message="", ping_s=0.05)}
    async with open_elevenlabs(agents=agents, delays=HASTE) as lab:
        told, phone = Told(), Microphone()
        with conversation(lab, told, phone) as talk:
            await talk.start_session()
            await told_is_connected(talk)
            await phone.say("hello")
            [said] = await told.until("said")
            await phone.say("no no no")
            [original] = await told.until("corrected")
            assert original == said
            assert phone.interruptions == 1
            await told.until("latency")
            await talk.end_session()
            await talk.wait_for_session_end()
            assert lab.house.pongs >= 1


async def test_messages_and_updates_of_the_client_arrive():
    agents = {AGENT_ID: hasty(Said("Noted."), first_message="", public=True)}
    async with open_elevenlabs(agents=agents, delays=HASTE) as lab:
        told, phone = Told(), Microphone()
        with conversation(lab, told, phone, requires_auth=False) as talk:
            await talk.start_session()
            await told_is_connected(talk)
            await talk.send_contextual_update("The caller is a customer.")
            await talk.register_user_activity()
            await talk.send_user_message("my tap leaks")
            assert await told.until("said") == ["Noted."]
            assert lab.house.updates == ["The caller is a customer."]
            await talk.end_session()
            await talk.wait_for_session_end()


@pytest.mark.parametrize("override", ["first_message", "prompt"])
async def test_an_override_that_is_not_allowed_ends_the_clients_session(override):
    agents = {AGENT_ID: hasty(Said("Hi."), overrides=(), public=True)}
    async with open_elevenlabs(agents=agents) as lab:
        told, phone = Told(), Microphone()
        config = ConversationInitiationData(
            conversation_config_override={"agent": {override: "x"}},
        )
        with conversation(lab, told, phone, config=config, requires_auth=False) as talk:
            await talk.start_session()
            [details] = await told.until("over")
            assert (details.reason, details.close_code) == ("error", 1008)
            assert override in details.close_reason
            await talk.wait_for_session_end()


class Telephone(AudioInterface):
    """The same for the client that works in threads."""

    def __init__(self) -> None:
        self.heard = b""
        self.send: Callable[[bytes], None] | None = None

    def start(self, input_callback: Callable[[bytes], None]) -> None:
        self.send = input_callback

    def stop(self) -> None:
        self.send = None

    def output(self, audio: bytes) -> None:
        self.heard += audio

    def interrupt(self) -> None:
        pass


async def test_the_threaded_client_holds_a_conversation_too():
    agents = {AGENT_ID: hasty(Said("We can fix that."))}
    async with open_elevenlabs(agents=agents, delays=HASTE) as lab:
        with client(lab) as vendor:
            await threaded(vendor)


async def threaded(vendor: ElevenLabs) -> None:
    told, phone = Told(), Telephone()
    talk = Conversation(
        vendor,
        AGENT_ID,
        requires_auth=True,
        audio_interface=phone,
        callback_agent_response=told.callback("said"),
        callback_user_transcript=told.callback("heard"),
    )
    await asyncio.to_thread(talk.start_session)
    await told.until("said")
    for portion in portions("my tap leaks"):
        assert phone.send is not None
        await asyncio.to_thread(phone.send, portion)
    assert await told.until("heard") == ["my tap leaks"]
    assert (await told.until("said", 2))[1] == "We can fix that."
    await asyncio.to_thread(talk.end_session)
    name = await asyncio.to_thread(talk.wait_for_session_end)
    assert name is not None
    assert name.startswith("conv_")


async def test_an_address_is_signed_for_an_agent_of_the_account_only():
    async with open_elevenlabs() as lab:
        for key, agent_id, status in (("", "agent_of_nobody", 404), ("wrong", AGENT_ID, 401)):
            with client(lab, key) as vendor, pytest.raises(ApiError) as refused:
                await asyncio.to_thread(
                    vendor.conversational_ai.conversations.get_signed_url,
                    agent_id=agent_id,
                    request_options={"max_retries": 0},
                )
            assert refused.value.status_code == status


async def test_the_client_reads_how_an_agent_is_set_up():
    agents = {AGENT_ID: hasty(Said("Hi."), audio_format="pcm_16000")}
    async with open_elevenlabs(agents=agents) as lab:
        with client(lab) as vendor:
            told = await asyncio.to_thread(vendor.conversational_ai.agents.get, AGENT_ID)
        assert told.conversation_config.tts.agent_output_audio_format == "pcm_16000"
        allowed = told.platform_settings.overrides.conversation_config_override
        assert allowed.agent.first_message is True
