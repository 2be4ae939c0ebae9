"""The vendor's own client must take the simulator for the service."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager

import httpx
import pytest
from elevenlabs.client import AsyncElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.realtime.connection import RealtimeEvents
from elevenlabs.realtime.scribe import AudioFormat, CommitStrategy

from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs import VOICES, open_elevenlabs
from voice_server.testing.lab.faults import Fault, FaultPlan

VOICE = next(iter(VOICES))
OPTIONS = {
    "model_id": "scribe_v2_realtime",
    "audio_format": AudioFormat.ULAW_8000,
    "sample_rate": 8000,
}
ONCE = {"max_retries": 0}


@asynccontextmanager
async def service(key: str = "", **options):
    """A simulator and the SDK's client at it."""
    async with open_elevenlabs(**options) as lab, httpx.AsyncClient(timeout=5) as http:
        client = AsyncElevenLabs(api_key=key or lab.key, base_url=lab.url, httpx_client=http)
        yield lab, client


async def transcribe(connection, text: str) -> dict[str, list]:
    """Speak and commit; what came, by the SDK's event names."""
    told: dict[str, list] = {}
    for event in RealtimeEvents:
        connection.on(event, lambda *args, name=event.value: told.setdefault(name, []).append(args))
    audio = sound.spoken(text) + sound.SILENCE * 20
    for at in range(0, len(audio), 1600):
        chunk = base64.b64encode(audio[at : at + 1600]).decode()
        await connection.send({"audio_base_64": chunk})
        await asyncio.sleep(0.2)
    await connection.commit()
    await asyncio.sleep(0.5)
    await connection.close()
    return told


@pytest.mark.parametrize("timestamps", [False, True])
def test_realtime_transcription(virtual, timestamps):
    async def main():
        async with service() as (_lab, vendor):
            connection = await vendor.speech_to_text.realtime.connect(
                OPTIONS | {"include_timestamps": timestamps, "keyterms": ["a b", "c"]}
            )
            told = await transcribe(connection, "hello there my friend")
            assert told["partial_transcript"][0][0]["text"]
            assert [m["text"] for (m,) in told["committed_transcript"]] == ["hello there my friend"]
            assert len(told.get("committed_transcript_with_timestamps", [])) == timestamps
            assert "error" not in told

    virtual(main())


def test_realtime_transcription_that_cuts_by_itself(virtual):
    async def main():
        async with service() as (_lab, vendor):
            options = OPTIONS | {
                "commit_strategy": CommitStrategy.VAD,
                "vad_silence_threshold_secs": 0.3,
            }
            connection = await vendor.speech_to_text.realtime.connect(options)
            told = await transcribe(connection, "hello there")
            assert told["committed_transcript"][0][0]["text"] == "hello there"

    virtual(main())


def test_a_single_use_token_opens_one_session(virtual):
    async def main():
        async with service() as (_lab, vendor):
            token = (await vendor.tokens.single_use.create("realtime_scribe")).token
            options = OPTIONS | {"token": token}
            connection = await vendor.speech_to_text.realtime.connect(options)
            assert (await transcribe(connection, "hi"))["committed_transcript"]
            with pytest.raises(Exception, match="401"):
                await vendor.speech_to_text.realtime.connect(options)

    virtual(main())


def test_an_error_of_the_recogniser_is_known_to_the_sdk(virtual):
    async def main():
        async with service(commit_errors={1: "quota_exceeded"}) as (_lab, vendor):
            connection = await vendor.speech_to_text.realtime.connect(OPTIONS)
            told = await transcribe(connection, "hello there")
            assert told["quota_exceeded"]
            assert told["close"][0][0]["code"] == 1008

    virtual(main())


def test_speech_over_http(virtual):
    async def main():
        async with service() as (lab, vendor):
            speech = vendor.text_to_speech.stream(
                VOICE, text="Hello.", model_id="eleven_flash_v2_5", output_format="ulaw_8000"
            )
            audio = b"".join([chunk async for chunk in speech])
            assert sound.said(audio) == "Hello."
            assert lab.meter.items == {"elevenlabs.tts.eleven_flash_v2_5.characters": 6}

    virtual(main())


def test_speech_with_timestamps_over_http(virtual):
    async def main():
        async with service() as (_lab, vendor):
            text = "A sentence of some length."
            speech = vendor.text_to_speech.stream_with_timestamps(
                VOICE, text=text, model_id="eleven_flash_v2_5", output_format="ulaw_8000"
            )
            chunks = [chunk async for chunk in speech]
            assert "".join(c for chunk in chunks for c in chunk.alignment.characters) == text
            audio = b"".join(base64.b64decode(chunk.audio_base_64) for chunk in chunks)
            assert sound.said(audio) == text

    virtual(main())


def test_dialogue_with_timestamps_over_http(virtual):
    async def main():
        async with service() as (_lab, vendor):
            speech = vendor.text_to_dialogue.stream_with_timestamps(
                inputs=[{"text": "Hello.", "voice_id": VOICE}],
                model_id="eleven_v3",
                output_format="ulaw_8000",
            )
            audio = b"".join([base64.b64decode(chunk.audio_base_64) async for chunk in speech])
            assert sound.said(audio) == "Hello."

    virtual(main())


def test_the_account(virtual):
    async def main():
        async with service() as (_lab, vendor):
            subscription = await vendor.user.subscription.get()
            assert (subscription.tier, subscription.status) == ("creator", "active")
            assert subscription.character_count == 0

    virtual(main())


def test_voices_and_models(virtual):
    async def main():
        async with service() as (_lab, vendor):
            found = await vendor.voices.search()
            assert {voice.voice_id: voice.name for voice in found.voices} == VOICES
            assert [v.name for v in (await vendor.voices.search(search="sar")).voices] == ["Sarah"]
            assert (await vendor.voices.get_all()).voices
            models = await vendor.models.list()
            assert "eleven_flash_v2_5" in {model.model_id for model in models}

    virtual(main())


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.UNAUTHORIZED, 401),
        (Fault.QUOTA, 401),
        (Fault.RATE_LIMITED, 429),
        (Fault.SERVER_ERROR, 503),
    ],
)
def test_refusals_have_the_form_the_sdk_expects(virtual, fault, status):
    async def main():
        async with service(http_faults=FaultPlan(otherwise=fault)) as (_lab, vendor):
            speech = vendor.text_to_speech.stream(VOICE, text="Hi", request_options=ONCE)
            with pytest.raises(ApiError) as error:
                await anext(aiter(speech))
            assert error.value.status_code == status

    virtual(main())


def test_a_wrong_key_is_refused_everywhere(virtual):
    async def main():
        async with service("wrong") as (_lab, vendor):
            for ask in (vendor.user.subscription.get, vendor.models.list, vendor.voices.search):
                with pytest.raises(ApiError) as error:
                    await ask()
                assert error.value.status_code == 401
            with pytest.raises(Exception, match="401"):
                await vendor.speech_to_text.realtime.connect(OPTIONS)

    virtual(main())
