"""Security rules of a Realtime Database: the part of their language that ours are written in.

Anything else in an expression is an error when the rules are loaded, never a silent "yes".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from voice_server.testing.lab.firebase_tree import Path, Tree, child_of, value_at

Scope: TypeAlias = Mapping[str, Any]
Expression: TypeAlias = Callable[[Scope], Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<name>[$A-Za-z_][\w$]*)|(?P<sign>===|!==|==|!=|<=|>=|&&|\|\||[-+!<>().,\[\]]))"
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_VARIABLES = ("auth", "now", "root", "data", "newData")
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",),
    ("&&",),
    ("===", "!==", "==", "!="),
    ("<=", ">=", "<", ">"),
    ("+", "-"),
)


class RulesError(ValueError):
    """The rules cannot be loaded."""


class _Wrong(Exception):
    """An expression went wrong while it was evaluated: its rule says no."""


class Snapshot:
    """`data`, `newData` and `root` of an expression."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def call(self, method: str, arguments: list[Any]) -> Any:
        """Answer one of the methods that rules may use."""
        match method, arguments:
            case "val", []:
                return None if isinstance(self._tree, dict) else self._tree
            case "exists", []:
                return self._tree is not None
            case "child", [str() as path]:
                return Snapshot(value_at(self._tree, path.split("/")))
            case "hasChild", [str() as path]:
                return value_at(self._tree, path.split("/")) is not None
            case "hasChildren", []:
                return isinstance(self._tree, dict)
            case "hasChildren", [list() as keys]:
                return all(child_of(self._tree, key) is not None for key in keys)
            case "isString", []:
                return isinstance(self._tree, str)
            case "isNumber", []:
                return isinstance(self._tree, int | float) and not isinstance(self._tree, bool)
            case "isBoolean", []:
                return isinstance(self._tree, bool)
        raise _Wrong(method)


class _Parser:
    """Recursive descent, one method per kind of thing; builds functions of a scope."""

    def __init__(self, source: str, variables: set[str]) -> None:
        self._source = source
        self._variables = variables
        self._tokens = list(self._split(source))
        self._at = 0

    def _split(self, source: str) -> Iterator[tuple[str, str]]:
        at, end = 0, len(source.rstrip())
        while at < end:
            found = _TOKEN.match(source, at)
            if found is None:
                raise RulesError(f"cannot read {source[at:]!r} in {source!r}")
            yield str(found.lastgroup), found[str(found.lastgroup)]
            at = found.end()

    def parse(self) -> Expression:
        """The whole expression."""
        expression = self._binary(0)
        if self._at < len(self._tokens):
            raise RulesError(f"too much in {self._source!r}")
        return expression

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, wanted: str = "") -> tuple[str, str]:
        if not self._peek() or (wanted and self._peek() != wanted):
            raise RulesError(f"{wanted or 'something'} is missing in {self._source!r}")
        self._at += 1
        return self._tokens[self._at - 1]

    def _binary(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self._peek() in _LEVELS[level]:
            sign = self._take()[1]
            left = _operation(sign, left, self._binary(level + 1))
        return left

    def _unary(self) -> Expression:
        if self._peek() == "!":
            self._take()
            inner = self._unary()
            return lambda scope: not _truth(inner(scope))
        return self._postfix(self._primary())

    def _primary(self) -> Expression:
        kind, text = self._take()
        if kind == "text":
            return lambda _: text[1:-1]
        if kind == "number":
            return lambda _: float(text)
        if text == "(":
            inner = self._binary(0)
            self._take(")")
            return inner
        if text == "[":
            items = self._arguments("]")
            return lambda scope: [item(scope) for item in items]
        if text in _CONSTANTS:
            return lambda _: _CONSTANTS[text]
        if kind == "name" and text in self._variables:
            return lambda scope: scope[text]
        raise RulesError(f"{text!r} is not known in {self._source!r}")

    def _arguments(self, closing: str) -> list[Expression]:
        items: list[Expression] = []
        while self._peek() != closing:
            items.append(self._binary(0))
            if self._peek() != closing:
                self._take(",")
        self._take(closing)
        return items

    def _postfix(self, value: Expression) -> Expression:
        while self._peek() in (".", "["):
            if self._take()[1] == "[":
                key = self._binary(0)
                self._take("]")
                value = _property(value, key)
                continue
            name = self._take()[1]
            if self._peek() == "(":
                self._take()
                value = _call(value, name, self._arguments(")"))
            else:
                value = _property(value, _always(name))
        return value


def _always(value: Any) -> Expression:
    return lambda _: value


def _property(value: Expression, key: Expression) -> Expression:
    def read(scope: Scope) -> Any:
        owner, name = value(scope), key(scope)
        if isinstance(owner, str) and name == "length":
            return len(owner)
        if not isinstance(owner, dict):
            raise _Wrong(name)
        return owner.get(name)

    return read


def _call(value: Expression, name: str, arguments: list[Expression]) -> Expression:
    def call(scope: Scope) -> Any:
        owner = value(scope)
        given = [argument(scope) for argument in arguments]
        if isinstance(owner, Snapshot):
            return owner.call(name, given)
        if isinstance(owner, str) and len(given) == 1 and isinstance(given[0], str):
            tests = {"contains": owner.__contains__, "beginsWith": owner.startswith}
            if name in tests:
                return tests[name](given[0])
        raise _Wrong(name)

    return call


def _operation(sign: str, left: Expression, right: Expression) -> Expression:
    match sign:
        case "||":
            return lambda scope: _truth(left(scope)) or _truth(right(scope))
        case "&&":
            return lambda scope: _truth(left(scope)) and _truth(right(scope))
        case "===" | "==":
            return lambda scope: _same(left(scope), right(scope))
        case "!==" | "!=":
            return lambda scope: not _same(left(scope), right(scope))
    return lambda scope: _arithmetic(sign, left(scope), right(scope))


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("a condition must be true or false")
    return value


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return bool(left == right)


def _arithmetic(sign: str, left: Any, right: Any) -> Any:
    texts = isinstance(left, str) and isinstance(right, str)
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (left, right))
    if not (numbers or (texts and sign != "-")):
        raise _Wrong(sign)
    signs: dict[str, Callable[[], Any]] = {
        "<": lambda: left < right,
        ">": lambda: left > right,
        "<=": lambda: left <= right,
        ">=": lambda: left >= right,
        "+": lambda: left + right,
        "-": lambda: left - right,
    }
    return signs[sign]()


