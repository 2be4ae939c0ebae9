from __future__ import annotations

import pytest

from tests.db.server import database, pool, template  # noqa: F401

_NEED_A_DATABASE = {"test_tenant_keys.py", "test_choice.py", "test_cli.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "vault" and item.path.name in _NEED_A_DATABASE:
            item.add_marker(pytest.mark.postgres)
