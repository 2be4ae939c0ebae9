"""A database for one run of a benchmark."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import db
from db import EmbeddedPostgres

# It is thrown away: nothing of it needs to survive a crash.
_FAST: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextmanager
def throwaway_database() -> Iterator[tuple[Path, str]]:
    """A folder, and the URL of a database in it with the demo tenant; both go in the end."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, the database runs as another user
        with EmbeddedPostgres(folder / "postgres", options=_FAST) as server:
            asyncio.run(_furnish(server.dsn))
            yield folder / "data", server.dsn


async def _furnish(url: str) -> None:
    await db.migrate(url)
    pool = await db.open_pool(url, size=1)
    await db.seed_demo(pool)
    await pool.close()
