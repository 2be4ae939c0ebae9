"""What the models we know accept and until when they live, read from `catalogue.toml`.

An agent may name any model. One that is retired is answered by its successor, one that nobody
has described is treated with care: it is sent only what every model takes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import date
from importlib import resources
from typing import Literal, TypeAlias

import msgspec

from voice_server.errors import ConfigurationError

Provider: TypeAlias = Literal["openai", "anthropic", "google", "grok"]
PROVIDERS: tuple[Provider, ...] = ("openai", "anthropic", "google", "grok")
DEFAULTS: dict[Provider, str] = {
    "openai": "gpt-6-luna",
    "anthropic": "claude-haiku-5-5",
    "google": "gemini-3.5-flash-lite",
    "grok": "grok-4.20-non-reasoning",
}
_PREFIXES: tuple[tuple[str, Provider], ...] = (
    ("claude", "anthropic"),
    ("gemini", "google"),
    ("grok", "grok"),
    ("gpt", "openai"),
    ("chatgpt", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
)


class ModelCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model; the fields are explained in `catalogue.toml`."""

    id: str
    provider: Provider
    effort: str = ""
    thinking: str = ""
    temperature: bool = False
    max_tokens: str = "max_completion_tokens"
    cache_minimum: int = 0
    cache_key: bool = False
    bills_writes: bool = False
    slow: bool = False
    retires: date | None = None
    successor: str = ""
    also: tuple[str, ...] = ()

    def retired(self, on: date) -> bool:
        """Requests of that day fail."""
        return self.retires is not None and on >= self.retires


class Choice(msgspec.Struct, frozen=True):
    """What to ask for. `model` goes over the wire: a spelling asked for may pin a snapshot.

    Costs are booked under the card's id. `warning` says why it is not what was asked for, "" if
    it is.
    """

    card: ModelCard
    model: str
    warning: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    model: tuple[ModelCard, ...]


class Catalogue:
    """All model cards, by id and by other spelling."""

    __slots__ = ("_cards", "_names")

    def __init__(self, cards: Iterable[ModelCard]) -> None:
        """Raises `ConfigurationError` for ids given twice and successors nobody knows."""
        self._cards = tuple(cards)
        self._names: dict[str, ModelCard] = {}
        for card in self._cards:
            for name in (card.id, *card.also):
                if name in self._names:
                    raise ConfigurationError(f"catalogue: {name} is described twice; keep one")
                self._names[name] = card
        for card in self._cards:
            if card.retires and not self._ends_well(card):
                raise ConfigurationError(
                    f"catalogue: {card.id} retires without a lasting successor; name one"
                )

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Every card, in the order of the file."""
        return self._cards

    def resolve(self, model: str, on: date) -> Choice:
        """The model to ask on a day in place of `model`; never fails."""
        name = model.strip().removeprefix("models/")
        card = self._names.get(name)
        if card is None:
            return _unknown(name)
        while card.retired(on):
            card = self._names[card.successor]
        if name == card.id or name in card.also:
            return Choice(card, name)
        return Choice(card, card.id, f"{name} is retired; {card.id} answers in its place")

    def _ends_well(self, card: ModelCard) -> bool:
        seen: set[str] = set()
        while card.retires is not None:
            following = self._names.get(card.successor)
            if following is None or card.id in seen or following.provider != card.provider:
                return False
            seen.add(card.id)
            card = following
        return True


def _unknown(name: str) -> Choice:
    for prefix, provider in _PREFIXES:
        if name.lower().startswith(prefix):
            limit = "max_completion_tokens" if provider == "openai" else "max_tokens"
            card = ModelCard(id=name, provider=provider, max_tokens=limit)
            return Choice(
                card, name, f"{_shown(name)} is not in the catalogue; only basics are sent"
            )
    return Choice(
        ModelCard(id=DEFAULTS["openai"], provider="openai", effort="none"),
        DEFAULTS["openai"],
        f"{_shown(name)} is no model of a known provider; {DEFAULTS['openai']} answers instead",
    )


def _shown(name: str) -> str:
    return name[:60] if name else "an empty model name"


def read(text: str) -> Catalogue:
    """Parse a catalogue; raises `ConfigurationError` that says what is wrong where."""
    try:
        return Catalogue(msgspec.toml.decode(text, type=_File).model)
    except msgspec.MsgspecError as error:
        raise ConfigurationError(f"catalogue: {error}") from None


@functools.cache
def shipped() -> Catalogue:
    """The catalogue that comes with the server."""
    return read(resources.files(__package__).joinpath("catalogue.toml").read_text("utf-8"))
