"""What calls learn of keys, written beside them: nobody on the phone waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from voice_server.vault.choice import KeyChoice, KeyChooser

_NOTES_MOST: Final = 1_000  # under way; a database that is so slow learns of later ones

log = logging.getLogger(__name__)


class KeyNotes:
    """Takes notes without waiting. `close` waits for those under way."""

    __slots__ = ("_chooser", "_notes")

    def __init__(self, chooser: KeyChooser) -> None:
        self._chooser = chooser
        self._notes: set[asyncio.Task[None]] = set()

    def used(self, user_id: str, choice: KeyChoice) -> None:
        """A call of the tenant works with the key; told once a call."""
        self._take(self._chooser.used(user_id, choice))

    def refused(self, user_id: str, choice: KeyChoice) -> None:
        """A provider does not accept the key."""
        self._take(self._chooser.refused(user_id, choice))

    async def close(self) -> None:
        """Wait until everything told so far is written, or given up by the database."""
        while self._notes:
            await asyncio.wait(self._notes)

    def _take(self, note: Coroutine[Any, Any, None]) -> None:
        if len(self._notes) >= _NOTES_MOST:
            note.close()
            log.warning("a note of a key is dropped: too many wait for the database")
            return
        task = asyncio.ensure_future(note)
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)
