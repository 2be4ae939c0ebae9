from __future__ import annotations

from pathlib import Path

import pytest

from models.weights import Weights, WeightsMissing
from voice_server.testing.lab import elevenlabs_audio as sound
from voice_server.testing.lab.local_speech import LocalSpeech


@pytest.fixture(scope="module")
def speech() -> LocalSpeech:
    return LocalSpeech(Weights(None))


@pytest.mark.weights
async def test_it_understands_what_it_says(speech: LocalSpeech) -> None:
    spoken = await speech.say("Hello, how can I help you today? The plumber comes tomorrow.")
    heard = (await speech.hear(spoken)).lower()
    assert "how can i help you today" in heard
    assert "tomorrow" in heard


@pytest.mark.weights
async def test_the_lab_s_own_audio_is_read_exactly(speech: LocalSpeech) -> None:
    assert await speech.hear(sound.spoken("book a plumber")) == "book a plumber"


@pytest.mark.weights
async def test_nothing_is_heard_in_silence(speech: LocalSpeech) -> None:
    assert await speech.hear(sound.SILENCE * 50) == ""


@pytest.mark.weights
@pytest.mark.parametrize("text", ["", " ", "..."])
async def test_what_cannot_be_said_takes_a_breath(speech: LocalSpeech, text: str) -> None:
    assert await speech.say(text) == sound.SILENCE


def test_missing_weights_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing):
        LocalSpeech(Weights(tmp_path))
