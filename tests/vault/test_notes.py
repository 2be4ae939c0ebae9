"""Notes of keys are taken beside the calls: nobody waits, nothing is lost, nothing piles up."""

from __future__ import annotations

import asyncio
import logging

import pytest
from pydantic import SecretStr

from voice_server.provider_settings import Provider
from voice_server.vault import KeyChoice, KeyNotes

CHOICE = KeyChoice(Provider.OPENAI, SecretStr("sk-notes-0001"), "tenant")


class SlowChooser:
    """Writes when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.written: list[tuple[str, str]] = []

    async def used(self, user_id: str, choice: KeyChoice) -> None:
        await self.open.wait()
        self.written.append(("used", user_id))

    async def refused(self, user_id: str, choice: KeyChoice) -> None:
        await self.open.wait()
        self.written.append(("refused", user_id))


async def test_notes_are_written_later_and_closing_waits_for_them() -> None:
    chooser = SlowChooser()
    notes = KeyNotes(chooser)
    notes.used("anna", CHOICE)
    notes.refused("bert", CHOICE)
    await asyncio.sleep(0)
    assert chooser.written == []
    chooser.open.set()
    await notes.close()
    assert chooser.written == [("used", "anna"), ("refused", "bert")]


async def test_when_too_many_wait_for_the_database_the_newest_is_dropped_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    chooser = SlowChooser()
    notes = KeyNotes(chooser)
    with caplog.at_level(logging.WARNING):
        for number in range(1_001):
            notes.used(str(number), CHOICE)
    assert "dropped" in caplog.text
    assert "sk-notes" not in caplog.text
    chooser.open.set()
    await notes.close()
    assert len(chooser.written) == 1_000
