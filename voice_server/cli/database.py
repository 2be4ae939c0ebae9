"""The database of the settings, for commands that work on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

import click

from db import EmbeddedPostgres, Pool, PostgresKeys, StoreError, migrate, open_pool
from voice_server.errors import ConfigurationError
from voice_server.settings import load_storage

T = TypeVar("T")


@contextmanager
def failures_explained() -> Iterator[None]:
    """Turn what the operator can mend into a message and exit status 1."""
    try:
        yield
    except (StoreError, ConfigurationError) as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def database() -> Iterator[tuple[str, str]]:
    """The database of the settings: its URL, and how to call it in front of people."""
    storage = load_storage()
    if storage.database_url:
        yield storage.database_url.get_secret_value(), "the database of DATABASE_URL"
        return
    folder = storage.data_dir / "postgres"
    with EmbeddedPostgres(folder) as server:
        yield server.dsn, f"the embedded database in {folder}"


async def tenant_id(pool: Pool, told: str) -> str:
    """The id of the tenant that an id or an e-mail address names."""
    try:
        return str(UUID(told))
    except ValueError:
        user_id = await PostgresKeys(pool).tenant_of(told)
    if user_id is None:
        raise click.ClickException("--tenant: neither the id nor the e-mail address of a user")
    return user_id


def in_database(work: Callable[[Pool], Awaitable[T]]) -> T:
    """Run `work` on a pool of the database; the embedded one is brought up to date first."""

    async def run(dsn: str) -> T:
        if load_storage().database_url is None:
            await migrate(dsn)
        pool = await open_pool(dsn, size=2)
        try:
            return await work(pool)
        finally:
            await pool.close()

    with failures_explained(), database() as (dsn, _):
        return asyncio.run(run(dsn))
