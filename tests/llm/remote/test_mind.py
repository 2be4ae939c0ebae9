"""An agent's `llm_config`, made safe."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.llm.catalogue import shipped
from voice_server.llm.remote.mind import read_mind, wanted_provider

NOW, LATER = date(2026, 11, 22), date(2027, 1, 14)
AS_SHIPPED = '{"model": "gpt-4o-mini", "system_prompt": "", "temperature": 0.7, "max_tokens": 1000}'


def test_the_default_configuration():
    mind = read_mind(AS_SHIPPED, shipped(), NOW)
    assert (mind.model, mind.temperature, mind.max_tokens) == ("gpt-4o-mini", 0.7, 1000)
    assert not mind.warnings


def test_the_default_configuration_after_its_model_is_gone():
    mind = read_mind(AS_SHIPPED, shipped(), LATER)
    assert mind.model == "gpt-6-luna"
    assert mind.card.effort == "none"
    assert len(mind.warnings) == 1


def test_a_temperature_the_model_does_not_take_is_left_out_with_a_warning():
    mind = read_mind('{"model": "claude-haiku-5-5", "temperature": 0.7}', shipped(), NOW)
    assert mind.temperature is None
    assert mind.warnings == ("claude-haiku-5-5 takes no temperature; it was left out",)


def test_a_fallback_names_another_model():
    mind = read_mind(AS_SHIPPED, shipped(), NOW, model="claude-haiku-5-5")
    assert mind.card.provider == "anthropic"
    assert mind.max_tokens == 1000


@pytest.mark.parametrize(
    ("config", "tokens", "temperature"),
    [
        ('{"model": "gpt-4o", "max_tokens": 1}', 64, None),
        ('{"model": "gpt-4o", "max_tokens": 1e9}', 4000, None),
        ('{"model": "gpt-4o", "max_tokens": "many", "temperature": "hot"}', 1000, None),
        ('{"model": "gpt-4o", "max_tokens": true, "temperature": false}', 1000, None),
        ('{"model": "gpt-4o", "temperature": -3}', 1000, 0.0),
        ('{"model": "gpt-4o", "temperature": 9}', 1000, 2.0),
    ],
)
def test_odd_numbers_fall_back_or_are_bounded(config, tokens, temperature):
    mind = read_mind(config, shipped(), NOW)
    assert (mind.max_tokens, mind.temperature) == (tokens, temperature)


@given(
    st.dictionaries(
        st.sampled_from(["model", "system_prompt", "temperature", "max_tokens", "else"]),
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.lists(st.text()),
    )
)
def test_no_configuration_fails_a_call(config):
    mind = read_mind(msgspec.json.encode(config).decode(), shipped(), NOW)
    assert 64 <= mind.max_tokens <= 4000
    assert mind.model


@pytest.mark.parametrize("config", ["", "null", "[]", "{", '"gpt"'])
def test_what_is_no_object_counts_as_empty(config):
    assert read_mind(config, shipped(), NOW).model == "gpt-4o-mini"


@pytest.mark.parametrize(
    ("config", "provider"),
    [
        (AS_SHIPPED, None),
        ("{}", None),
        ('{"model": "  "}', None),
        ('{"model": "gpt-6-luna"}', "openai"),
        ('{"model": "claude-haiku-5-5"}', "anthropic"),
        ('{"model": "models/gemini-3.5-flash-lite"}', "google"),
    ],
)
def test_only_a_model_of_its_own_says_whose_model_an_agent_wants(config, provider):
    assert wanted_provider(config, shipped(), NOW) == provider
