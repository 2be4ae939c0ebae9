from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from db import Pool, PostgresDials
from tests.db.server import database, pool, template  # noqa: F401
from tests.db.tenants import add_tenants


@pytest.fixture
async def dials(pool: Pool) -> AsyncIterator[PostgresDials]:  # noqa: F811
    """Intents in a database of the test's own, with Anna and her agent."""
    await add_tenants(pool)
    return PostgresDials(pool)
