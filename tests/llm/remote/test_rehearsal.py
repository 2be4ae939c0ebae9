from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from tests.llm.remote.minds import HELLO, PROVIDERS, open_desk, text_of
from voice_server.llm.remote.connection import Connection
from voice_server.llm.remote.dialects import DIALECTS

NOBODY = "http://192.0.2.1:9"  # reserved for documentation: nothing answers there


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_rehearsal_asks_the_provider_nothing(provider: str) -> None:
    async with open_desk(provider) as desk:
        await asyncio.to_thread(desk.connection.rehearse)
        assert desk.simulator.visits == []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_rehearsed_connection_answers(provider: str) -> None:
    async with open_desk(provider) as desk:
        await asyncio.to_thread(desk.connection.rehearse)
        assert text_of(await desk.ask(HELLO))
        assert len(desk.simulator.visits) == 1


def test_a_rehearsal_needs_no_network() -> None:
    for dialect in DIALECTS.values():
        Connection(dialect, "key", base_url=NOBODY, timeout_s=0.01).rehearse()


_LOADS = """
import sys
from voice_server.llm.remote.connection import Connection
from voice_server.llm.remote.dialects import DIALECTS
connection = Connection(DIALECTS["{provider}"], "key", base_url="http://192.0.2.1:9", timeout_s=1)
connection.rehearse()
assert "anyio._backends._asyncio" in sys.modules, "the first request would load it"
before = set(sys.modules)
connection.rehearse()
assert set(sys.modules) == before, set(sys.modules) - before
"""


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_what_a_first_request_loads_is_loaded_by_the_rehearsal(provider: str) -> None:
    program = _LOADS.format(provider=provider)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
