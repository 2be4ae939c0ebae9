from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.twilio.carrier import Edge, serving, settings


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    """A server that checks signatures."""
    async with serving(settings()) as running:
        yield running
