"""Text as Postgres takes it."""

from __future__ import annotations

import msgspec


def as_json(value: object) -> str:
    """A value as JSON text."""
    return msgspec.json.encode(value).decode()


def clean(text: str) -> str:
    """Postgres text holds neither NUL nor half a surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def clean_json(text: str) -> str:
    """The same for JSON text, where a NUL hides behind its escape."""
    return text.replace("\\u0000", "\\ufffd")
