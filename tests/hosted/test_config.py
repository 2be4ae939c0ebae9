"""Which hosted agent a tenant's JSON names, and what is said about mistakes in it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.hosted import HostedConfig, Override, parse_hosted

AGENT = "agent_7101k5zvyjhmfg983brhmhkd98n6"


def parsed(**config: object) -> tuple[HostedConfig | None, tuple[str, ...]]:
    return parse_hosted(msgspec.json.encode({"agent_id": AGENT} | config).decode())


@pytest.mark.parametrize("text", ["", "{}", "null", " {} "])
def test_an_empty_configuration_names_no_agent_and_nothing_is_wrong_with_it(text):
    assert parse_hosted(text) == (None, ())


def test_a_whole_configuration_is_read():
    config, warnings = parsed(
        overrides=["first_message", "language", "voice_id"],
        language="de-AT",
        dynamic_variables={"office_hours": "8 to 5", "vip": True, "limit": 3},
    )
    assert warnings == ()
    assert config == HostedConfig(
        AGENT,
        frozenset(Override),
        "de",
        {"office_hours": "8 to 5", "vip": True, "limit": 3},
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "elevenlabs_config: not JSON; the ordinary engines are used"),
        ("[]", "elevenlabs_config: not an object; the ordinary engines are used"),
        ('{"agent": "x"}', "elevenlabs_config.agent: unknown; left out"),
    ],
)
def test_without_a_readable_agent_the_ordinary_engines_take_the_call(text, problem):
    config, warnings = parse_hosted(text)
    assert config is None
    assert problem in warnings


@pytest.mark.parametrize("agent_id", [None, "", " ", 7, "two words", "a/b", "x" * 65])
def test_an_id_that_cannot_be_one_is_named(agent_id):
    config, warnings = parsed(agent_id=agent_id)
    assert config is None
    assert [warning.split(":")[0] for warning in warnings] == ["elevenlabs_config.agent_id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("overrides", "prompt"),
        ("overrides", ["first_message", "prompt"]),
        ("overrides", 7),
        ("language", "klingon"),
        ("language", 7),
        ("dynamic_variables", "x"),
        ("dynamic_variables", {"a b": "c"}),
        ("dynamic_variables", {"system__caller_id": "c"}),
        ("dynamic_variables", {"a": ["c"]}),
        ("dynamic_variables", {"a": "c" * 2_001}),
        ("dynamic_variables", {f"v{n}": n for n in range(41)}),
        ("prompt", "be nice"),
    ],
)
def test_what_is_wrong_is_left_out_and_named(field, value):
    config, warnings = parsed(**{field: value})
    assert config is not None
    assert config.agent_id == AGENT
    assert [warning.split(":")[0] for warning in warnings] == [f"elevenlabs_config.{field}"]
    assert Override.FIRST_MESSAGE not in config.overrides or value == ["first_message", "prompt"]


def test_a_name_that_may_be_private_is_not_repeated():
    _, warnings = parsed(**{"call Mary on +12025550143": 1})
    assert warnings == ("elevenlabs_config.(a field): unknown; left out",)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_makes_reading_fail(value):
    text = msgspec.json.encode(value).decode()
    parse_hosted(text)
    if isinstance(value, dict):
        parsed(**value)


@given(st.text())
def test_no_text_makes_reading_fail(text):
    parse_hosted(text)