class _Place:
    """The rules of one location, and of those below it."""

    def __init__(self, rules: Mapping[str, Any], variables: set[str]) -> None:
        self.tests: dict[str, Expression] = {}
        self.index: tuple[str, ...] = ()
        self.children: dict[str, _Place] = {}
        for key, value in rules.items():
            if key in (".read", ".write", ".validate"):
                self.tests[key] = _compiled(value, variables)
            elif key == ".indexOn":
                self.index = (value,) if isinstance(value, str) else tuple(value)
            elif key.startswith("."):
                raise RulesError(f"{key} is not known")
            else:
                more = {key} if key.startswith("$") else set()
                self.children[key] = _Place(value, variables | more)

    def step(self, key: str) -> tuple[_Place | None, dict[str, str]]:
        """The rules of a child, and the variable that its name is bound to."""
        if key in self.children:
            return self.children[key], {}
        for name, place in self.children.items():
            if name.startswith("$"):
                return place, {name: key}
        return None, {}

    def allows(self, kind: str, scope: Scope, otherwise: bool) -> bool:
        """Whether a rule says yes; `otherwise` where there is none."""
        if kind not in self.tests:
            return otherwise
        try:
            return _truth(self.tests[kind](scope))
        except _Wrong:
            return False


def _compiled(rule: Any, variables: set[str]) -> Expression:
    if isinstance(rule, bool):
        return lambda _: rule
    return _Parser(rule, variables).parse()


class Rules:
    """Loaded rules; `document` is the file's content. Raises `RulesError`."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._top = _Place(document["rules"], set(_VARIABLES))

    def may_read(self, path: Path, auth: Any, root: Tree, now_ms: int) -> bool:
        """Whether a rule at the path or above it grants reading."""
        return self._granted(".read", path, auth, root, root, now_ms)

    def may_write(self, path: Path, auth: Any, root: Tree, after: Tree, now_ms: int) -> bool:
        """Whether a write is granted there or above, and its result valid all the way."""
        return self._granted(".write", path, auth, root, after, now_ms) and self._valid(
            path, auth, root, after, now_ms
        )

    def indexed(self, path: Path, child: str) -> bool:
        """Whether the children of a path may be queried by one of theirs."""
        places = [place for place, _, _ in self._walk(path)]
        return len(places) > len(path) and child in places[-1].index

    def _walk(self, path: Path) -> Iterator[tuple[_Place, Path, dict[str, str]]]:
        place: _Place | None = self._top
        bound: dict[str, str] = {}
        for depth in range(len(path) + 1):
            if place is None:
                return
            yield place, path[:depth], dict(bound)
            if depth < len(path):
                place, more = place.step(path[depth])
                bound |= more

    def _granted(
        self, kind: str, path: Path, auth: Any, root: Tree, after: Tree, now_ms: int
    ) -> bool:
        return any(
            place.allows(kind, _scope(bound, at, auth, root, after, now_ms), otherwise=False)
            for place, at, bound in self._walk(path)
        )

    def _valid(self, path: Path, auth: Any, root: Tree, after: Tree, now_ms: int) -> bool:
        def holds(place: _Place, at: Path, bound: dict[str, str]) -> bool:
            if value_at(after, at) is None:  # deleting needs no permission but to write
                return True
            scope = _scope(bound, at, auth, root, after, now_ms)
            return place.allows(".validate", scope, otherwise=True)

        def below(place: _Place, at: Path, bound: dict[str, str]) -> bool:
            tree = value_at(after, at)
            for key in tree if isinstance(tree, dict) else ():
                child, more = place.step(key)
                if child is not None:
                    there = (child, (*at, key), bound | more)
                    if not (holds(*there) and below(*there)):
                        return False
            return True

        walked = list(self._walk(path))
        if not all(holds(*step) for step in walked):
            return False
        return len(walked) <= len(path) or below(*walked[-1])


def _scope(
    bound: dict[str, str], at: Path, auth: Any, root: Tree, after: Tree, now_ms: int
) -> Scope:
    return {
        **bound,
        "auth": auth,
        "now": now_ms,
        "root": Snapshot(root),
        "data": Snapshot(value_at(root, at)),
        "newData": Snapshot(value_at(after, at)),
    }
