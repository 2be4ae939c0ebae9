"""To whom an agent hands over: its own words first, then the server's, and odd ones never fail."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.fakes import AGENT
from voice_server.transfer_rules import TransferRules, transfer_rules

OURS, THEIRS = "+12025550111", "+12025550122"


def agent(config: Any) -> Any:
    text = config if isinstance(config, str) else msgspec.json.encode(config).decode()
    return msgspec.structs.replace(AGENT, behavior_config=text)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, TransferRules(OURS, False, "")),
        ({"transfer_number": THEIRS}, TransferRules(THEIRS, False, "")),
        ({"transfer_mode": "warm"}, TransferRules(OURS, True, "")),
        ({"transfer_whisper": " Hi. "}, TransferRules(OURS, False, "Hi.")),
        ({"transfer_number": "the boss"}, TransferRules(OURS, False, "")),
        ({"transfer_number": 5, "transfer_mode": [], "transfer_whisper": {}},
         TransferRules(OURS, False, "")),
        ({"transfer_whisper": "x" * 500}, TransferRules(OURS, False, "x" * 300)),
        ("not json", TransferRules(OURS, False, "")),
        ("[]", TransferRules(OURS, False, "")),
        ("", TransferRules(OURS, False, "")),
    ],
)  # fmt: skip
def test_the_agents_own_rules_go_before_the_servers_number(config, expected):
    assert transfer_rules(agent(config), OURS) == expected


def test_without_any_number_there_is_nobody():
    assert transfer_rules(agent({"transfer_mode": "warm"})) is None
    own = transfer_rules(agent({"transfer_number": THEIRS}))
    assert own is not None
    assert own.number == THEIRS


@given(st.text(max_size=60))
def test_no_text_fails_a_call(text):
    transfer_rules(agent(text), OURS)
