from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.db.server import database, fastest_disk, pool, template  # noqa: F401

_HERE = Path(__file__).parent
_NEEDS_NO_SERVER = {"test_public.py"}


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder for an embedded server of the test's own, with a path of usual length."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir=fastest_disk()) as folder:
        Path(folder).chmod(0o755)  # as root, the server runs as another user
        yield Path(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents and item.path.name not in _NEEDS_NO_SERVER:
            item.add_marker(pytest.mark.postgres)
