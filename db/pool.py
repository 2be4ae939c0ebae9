"""Connections to Postgres, always in the role of whoever is asking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import msgspec

from db.errors import StoreError, StoreUnavailable

Connection: TypeAlias = Any  # asyncpg carries no types; a connection inside a transaction

TRANSACTION_POOLER_PORT = 6543  # Supavisor and hosted PgBouncer in transaction mode
_CACHED_STATEMENTS = 256

# SQLSTATEs of a server that may do better later: connection trouble, out of resources,
# operator intervention (restart, cancelled by timeout), lost races, fail-over to a replica.
_PASSING_CLASSES = ("08", "53", "57", "58", "40")
_PASSING_STATES = frozenset({"25006", "25P03", "55P03"})


def _is_passing(error: asyncpg.PostgresError) -> bool:
    if isinstance(error, asyncpg.InvalidCachedStatementError):  # a migration ran meanwhile
        return True
    state = error.sqlstate or ""
    return state[:2] in _PASSING_CLASSES or state in _PASSING_STATES


def statement_cache_for(dsn: str) -> int:
    """Prepared statements to keep per connection: none behind a transaction pooler."""
    parts = urlsplit(dsn)
    ports = parse_qs(parts.query).get("port", [])
    hosts = parts.netloc.rpartition("@")[2].split(",")
    ports += [host.rpartition(":")[2] for host in hosts if ":" in host]
    return 0 if str(TRANSACTION_POOLER_PORT) in ports else _CACHED_STATEMENTS


def _is_lost(connection: Connection) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:  # closed and already taken back by the pool
        return True


class Pool:
    """A bounded set of connections. Use `open_pool`, and `close` it in the end."""

    __slots__ = ("_acquire_timeout_s", "_pool")

    def __init__(self, pool: Any, *, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s

    @asynccontextmanager
    async def server(self) -> AsyncIterator[Connection]:
        """A transaction of the server itself: row security does not bind it.

        Every query must name the tenant it acts for. Raises `StoreUnavailable` when the
        database is lost or slow, from here or from the body; other errors pass through.
        """
        async with self._transaction() as connection:
            await connection.execute("SET LOCAL ROLE service_role")
            yield connection

    @asynccontextmanager
    async def tenant(self, user_id: str) -> AsyncIterator[Connection]:
        """A transaction that sees and changes what this user may; raises as `server` does.

        `user_id` must be a UUID that somebody has authenticated.
        """
        claims = {"sub": str(UUID(user_id)), "role": "authenticated"}
        async with self._transaction() as connection:
            await connection.execute(
                "SELECT set_config('role', 'authenticated', true), "
                "set_config('request.jwt.claims', $1, true)",
                msgspec.json.encode(claims).decode(),
            )
            yield connection

    async def close(self) -> None:
        """Wait for open transactions, then close; after 5 s they are cut off."""
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        connection = await self._acquire()
        try:
            async with connection.transaction():
                yield connection
        except asyncpg.PostgresError as error:
            if _is_passing(error):
                raise StoreUnavailable(f"the database gave up: SQLSTATE {error.sqlstate}") from None
            raise
        except (OSError, TimeoutError) as error:
            raise StoreUnavailable(f"the database was lost: {type(error).__name__}") from error
        except asyncpg.InterfaceError as error:
            if _is_lost(connection):
                raise StoreUnavailable("the connection to the database closed") from error
            raise
        finally:
            await self._release(connection)

    async def _acquire(self) -> Connection:
        try:
            return await self._pool.acquire(timeout=self._acquire_timeout_s)
        except (OSError, TimeoutError) as error:
            raise StoreUnavailable(
                f"no connection to the database within {self._acquire_timeout_s:g} s"
            ) from error
        except asyncpg.PostgresError as error:
            raise StoreUnavailable(
                f"the database refuses connections: SQLSTATE {error.sqlstate}"
            ) from None
        except asyncpg.InterfaceError as error:
            raise StoreUnavailable("the connection pool is closed") from error

    async def _release(self, connection: Connection) -> None:
        # The transaction is over either way; the pool drops a connection it cannot reset.
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self._pool.release(connection, timeout=self._acquire_timeout_s)


async def open_pool(
    dsn: str,
    *,
    size: int = 8,
    statement_cache: int | None = None,
    command_timeout_s: float = 10.0,
    acquire_timeout_s: float = 5.0,
) -> Pool:
    """Connect and make sure that the roles can be taken on.

    `statement_cache` None means `statement_cache_for(dsn)`. JSONB travels as text. Raises
    `StoreUnavailable` when the database cannot be reached, `StoreError` when it is not
    prepared for this server.
    """
    cache = statement_cache_for(dsn) if statement_cache is None else statement_cache
    try:
        raw = asyncpg.create_pool(
            dsn,
            min_size=0,  # a floor is restored with a traceback per try while the server is down
            max_size=size,
            statement_cache_size=cache,
            command_timeout=command_timeout_s,
            timeout=acquire_timeout_s,
        )
        await _connect_once(raw)
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError) as error:
        raise StoreUnavailable(
            "cannot connect to the database: check DATABASE_URL and that the server runs"
        ) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        state = getattr(error, "sqlstate", None) or type(error).__name__
        raise StoreError(
            f"the database refuses the connection ({state}): "
            "check user, password, host and database name in DATABASE_URL"
        ) from None
    pool = Pool(raw, acquire_timeout_s=acquire_timeout_s)
    try:
        await _check_roles(pool)
    except BaseException:
        raw.terminate()
        raise
    return pool


async def _connect_once(raw: Any) -> None:
    """Open the pool with one connection, so that what is wrong is told at once."""
    try:
        await raw
        await raw.release(await raw.acquire())
    except BaseException:
        raw.terminate()
        raise


async def _check_roles(pool: Pool) -> None:
    try:
        async with pool.server() as connection:
            await connection.fetchval("SELECT 1")
    except asyncpg.PostgresError as error:
        raise StoreError(
            f"the database user cannot act as service_role (SQLSTATE {error.sqlstate}): "
            "run `voice-server db migrate`, or grant it anon, authenticated and service_role"
        ) from None
