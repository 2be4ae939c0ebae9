"""What a reply costs in tokens: as the provider tells it, or as near as can be guessed.

A stream that was cut never tells its usage, yet the provider bills it. By rule a question that
left counts as read and a piece that came as written, unless the provider refused while we were
listening. The input is reckoned from the size of the question, corrected by what the provider
said about the one before, and split by what it has seen of its beginning; the output is what was
received.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from voice_server.call.events import Consumed
from voice_server.llm.catalogue import ModelCard
from voice_server.llm.remote.shape import entry

_BYTES_PER_TOKEN = 4  # a usual mean for English and JSON
_PREFIXES_KEPT = 20_000
_SCOPES_KEPT = 1_000
_CACHE_STEP = 128  # OpenAI counts cached tokens in such steps [unverified]


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one reply; the four kinds do not overlap."""

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    estimated: bool = False


def book(spend: Callable[[Consumed], None], card: ModelCard, usage: Usage) -> None:
    """Book a reply; an estimate also books one `estimated_replies`, which has no price."""
    prefix = f"{card.provider}.{card.id}"
    for kind in ("input", "cached_input", "cache_write", "output"):
        if quantity := getattr(usage, kind):
            spend(Consumed(f"{prefix}.{kind}_tokens", quantity))
    if usage.estimated:
        spend(Consumed(f"{prefix}.estimated_replies", 1))


def from_openai(usage: Any) -> Usage | None:
    """Read the `usage` of a chat completion; None when it holds no counts.

    Cached and written tokens are part of the prompt tokens. Grok's reasoning may stand outside
    the completion tokens, so the output is what the total holds beyond the prompt.
    """
    prompt = _count(usage, "prompt_tokens")
    completion = _count(usage, "completion_tokens")
    if not prompt and not completion:
        return None
    details = entry(usage, "prompt_tokens_details")
    cached = min(prompt, _count(details, "cached_tokens"))
    written = min(prompt - cached, _count(details, "cache_write_tokens"))
    output = max(completion, _count(usage, "total_tokens") - prompt)
    return Usage(prompt - cached - written, cached, written, output)


def from_anthropic(usage: Any, output: int) -> Usage:
    """Read the input's `usage` of a message; here cached tokens stand beside the input tokens.

    The output tokens it tells at the start are a placeholder, those at the end are `output`.
    """
    return Usage(
        input=_count(usage, "input_tokens"),
        cached_input=_count(usage, "cache_read_input_tokens"),
        cache_write=_count(usage, "cache_creation_input_tokens"),
        output=output,
    )


def _count(holder: Any, field: str) -> int:
    value = entry(holder, field)
    return value if isinstance(value, int) and value > 0 else 0


def tokens_in(size: int) -> int:
    """Tokens in so many bytes or characters, roughly; every started one counts."""
    return -(-size // _BYTES_PER_TOKEN)


def weigh(parts: Sequence[Any]) -> tuple[int, ...]:
    """The rough tokens of each part (message, tool list) of a request."""
    return tuple(tokens_in(len(msgspec.json.encode(part))) for part in parts)


class OutputCount:
    """Counts the output of a stream while it comes: a delta carries a token or more."""

    __slots__ = ("_deltas", "_sizes")

    def __init__(self) -> None:
        self._deltas = 0
        self._sizes: dict[object, int] = {}

    def text(self, piece: str, block: object = "text") -> None:
        """Some more of a block: the text, or the arguments of one tool call."""
        if piece:
            self._deltas += 1
            self._sizes[block] = self._sizes.get(block, 0) + len(piece)

    def tool(self) -> None:
        """A tool call began: its name costs a token."""
        self._deltas += 1
        self._sizes[("name", self._deltas)] = 1

    @property
    def characters(self) -> int:
        """All characters so far."""
        return sum(self._sizes.values())

    @property
    def tokens(self) -> int:
        """The tokens so far, roughly."""
        return max(self._deltas, sum(map(tokens_in, self._sizes.values())))


class PromptMemory:
    """Which beginnings of prompts a provider has seen lately. One per key, shared by calls."""

    __slots__ = ("_errors", "_prefixes")

    def __init__(self) -> None:
        self._prefixes: OrderedDict[int, None] = OrderedDict()
        self._errors: OrderedDict[str, int] = OrderedDict()

    def error(self, scope: str) -> int:
        """By how many tokens our reckoning of a prompt was short the last time."""
        return self._errors.get(scope, 0)

    def learn(self, scope: str, error: int) -> None:
        """The provider told the true size of a prompt."""
        self._errors[scope] = error
        self._errors.move_to_end(scope)
        while len(self._errors) > _SCOPES_KEPT:
            self._errors.popitem(last=False)

    def known(self, scope: str, parts: Sequence[Any], weights: Sequence[int]) -> int:
        """Rough tokens at the beginning that were sent before."""
        known = total = 0
        for prefix, weight in zip(_chain(scope, parts), weights, strict=True):
            total += weight
            if prefix in self._prefixes:
                self._prefixes.move_to_end(prefix)
                known = total
        return known

    def remember(self, scope: str, parts: Sequence[Any]) -> Sequence[int]:
        """These parts were sent; returns what is new, for `forget`. The oldest go in time."""
        prefixes = _chain(scope, parts)
        fresh = [prefix for prefix in prefixes if prefix not in self._prefixes]
        for prefix in prefixes:
            self._prefixes[prefix] = None
            self._prefixes.move_to_end(prefix)
        while len(self._prefixes) > _PREFIXES_KEPT:
            self._prefixes.popitem(last=False)
        return fresh

    def forget(self, fresh: Sequence[int]) -> None:
        """The provider did not read them after all."""
        for prefix in fresh:
            self._prefixes.pop(prefix, None)


def _chain(scope: str, parts: Sequence[Any]) -> list[int]:
    prefixes = []
    prefix = hash(scope)
    for part in parts:
        prefix = hash((prefix, msgspec.json.encode(part)))
        prefixes.append(prefix)
    return prefixes


def split_openai(card: ModelCard, total: int, known: int) -> tuple[int, int, int]:
    """Input, cached and written tokens of a prompt whose beginning was seen before."""
    least = card.cache_minimum
    cached = known // _CACHE_STEP * _CACHE_STEP if least and known >= least else 0
    cached = min(cached, total)
    written = total - cached if card.bills_writes and least and total >= least else 0
    return total - cached - written, cached, written


def split_anthropic(card: ModelCard, total: int, known: int) -> tuple[int, int, int]:
    """The same for prompts whose last block is marked for caching."""
    least = card.cache_minimum
    if not least or total < least:
        return total, 0, 0
    cached = min(known, total) if known >= least else 0
    return 0, cached, total - cached
