"""From the tenant's words to the rules of a call."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.assessment import Severity
from tests.runtime.fakes import AGENT
from voice_server.call import Policy, Rate
from voice_server.runtime.agents import behaviour, policy_for


def configured(**behaviour: object) -> Policy:
    return policy_for(msgspec.structs.replace(AGENT, behavior_config=json.dumps(behaviour)))


DEFAULT = configured()


def test_an_agent_without_configuration_greets_by_name_and_keeps_the_defaults():
    assert DEFAULT.greeting == "Hello, this is Ann from Acme. How can I help you today?"
    assert msgspec.structs.replace(Policy(), greeting=DEFAULT.greeting) == DEFAULT


def test_names_with_braces_are_only_names():
    odd = msgspec.structs.replace(AGENT, name="{tenant}", tenant_name="{0!r}")
    assert policy_for(odd).greeting.startswith("Hello, this is {tenant} from {0!r}.")


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("max_call_duration", 120_000, "max_call_ms", 120_000),
        ("max_call_duration", 1, "max_call_ms", 10_000),
        ("max_call_duration", 1e12, "max_call_ms", 4 * 3_600_000),
        ("end_of_turn_ms", 900.7, "end_of_turn_ms", 900),
        ("silence_ms", -5, "silence_ms", 2_000),
        ("barge_in_ms", 300, "barge_in_ms", 300),
        ("filler_ms", 100, "filler_ms", 500),
        ("filler_ms", 4_000, "filler_ms", 4_000),
        ("fillers", ["Hm.", "Well."], "fillers", ("Hm.", "Well.")),
        ("fillers", [], "fillers", ()),
        ("tool_fillers", ["I look it up."], "tool_fillers", ("I look it up.",)),
        ("auto_end_on_silence", False, "end_on_silence", False),
        ("scam_detection_enabled", False, "detect_scams", False),
        ("interruptible", False, "interruptible", False),
        ("greeting", "", "greeting", ""),
        ("greeting", "Good day.", "greeting", "Good day."),
        ("silence_closing", "Bye.", "silence_closing", "Bye."),
        ("scam_closing", "No.", "scam_closing", "No."),
        ("failure_closing", "Sorry.", "failure_closing", "Sorry."),
        ("scam_warn_at", "medium", "warn_at", Severity.MEDIUM),
        ("scam_end_at", "high", "end_at", Severity.HIGH),
        ("scam_end_at", None, "end_at", None),
        ("scam_warn_at", None, "warn_at", None),
    ],
)
def test_a_known_key_sets_its_rule_within_bounds(key, value, field, expected):
    policy = configured(**{key: value})
    assert getattr(policy, field) == expected
    assert msgspec.structs.replace(policy, **{field: getattr(DEFAULT, field)}) == DEFAULT


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_call_duration", "long"),
        ("max_call_duration", True),
        ("max_call_duration", None),
        ("end_of_turn_ms", [700]),
        ("auto_end_on_silence", 1),
        ("auto_end_on_silence", "yes"),
        ("greeting", 5),
        ("greeting", None),
        ("fillers", "Hm."),
        ("fillers", ["Hm.", 5]),
        ("fillers", ["Hm.", "  "]),
        ("fillers", ["Hm."] * 9),
        ("tool_fillers", ["x" * 121]),
        ("scam_warn_at", "terrible"),
        ("scam_end_at", ["high"]),
        ("scam_end_at", 4),
        ("a key of a later version", True),
    ],
)
def test_an_odd_value_falls_back(key, value):
    assert configured(**{key: value}) == DEFAULT


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", '"text"', "{} {}"])
def test_an_unreadable_configuration_counts_as_empty(text):
    assert policy_for(msgspec.structs.replace(AGENT, behavior_config=text)) == DEFAULT


def test_an_unreadable_configuration_is_logged_without_its_content(caplog):
    assert behaviour(msgspec.structs.replace(AGENT, behavior_config="my secret {")) == {}
    assert "unreadable behavior_config" in caplog.text
    assert "my secret" not in caplog.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)
KEYS = st.sampled_from(
    [
        "max_call_duration",
        "silence_ms",
        "interruptible",
        "greeting",
        "fillers",
        "scam_warn_at",
        "scam_end_at",
    ]
)


@given(config=st.dictionaries(KEYS, JSON, max_size=4))
def test_no_configuration_fails_a_call(config):
    text = json.dumps(config)
    policy = policy_for(msgspec.structs.replace(AGENT, behavior_config=text))
    assert 10_000 <= policy.max_call_ms <= 4 * 3_600_000
    assert 2_000 <= policy.silence_ms <= 120_000
    assert isinstance(policy.greeting, str)
    msgspec.convert(msgspec.to_builtins(policy), Policy)


def test_prices_and_the_carriers_items_are_part_of_the_rules():
    rate = Rate("a", 5, 1)
    policy = policy_for(AGENT, [rate], carrier_items=("a",))
    assert policy.tariff == (rate,)
    assert policy.carrier_items == ("a",)
