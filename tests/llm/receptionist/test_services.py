from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_server.llm.receptionist import services
from voice_server.orders.arguments import SERVICE_TYPES


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("my kitchen sink is leaking", "plumbing"),
        ("my kitchen sync is leaking", "plumbing"),
        ("the toilet won't flush", "plumbing"),
        ("I need a plumber", "plumbing"),
        ("I need a plummer", "plumbing"),
        ("there's no hot water", "plumbing"),
        ("the drain is clogged", "plumbing"),
        ("water is dripping from the faucet", "plumbing"),
        ("my water heater broke", "plumbing"),
        ("a pipe burst in the basement", "plumbing"),
        ("I need an electrician", "electrical"),
        ("the outlet in the bedroom doesn't work", "electrical"),
        ("the breaker keeps tripping", "electrical"),
        ("we lost power in half of the house", "electrical"),
        ("the lights keep flickering", "electrical"),
        ("could somebody clean my apartment", "cleaning"),
        ("I'm looking for a cleaner", "cleaning"),
        ("a deep clean before we move out", "cleaning"),
        ("my carpets need vacuuming", "cleaning"),
        ("we need a maid once a week", "cleaning"),
        ("my washing machine is broken", "repairs"),
        ("the front door lock is stuck", "repairs"),
        ("can you fix my fence", "repairs"),
        ("I need a handyman", "repairs"),
        ("the fridge stopped working", "repairs"),
        ("annual service for my furnace, an inspection", "maintenance"),
        ("the gutters have to be done", "maintenance"),
        ("somebody to mow the lawn", "maintenance"),
        ("hello", ""),
        ("tomorrow at ten", ""),
        ("Mary Jones", ""),
        ("", ""),
    ],
)
def test_the_trade_is_heard_from_the_problem(text: str, service: str) -> None:
    assert services.find_service(text) == service


@pytest.mark.parametrize(
    ("text", "other"),
    [("something else", True), ("none of those", True), ("other", True), ("plumbing", False)],
)
def test_a_caller_may_say_that_no_trade_fits(text: str, other: bool) -> None:
    assert services.names_other(text) is other


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I smell gas", "gas"),
        ("there's a gas leak", "gas"),
        ("it smells like gas in here", "gas"),
        ("the carbon monoxide alarm went off", "gas"),
        ("my kitchen is on fire", "fire"),
        ("there's a burning smell from the wall", "fire"),
        ("the outlet is sparking", "sparks"),
        ("I got an electric shock", "sparks"),
        ("a pipe burst", "flood"),
        ("the basement is flooded", "flood"),
        ("water is pouring through the ceiling", "flood"),
        ("somebody is hurt", "injury"),
        ("there is no gas leak", ""),
        ("it's not flooded", ""),
        ("my gas bill", ""),
        ("my sink is leaking", ""),
        ("", ""),
    ],
)
def test_danger_is_heard(text: str, kind: str) -> None:
    assert services.find_emergency(text) == kind


@pytest.mark.parametrize(
    ("text", "urgent"),
    [
        ("it's urgent", True),
        ("this is an emergency", True),
        ("it's not urgent", False),
        ("no emergency", False),
        ("tomorrow", False),
    ],
)
def test_urgency_is_heard(text: str, urgent: bool) -> None:
    assert services.is_urgent(text) is urgent


@given(st.text(max_size=100))
def test_any_text_gives_a_known_trade_or_none(text: str) -> None:
    assert services.find_service(text) in {*SERVICE_TYPES, ""}
