from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.twilio.carrier import Edge, serving, settings


@pytest.fixture(autouse=True)
def no_tracebacks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing a peer does may surface as an error of the server's own."""
    yield
    records = caplog.get_records("setup") + caplog.get_records("call")
    assert [record for record in records if record.name.startswith("uvicorn")
            and record.levelno >= logging.ERROR] == []  # fmt: skip


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    """A server that checks signatures."""
    async with serving(settings()) as running:
        yield running
