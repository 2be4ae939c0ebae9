from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.speech.elevenlabs import (
    CommitStrategy,
    EarsConfig,
    VoiceConfig,
    VoiceSettings,
    parse_ears,
    parse_voice,
)
from voice_server.speech.elevenlabs.config import bare_language

FULL = {
    "voice_id": "EXAVITQu4vr4xnSDxMaL",
    "model_id": "eleven_multilingual_v2",
    "language": "en-US",
    "settings": {
        "stability": 0.4, "similarity_boost": 0.8, "use_speaker_boost": True, "speed": 1.1,
    },
    "stt": {"commit_strategy": "vad", "keyterms": ["Acme", "boiler"], "vad_silence_s": 0.4},
}  # fmt: skip


def test_a_full_configuration_is_taken_as_it_is():
    voice, warnings = parse_voice(json.dumps(FULL))
    assert voice == VoiceConfig(
        "EXAVITQu4vr4xnSDxMaL",
        "eleven_multilingual_v2",
        VoiceSettings(stability=0.4, similarity_boost=0.8, use_speaker_boost=True, speed=1.1),
        "en",
    )
    assert warnings == ()
    ears, warnings = parse_ears(json.dumps(FULL))
    assert ears == EarsConfig(
        commit_strategy=CommitStrategy.VAD,
        language="en",
        keyterms=("Acme", "boiler"),
        vad_silence_s=0.4,
    )
    assert warnings == ()


@pytest.mark.parametrize("text", ["", "{}", "null"])
def test_no_configuration_is_all_defaults(text):
    assert parse_voice(text) == (VoiceConfig(), ())
    assert parse_ears(text) == (EarsConfig(), ())


@pytest.mark.parametrize(
    ("given_config", "complaint"),
    [
        ("not json", "voice_config: not JSON"),
        ("[1]", "voice_config: not an object"),
        ('{"voice_id": 3}', "voice_config.voice_id: not a text"),
        ('{"settings": []}', "voice_config.settings: not an object"),
        ('{"settings": {"stability": "high"}}', "voice_config.settings.stability: not a number"),
        ('{"settings": {"speed": 3}}', "voice_config.settings.speed: not within 0.7 to 1.2"),
        ('{"settings": {"use_speaker_boost": 1}}', "use_speaker_boost: not true or false"),
        ('{"settings": {"warmth": 1}}', "voice_config.settings.warmth: unknown"),
        ('{"colour": "red"}', "voice_config.colour: unknown"),
        ('{"language": "klingonese"}', "voice_config.language: not a language code"),
    ],
)
def test_what_is_wrong_with_a_voice_is_left_out_and_named(given_config, complaint):
    voice, warnings = parse_voice(given_config)
    assert any(complaint in warning for warning in warnings)
    assert voice.voice_id == VoiceConfig().voice_id


@pytest.mark.parametrize(
    ("given_config", "complaint"),
    [
        ('{"stt": 1}', "voice_config.stt: not an object"),
        ('{"stt": {"commit_strategy": "magic"}}', "commit_strategy: not"),
        ('{"stt": {"keyterms": "x"}}', "keyterms: not a list"),
        ('{"stt": {"keyterms": ["a term of more than twenty"]}}', "keyterms: at most 50"),
        ('{"stt": {"keyterms": [1, ""]}}', "keyterms: at most 50"),
        ('{"stt": {"vad_silence_s": 9}}', "vad_silence_s: not within"),
        ('{"stt": {"gain": 9}}', "stt.gain: unknown"),
    ],
)
def test_what_is_wrong_with_the_ears_is_left_out_and_named(given_config, complaint):
    ears, warnings = parse_ears(given_config)
    assert any(complaint in warning for warning in warnings)
    assert ears.commit_strategy is CommitStrategy.MANUAL


def test_numbers_out_of_range_become_the_nearest():
    voice, _ = parse_voice('{"settings": {"speed": 3, "stability": -1}}')
    assert (voice.settings.speed, voice.settings.stability) == (1.2, 0.0)


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en-US", "en"), ("en_GB", "en"), ("EN", "en"), ("deu", "deu"), ("zh-Hant-TW", "zh"),
        ("", ""), ("english", ""), ("e", ""), ("12", ""),
    ],
)  # fmt: skip
def test_a_region_is_taken_off_a_language(tag, language):
    assert bare_language(tag) == language


@pytest.mark.parametrize(
    ("model", "dialogue"),
    [("eleven_flash_v2_5", False), ("eleven_v3", True), ("eleven_v4_turbo", True)],
)
def test_the_newest_models_speak_dialogue(model, dialogue):
    assert VoiceConfig(model_id=model).is_dialogue is dialogue


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), st.text(max_size=30)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["voice_id", "settings", "stt", "stability", "keyterms", "x y"]), inner
        ),
    ),
)


@given(anything)
def test_no_configuration_fails_a_call(config):
    text = json.dumps(config)
    parse_voice(text)
    parse_ears(text)


@given(st.text())
def test_no_text_fails_a_call(text):
    parse_voice(text)
    parse_ears(text)
