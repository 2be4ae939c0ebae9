"""The data of a simulated Realtime Database: a tree of JSON, with its odd habits."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

Tree: TypeAlias = Any  # dicts with text keys, leaves of text, numbers and truth; None = nothing
Path: TypeAlias = tuple[str, ...]

_FORBIDDEN = re.compile(r"[.#$\[\]/\x00-\x1f\x7f]")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_KEY_BYTES_MOST = 768
_DEPTH_MOST = 32
_PUSH_ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


class BadData(Exception):
    """What a client sent cannot be stored; the text is the answer's `error`."""


def path_of(text: str) -> Path:
    """The segments of a path; raises `BadData`."""
    path = tuple(segment for segment in text.split("/") if segment)
    if len(path) > _DEPTH_MOST:
        raise BadData("Path is too deep")
    for key in path:
        _check_key(key)
    return path


def _check_key(key: str) -> None:
    if not key or _FORBIDDEN.search(key) or len(key.encode()) > _KEY_BYTES_MOST:
        raise BadData(f"Invalid path or key: {key[:40]!r}")


def stored(value: Any, old: Tree, now_ms: int) -> Tree:
    """A value as the database keeps it: no nulls, no empty containers, no lists."""
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, dict):
        return value
    if ".sv" in value:
        return _server_value(value[".sv"], old, now_ms)
    if ".value" in value:
        return value[".value"]
    kept = {}
    for key, item in value.items():
        if key == ".priority":
            continue
        _check_key(key)
        child = stored(item, child_of(old, key), now_ms)
        if child is not None:
            kept[key] = child
    return kept or None


def _server_value(wanted: Any, old: Tree, now_ms: int) -> Tree:
    if wanted == "timestamp":
        return now_ms
    if isinstance(wanted, dict) and isinstance(step := wanted.get("increment"), int | float):
        is_number = isinstance(old, int | float) and not isinstance(old, bool)
        return old + step if is_number else step
    raise BadData("Invalid server value")


def child_of(tree: Tree, key: str) -> Tree:
    """The child, None where there is none."""
    return tree.get(key) if isinstance(tree, dict) else None


def value_at(tree: Tree, path: Iterable[str]) -> Tree:
    """What lies at a path."""
    for key in path:
        tree = child_of(tree, key)
    return tree


def replaced(tree: Tree, path: Path, value: Tree) -> Tree:
    """A tree with another value at a path; the old one is not changed, but partly shared."""
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else {}
    child = replaced(copy.get(path[0]), path[1:], value)
    if child is None:
        copy.pop(path[0], None)
    else:
        copy[path[0]] = child
    return copy or None


def separate(updates: Mapping[Path, Any]) -> None:
    """Raise `BadData` when one path of an update lies below another."""
    for path in updates:
        for length in range(len(path)):
            if path[:length] in updates:
                raise BadData("Path is an ancestor of another path of the same update")


def shown(tree: Tree) -> Any:
    """A tree as JSON: what looks like a list comes back as one."""
    if not isinstance(tree, dict):
        return tree
    if all(_INDEX.fullmatch(key) for key in tree):
        last = max(map(int, tree))
        if len(tree) * 2 > last:
            return [shown(tree.get(str(index))) for index in range(last + 1)]
    return {key: shown(tree[key]) for key in sorted(tree, key=key_order)}


def shallow(tree: Tree) -> Any:
    """The keys alone; a leaf as it is."""
    return dict.fromkeys(sorted(tree, key=key_order), True) if isinstance(tree, dict) else tree


def key_order(key: str) -> tuple[int, int, str]:
    """Keys that are numbers come first, in their order."""
    return (0, int(key), "") if _INDEX.fullmatch(key) else (1, 0, key)


def etag(tree: Tree) -> str:
    """Changes with the value."""
    if tree is None:
        return "null_etag"
    canonical = msgspec.json.encode(tree, order="deterministic")
    return hashlib.sha256(canonical).hexdigest()[:28]


def push_id(now_ms: int) -> str:
    """20 characters in the order of time: 8 of the time, 12 at random."""
    letters = []
    for _ in range(8):
        now_ms, digit = divmod(now_ms, 64)
        letters.append(_PUSH_ALPHABET[digit])
    return "".join(reversed(letters)) + "".join(secrets.choice(_PUSH_ALPHABET) for _ in range(12))


class Query(msgspec.Struct, frozen=True):
    """`orderBy` and its companions; values are decoded JSON, `MISSING` where not given."""

    order_by: str
    start_at: Any = None
    end_at: Any = None
    equal_to: Any = None
    first: int = 0
    last: int = 0

    def answer(self, tree: Tree) -> Any:
        """The chosen children, in the order of their keys as REST gives them."""
        if not isinstance(tree, dict):
            return {} if tree is None else tree
        ranked = sorted(tree, key=lambda key: (self._rank(key, tree[key]), key_order(key)))
        chosen = [key for key in ranked if self._within(self._rank(key, tree[key]))]
        if self.first:
            chosen = chosen[: self.first]
        if self.last:
            chosen = chosen[-self.last :]
        return {key: shown(tree[key]) for key in sorted(chosen, key=key_order)}

    def _rank(self, key: str, value: Tree) -> tuple[int, Any]:
        if self.order_by == "$key":
            return rank(key)
        if self.order_by == "$value":
            return rank(value)
        if self.order_by == "$priority":
            return rank(None)
        return rank(value_at(value, self.order_by.split("/")))

    def _within(self, place: tuple[int, Any]) -> bool:
        if self.equal_to is not None and place != rank(self.equal_to):
            return False
        if self.start_at is not None and place < rank(self.start_at):
            return False
        return self.end_at is None or place <= rank(self.end_at)


def rank(value: Tree) -> tuple[int, Any]:
    """Nothing, false, true, numbers, texts, the rest: the order of a query."""
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 2 if value else 1, 0
    if isinstance(value, int | float):
        return 3, value
    return (4, value) if isinstance(value, str) else (5, 0)
