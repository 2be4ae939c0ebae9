from __future__ import annotations

import asyncio
import base64

import httpx
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from voice_server.speech import g711
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.elevenlabs import VOICES, open_elevenlabs
from voice_server.testing.lab.elevenlabs_formats import from_mulaw, to_mulaw

VOICE = next(iter(VOICES))


@given(st.binary().filter(lambda audio: b"\x7f" not in audio))
def test_telephone_pcm_there_and_back_is_the_same_audio(mulaw: bytes) -> None:
    assert to_mulaw(from_mulaw(mulaw, "pcm_8000"), "pcm_8000") == mulaw


@pytest.mark.parametrize("audio_format", ["ulaw_8000", "mp3_44100_128", ""])
def test_what_is_no_pcm_passes_unchanged(audio_format: str) -> None:
    assert from_mulaw(b"abc", audio_format) == to_mulaw(b"abc", audio_format) == b"abc"


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 44_100, 48_000])
def test_every_rate_carries_a_tone_of_the_same_length_and_loudness(rate: int) -> None:
    second = np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000).astype(np.float32) * 0.5
    mulaw = g711.encode_float(second)
    pcm = from_mulaw(mulaw, f"pcm_{rate}")
    assert abs(len(pcm) / 2 - rate) <= 1
    back = g711.decode_float(to_mulaw(pcm, f"pcm_{rate}"))
    assert abs(len(back) - 8000) <= 1
    assert np.abs(back[200:7800] - second[200:7800]).max() < 0.05


def test_half_a_sample_at_the_end_is_left_out() -> None:
    assert to_mulaw(b"\x00\x00\x01", "pcm_8000") == b"\xff"


@pytest.mark.parametrize("audio_format", ["ulaw_8000", "pcm_8000"])
async def test_the_recogniser_hears_and_bills_the_same_in_either_format(audio_format: str) -> None:
    audio = sound.spoken("good morning to you")
    async with open_elevenlabs() as lab:
        query = f"model_id=scribe_v2_realtime&audio_format={audio_format}"
        url = f"ws{lab.url[4:]}/v1/speech-to-text/realtime?{query}"
        async with connect(url, additional_headers={"xi-api-key": lab.key}) as socket:
            chunk = {
                "message_type": "input_audio_chunk",
                "audio_base_64": base64.b64encode(from_mulaw(audio, audio_format)).decode(),
                "commit": True,
            }
            await socket.send(msgspec.json.encode(chunk).decode())
            async with asyncio.timeout(30):
                while (told := msgspec.json.decode(await socket.recv()))["message_type"] != (
                    "committed_transcript"
                ):
                    pass
        assert told["text"] == "good morning to you"
        assert lab.meter.items == {
            "elevenlabs.stt.scribe_v2_realtime.milliseconds": len(audio) // 8
        }


@pytest.mark.parametrize(("audio_format", "size"), [("ulaw_8000", 1), ("pcm_16000", 4)])
async def test_the_voice_speaks_in_the_format_that_was_asked_for(
    audio_format: str, size: int
) -> None:
    async with open_elevenlabs() as lab, httpx.AsyncClient(base_url=lab.url) as http:
        answer = await http.post(
            f"/v1/text-to-speech/{VOICE}/stream",
            params={"output_format": audio_format},
            headers={"xi-api-key": lab.key},
            json={"text": "Hello there.", "model_id": "eleven_flash_v2_5"},
        )
        assert len(answer.content) == len("Hello there.") * sound.BYTES_PER_CHARACTER * size


async def test_alignments_fit_the_audio_of_whatever_voice_speaks() -> None:
    def voice(text: str) -> bytes:
        return sound.SILENCE * 5 * len(text)  # 100 ms a character

    async with open_elevenlabs(speaker=voice) as lab, httpx.AsyncClient(base_url=lab.url) as http:
        answer = await http.post(
            f"/v1/text-to-speech/{VOICE}/stream/with-timestamps",
            headers={"xi-api-key": lab.key},
            json={"text": "Hello there.", "model_id": "eleven_flash_v2_5"},
        )
        lines = [msgspec.json.decode(line) for line in answer.content.splitlines()]
        spoken = "".join("".join(line["alignment"]["characters"]) for line in lines)
        last = [line["alignment"]["character_end_times_seconds"][-1] for line in lines]
        assert spoken == "Hello there."
        assert sum(last) == pytest.approx(1.2)
        assert sum(len(base64.b64decode(line["audio_base64"])) for line in lines) == 9_600
