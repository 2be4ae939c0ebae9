from __future__ import annotations

from pathlib import Path

import pytest

from tests.db.server import database, pool, template  # noqa: F401

_HERE = Path(__file__).parent
_NEEDS_NO_SERVER = {"test_rows.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents and item.path.name not in _NEEDS_NO_SERVER:
            item.add_marker(pytest.mark.postgres)
