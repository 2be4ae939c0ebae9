"""Doubles an owner of state, so that something can be tried on the twin and forgotten."""

from __future__ import annotations

import copy
from typing import Any, TypeVar, cast

T = TypeVar("T")


def fork(owner: T) -> T:
    """Return a twin that changes apart from its original, for owners with `__slots__`.

    Containers are copied, the values in them shared: those must not change. An owner of state
    inside another takes part by having this function as its `__copy__`.
    """
    twin: Any = object.__new__(type(owner))
    for name in cast(Any, owner).__slots__:
        setattr(twin, name, copy.copy(getattr(owner, name)))
    return cast(T, twin)
