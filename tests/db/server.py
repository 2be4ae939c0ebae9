"""One embedded Postgres for all tests, and a fresh migrated database for each.

Fixtures for other packages: `from tests.db.server import database, template  # noqa: F401`.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from db import EmbeddedPostgres, Pool, migrate, open_pool

_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",  # every test has a pool of its own
}
_numbers = itertools.count(1)


@functools.cache
def shared_server() -> EmbeddedPostgres:
    """The server of this test process; it ends with it."""
    home = tempfile.TemporaryDirectory(prefix="pg-", dir=fastest_disk())
    Path(home.name).chmod(0o755)  # as root, the server runs as another user
    server = EmbeddedPostgres(Path(home.name), options=_FAST).start()
    atexit.register(home.cleanup)
    atexit.register(server.stop)
    return server


def fastest_disk() -> str | None:
    """Memory where there is enough: making a database takes 20 ms there, on a disk 300."""
    memory = "/dev/shm"
    roomy = os.path.isdir(memory) and shutil.disk_usage(memory).free > 2 * 1024**3
    return memory if roomy and os.access(memory, os.W_OK) else None


def in_database(dsn: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def execute(dsn: str, *statements: str) -> None:
    """Run statements as superuser, outside of any transaction."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fetch(dsn: str, query: str, *arguments: Any) -> list[Any]:
    """Ask as superuser."""
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()


async def empty_database(dsn: str, template_name: str = "template1") -> str:
    """Make a database and return its URL."""
    name = f"test_{next(_numbers)}"
    await execute(dsn, f"CREATE DATABASE {name} TEMPLATE {template_name} STRATEGY FILE_COPY")
    return in_database(dsn, name)


@functools.cache
def migrated_template() -> str:
    """The name of a database with the whole schema and no rows of its own."""
    server = shared_server()

    async def build() -> None:
        await execute(server.dsn, "CREATE DATABASE migrated")
        await migrate(in_database(server.dsn, "migrated"))

    asyncio.run(build())
    return "migrated"


@pytest.fixture(scope="session")
def template() -> str:
    """The migrated template; built outside of any test's event loop."""
    return migrated_template()


@pytest.fixture
async def database(template: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database."""
    server = shared_server()
    dsn = await empty_database(server.dsn, template)
    yield dsn
    name = urlsplit(dsn).path.lstrip("/")
    await execute(server.dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """A pool on a fresh, migrated database."""
    opened = await open_pool(database, size=4)
    yield opened
    await opened.close()
