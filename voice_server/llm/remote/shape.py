"""Reads what a provider sent without trusting its shape."""

from __future__ import annotations

from typing import Any


def entry(of: object, name: str) -> Any:
    """A field of a JSON object; None where there is no such field, or no object."""
    return of.get(name) if isinstance(of, dict) else None
