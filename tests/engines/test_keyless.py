"""A server without keys knows nothing of providers; what keys open is chosen per call."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.runtime.fakes import FACTS
from voice_server.engines.plan import LocalOnly

SDKS = ("openai", "anthropic", "elevenlabs", "firebase_admin", "cryptography")


def test_without_a_key_every_call_gets_the_very_same_engines(virtual):
    async def scene() -> None:
        services = object()
        plan = await LocalOnly(services).choose(FACTS)
        assert plan.services(lambda consumed: None) is services

    virtual(scene())


@pytest.mark.parametrize("module", ["voice_server.app", "voice_server.engines.selection"])
def test_no_sdk_is_imported_before_a_key_asks_for_it(module):
    script = f"import sys, {module}\nprint([name for name in {SDKS!r} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    allowed = ["cryptography"] if module.endswith("selection") else []  # it opens the vault
    assert set(eval(found.stdout)) <= set(allowed)
