"""Keeps the sealed API keys of tenants; sealing and opening them is not done here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from db.errors import UnknownTenant
from db.pool import Pool


class KeyRow(msgspec.Struct, frozen=True):
    """What may be shown of a stored key. `last_validated` None: nobody has tried it."""

    user_id: str
    provider: str
    is_valid: bool
    last_validated: datetime | None
    usage_count: int
    created_at: datetime
    updated_at: datetime


class SealedKey(msgspec.Struct, frozen=True):
    """A stored key as the database has it."""

    id: UUID
    user_id: str
    provider: str
    sealed: str
    fingerprint: str


class PostgresKeys:
    """The table `user_api_keys`. Every method raises `StoreUnavailable`.

    A key is at most one of its tenant and provider. What is asked in a tenant's name runs in
    the tenant's role, which can neither see nor change what is sealed.
    """

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(
        self, user_id: str, provider: str, *, sealed: str, fingerprint: str, validated: bool
    ) -> None:
        """Store a key in the place of the former one, as valid; its uses start from zero.

        `validated` says that the provider has just accepted it. Raises `UnknownTenant`.
        """
        try:
            async with self._pool.server() as connection:
                await connection.execute(_PUT, user_id, provider, sealed, fingerprint, validated)
        except asyncpg.ForeignKeyViolationError:
            raise UnknownTenant("there is no such user") from None

    async def of(self, user_id: str) -> tuple[KeyRow, ...]:
        """What a tenant may know of its keys, by provider."""
        async with self._pool.tenant(user_id) as connection:
            rows = await connection.fetch(
                """
                SELECT user_id::text, provider, coalesce(is_valid, true) AS is_valid,
                    last_validated, coalesce(usage_count, 0) AS usage_count,
                    created_at, updated_at
                FROM user_api_keys WHERE user_id = $1 ORDER BY provider
                """,
                user_id,
            )
        return tuple(KeyRow(**row) for row in rows)

    async def sealed(self, user_id: str, providers: Sequence[str]) -> tuple[SealedKey, ...]:
        """A tenant's keys of these providers, valid or not."""
        return await self._sealed(user_id, providers, only_valid=False)

    async def usable(self, user_id: str, providers: Sequence[str]) -> tuple[SealedKey, ...]:
        """A tenant's keys of these providers that are not known to be invalid."""
        return await self._sealed(user_id, providers, only_valid=True)

    async def count_use(self, key: SealedKey) -> bool:
        """One more call uses the key; False when it was replaced or removed meanwhile."""
        async with self._pool.server() as connection:
            done = await connection.fetchval(
                """
                UPDATE user_api_keys SET usage_count = coalesce(usage_count, 0) + 1
                WHERE id = $1 AND api_key_encrypted = $2 RETURNING true
                """,
                key.id,
                key.sealed,
            )
        return bool(done)

    async def mark(self, key: SealedKey, *, is_valid: bool) -> bool:
        """Note the provider's verdict; False when the key was replaced or removed meanwhile."""
        async with self._pool.server() as connection:
            done = await connection.fetchval(
                """
                UPDATE user_api_keys SET is_valid = $3, last_validated = now()
                WHERE id = $1 AND api_key_encrypted = $2 RETURNING true
                """,
                key.id,
                key.sealed,
                is_valid,
            )
        return bool(done)

    async def page(self, after: UUID | None, limit: int) -> tuple[SealedKey, ...]:
        """All tenants' keys, by id, from the one after `after` on: for sealing them anew."""
        async with self._pool.server() as connection:
            rows = await connection.fetch(
                f"""
                SELECT {_SEALED} FROM user_api_keys
                WHERE user_id IS NOT NULL AND id > coalesce($1, {_FIRST}) ORDER BY id LIMIT $2
                """,
                after,
                limit,
            )
        return tuple(_key(row) for row in rows)

    async def reseal(self, key: SealedKey, *, sealed: str, fingerprint: str) -> bool:
        """Exchange the seal of the same key; False when it was replaced or removed meanwhile."""
        async with self._pool.server() as connection:
            done = await connection.fetchval(
                """
                UPDATE user_api_keys SET api_key_encrypted = $3, api_key_hash = $4
                WHERE id = $1 AND api_key_encrypted = $2 RETURNING true
                """,
                key.id,
                key.sealed,
                sealed,
                fingerprint,
            )
        return bool(done)

    async def remove(self, user_id: str, provider: str) -> bool:
        """Forget a key; False when there is none."""
        async with self._pool.tenant(user_id) as connection:
            done = await connection.fetchval(
                "DELETE FROM user_api_keys WHERE user_id = $1 AND provider = $2 RETURNING true",
                user_id,
                provider,
            )
        return bool(done)

    async def tenant_of(self, email: str) -> str | None:
        """The id of the user with this address."""
        async with self._pool.server() as connection:
            found = await connection.fetchval(
                "SELECT id::text FROM user_profiles WHERE lower(email) = lower($1)", email
            )
        return None if found is None else str(found)

    async def _sealed(
        self, user_id: str, providers: Sequence[str], *, only_valid: bool
    ) -> tuple[SealedKey, ...]:
        async with self._pool.server() as connection:
            rows = await connection.fetch(
                f"""
                SELECT {_SEALED} FROM user_api_keys
                WHERE user_id = $1 AND provider = ANY($2::text[])
                    AND (coalesce(is_valid, true) OR NOT $3)
                ORDER BY provider
                """,
                user_id,
                list(providers),
                only_valid,
            )
        return tuple(_key(row) for row in rows)


_SEALED = "id, user_id::text, provider, api_key_encrypted, api_key_hash"
_FIRST = "'00000000-0000-0000-0000-000000000000'::uuid"

_PUT = """
    INSERT INTO user_api_keys AS stored (
        user_id, provider, api_key_encrypted, api_key_hash, is_valid, last_validated
    ) VALUES ($1, $2, $3, $4, true, CASE WHEN $5 THEN now() END)
    ON CONFLICT (user_id, provider) DO UPDATE SET
        api_key_encrypted = excluded.api_key_encrypted,
        api_key_hash = excluded.api_key_hash,
        is_valid = true,
        last_validated = excluded.last_validated,
        usage_count = 0
"""


def _key(row: Any) -> SealedKey:
    return SealedKey(
        id=UUID(str(row["id"])),
        user_id=row["user_id"],
        provider=row["provider"],
        sealed=row["api_key_encrypted"],
        fingerprint=row["api_key_hash"],
    )
