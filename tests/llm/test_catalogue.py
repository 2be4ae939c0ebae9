"""The catalogue of models: who is alive, who comes after, what each takes."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import db
from voice_server.errors import ConfigurationError
from voice_server.llm.catalogue import DEFAULTS, PROVIDERS, Catalogue, ModelCard, read, shipped

LAST_DAY = date(2027, 1, 13)
GONE = date(2027, 1, 14)


def test_the_default_model_of_agents_works_until_it_is_shut_down():
    choice = shipped().resolve("gpt-4o-mini", LAST_DAY)
    assert (choice.card.id, choice.model, choice.warning) == ("gpt-4o-mini", "gpt-4o-mini", "")


def test_afterwards_its_successor_answers_with_a_warning():
    choice = shipped().resolve("gpt-4o-mini", GONE)
    assert choice.card.id == choice.model == "gpt-6-luna"
    assert choice.warning == "gpt-4o-mini is retired; gpt-6-luna answers in its place"


def test_a_pinned_snapshot_goes_over_the_wire_and_is_booked_as_its_model():
    choice = shipped().resolve("gpt-4o-mini-2024-07-18", LAST_DAY)
    assert choice.model == "gpt-4o-mini-2024-07-18"
    assert choice.card.id == "gpt-4o-mini"


@pytest.mark.parametrize(
    ("model", "on", "answers"),
    [
        ("claude-sonnet-4-5", date(2026, 11, 29), "claude-sonnet-4-5"),
        ("claude-sonnet-4-5", date(2026, 11, 30), "claude-sonnet-5"),
        ("gpt-5-mini", date(2026, 12, 10), "gpt-5-mini"),
        ("gpt-5-mini", date(2026, 12, 11), "gpt-6-luna"),
        ("gpt-5.1", date(2027, 4, 1), "gpt-6.1-terra"),
        ("gpt-3.5-turbo", date(2026, 11, 22), "gpt-6-luna"),
        ("o3", date(2026, 12, 11), "gpt-6.1-terra"),
        ("models/gemini-3.8-flash", date(2026, 11, 22), "gemini-3.8-flash"),
        ("gemini-3.1-flash-lite", date(2027, 5, 7), "gemini-3.5-flash-lite"),
        ("grok-4-fast", date(2026, 11, 22), "grok-4.20-non-reasoning"),
        (" gpt-6-luna ", date(2026, 11, 22), "gpt-6-luna"),
    ],
)
def test_shutdown_dates(model, on, answers):
    assert shipped().resolve(model, on).model == answers


@pytest.mark.parametrize(
    ("model", "provider"),
    [("gpt-9", "openai"), ("claude-9", "anthropic"), ("gemini-9", "google"), ("grok-9", "grok")],
)
def test_a_model_nobody_described_gets_only_what_every_model_takes(model, provider):
    choice = shipped().resolve(model, GONE)
    card = choice.card
    assert (choice.model, card.provider) == (model, provider)
    assert not any((card.effort, card.thinking, card.temperature, card.cache_key))
    assert "basics" in choice.warning


@pytest.mark.parametrize("model", ["", "llama-3", "??", "x" * 5_000])
def test_what_is_no_model_of_anybody_gets_the_default(model):
    choice = shipped().resolve(model, GONE)
    assert choice.model == DEFAULTS["openai"]
    assert choice.warning
    assert len(choice.warning) < 200


@given(model=st.text(max_size=40), on=st.dates(date(2026, 1, 1), date(2040, 1, 1)))
def test_every_name_on_every_day_resolves_to_a_living_model(model, on):
    assert not shipped().resolve(model, on).card.retired(on)


@given(st.sampled_from(shipped().cards), st.dates(date(2026, 1, 1), date(2040, 1, 1)))
def test_every_card_on_every_day_resolves_within_its_provider(card, on):
    for name in (card.id, *card.also):
        choice = shipped().resolve(name, on)
        assert choice.card.provider == card.provider
        assert not choice.card.retired(on)


def test_every_provider_has_a_default_that_is_described_and_fast():
    for provider in PROVIDERS:
        card = shipped().resolve(DEFAULTS[provider], GONE).card
        assert card.provider == provider
        assert not card.slow
        assert card.retires is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[model]]\nid = "a"\nprovider = "nobody"', "provider"),
        ('[[model]]\nid = "a"\nprovider = "openai"\ncolour = "red"', "colour"),
        ("model = [", "catalogue"),
        ('[[model]]\nid = "a"\nprovider = "openai"\nretires = 2027-01-01', "successor"),
        ('[[model]]\nid = "a"\nprovider = "openai"\nalso = ["a"]', "twice"),
    ],
)
def test_a_wrong_catalogue_says_what_is_wrong(text, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        read(text)


def test_successors_in_a_circle_are_refused():
    on = date(2027, 1, 1)
    cards = [
        ModelCard(id="a", provider="openai", retires=on, successor="b"),
        ModelCard(id="b", provider="openai", retires=on, successor="a"),
    ]
    with pytest.raises(ConfigurationError, match="lasting successor"):
        Catalogue(cards)


def test_a_successor_at_another_provider_is_refused():
    cards = [
        ModelCard(id="a", provider="openai", retires=date(2027, 1, 1), successor="b"),
        ModelCard(id="b", provider="grok"),
    ]
    with pytest.raises(ConfigurationError, match="lasting successor"):
        Catalogue(cards)


def test_every_living_model_has_prices_for_whatever_it_books():
    folder = Path(db.__file__).parent / "migrations"
    priced = "\n".join(path.read_text("utf-8") for path in folder.glob("*.sql"))
    missing = {
        item
        for card in shipped().cards
        if not card.retired(date(2026, 11, 22)) and card.id != "o3"  # no list has its price
        for kind in kinds_booked(card)
        if f"'{(item := f'{card.provider}.{card.id}.{kind}_tokens')}'" not in priced
    }
    assert not missing


def kinds_booked(card: ModelCard) -> list[str]:
    writes = card.bills_writes or card.provider == "anthropic"
    kinds = {"cached_input": bool(card.cache_minimum), "cache_write": writes}
    return ["input", "output", *(kind for kind, booked in kinds.items() if booked)]
