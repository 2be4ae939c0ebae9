"""Tenants' own provider keys: stored sealed, tried at the provider, opened for a call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Final

import msgspec
from pydantic import SecretStr

from db import KeyRow, PostgresKeys, SealedKey
from voice_server.provider_settings import Provider, ProviderSettings
from voice_server.vault.checks import Finding, KeyChecks, is_formed
from voice_server.vault.ring import KeyRing, SealBroken

log = logging.getLogger(__name__)

_PAGE: Final = 200
_SEALS: Final = 4  # put on the same key while one note of it is written


class Added(StrEnum):
    """What became of a key that was to be stored."""

    STORED = "stored"
    UNCHANGED = "unchanged"  # this very key was there
    NOT_STORED = "not_stored"  # the provider refuses it, or it cannot be a key


class Rotation(msgspec.Struct, frozen=True):
    """What sealing all keys anew came to; `broken` names tenant and provider of each."""

    resealed: int
    current: int
    broken: tuple[tuple[str, Provider], ...]


class TenantKeys:
    """The vault. Every method raises `db.StoreUnavailable` when the database does not answer."""

    __slots__ = ("_checks", "_ring", "_rows")

    def __init__(self, rows: PostgresKeys, ring: KeyRing, checks: KeyChecks) -> None:
        self._rows = rows
        self._ring = ring
        self._checks = checks

    async def add(self, user_id: str, provider: Provider, key: SecretStr) -> tuple[Added, Finding]:
        """Try a key and store it in the place of the former one.

        A key that the provider refuses is not stored; one that could not be tried is, with
        `last_validated` empty. Raises `db.UnknownTenant`.
        """
        finding = await self._checks.check(provider, key)
        if finding.is_valid is False:
            return Added.NOT_STORED, finding
        done = await self._store(user_id, provider, key, tried=finding.is_valid is True)
        return done, finding

    async def add_untried(self, user_id: str, provider: Provider, key: SecretStr) -> Added:
        """Store a key without asking the provider. Raises `db.UnknownTenant`."""
        if not is_formed(provider, key):
            return Added.NOT_STORED
        return await self._store(user_id, provider, key, tried=False)

    async def list_of(self, user_id: str) -> tuple[KeyRow, ...]:
        """What may be shown of a tenant's keys."""
        return await self._rows.of(user_id)

    async def validate(
        self, user_id: str, providers: Sequence[Provider] = tuple(Provider)
    ) -> Mapping[Provider, Finding]:
        """Try the tenant's stored keys and note what came out; those not there are left out."""
        stored = await self._rows.sealed(user_id, providers)
        async with asyncio.TaskGroup() as group:
            tried = {
                Provider(row.provider): group.create_task(self._validate(row)) for row in stored
            }
        return {provider: task.result() for provider, task in tried.items()}

    async def keys_for(
        self, user_id: str, providers: Sequence[Provider]
    ) -> Mapping[Provider, SecretStr]:
        """The tenant's usable keys of these providers; keys that do not open are left out."""
        opened = {}
        for row in await self._rows.usable(user_id, providers):
            try:
                opened[Provider(row.provider)] = self._open(row)
            except SealBroken as error:
                log.error(
                    "a tenant's key does not open",
                    extra={"tenant": user_id, "provider": row.provider, "problem": str(error)},
                )
        return opened

    async def count_use(self, user_id: str, provider: Provider, key: SecretStr) -> bool:
        """A call uses this key; False when it has been replaced or removed meanwhile."""
        return await self._note(user_id, provider, key, self._rows.count_use)

    async def refuse(self, user_id: str, provider: Provider, key: SecretStr) -> bool:
        """A provider refused this key in a call: not to be used before it is validated again.

        False when it has been replaced or removed meanwhile.
        """
        mark = partial(self._rows.mark, is_valid=False)
        return await self._note(user_id, provider, key, mark)

    async def _note(
        self,
        user_id: str,
        provider: Provider,
        key: SecretStr,
        write: Callable[[SealedKey], Awaitable[bool]],
    ) -> bool:
        """Write something about this very key; a new seal of it, put on meanwhile, is no matter."""
        for _ in range(_SEALS):
            rows = await self._rows.sealed(user_id, [provider])
            same = [r for r in rows if self._ring.is_same(r.fingerprint, key, user_id, provider)]
            if not same:
                return False
            if await write(same[0]):
                return True
        return False

    async def rotate(self) -> Rotation:
        """Seal every tenant's key under the newest master key; may be cut off and repeated."""
        resealed = current = 0
        broken: list[tuple[str, Provider]] = []
        page = await self._rows.page(None, _PAGE)
        while page:
            for row in page:
                if self._is_current(row):
                    current += 1
                    continue
                try:
                    # One that was replaced meanwhile was sealed by its writer's newest key.
                    resealed += await self._reseal(row)
                except SealBroken:
                    broken.append((row.user_id, Provider(row.provider)))
            page = await self._rows.page(page[-1].id, _PAGE)
        return Rotation(resealed, current, tuple(broken))

    async def remove(self, user_id: str, provider: Provider) -> bool:
        """Forget a tenant's key; False when there is none."""
        return await self._rows.remove(user_id, provider)

    async def _store(
        self, user_id: str, provider: Provider, key: SecretStr, *, tried: bool
    ) -> Added:
        for row in await self._rows.sealed(user_id, [provider]):
            if not self._ring.is_same(row.fingerprint, key, user_id, provider):
                continue
            if not tried:
                return Added.UNCHANGED
            if await self._rows.mark(row, is_valid=True):
                return Added.UNCHANGED
        await self._rows.put(
            user_id,
            provider,
            sealed=self._ring.seal(key, user_id, provider),
            fingerprint=self._ring.fingerprint(key, user_id, provider),
            validated=tried,
        )
        return Added.STORED

    async def _validate(self, row: SealedKey) -> Finding:
        try:
            finding = await self._checks.check(Provider(row.provider), self._open(row))
        except SealBroken:
            return Finding.BROKEN
        if finding.is_valid is not None:
            await self._rows.mark(row, is_valid=finding.is_valid)
        return finding

    def _is_current(self, row: SealedKey) -> bool:
        return self._ring.is_current(row.sealed)

    async def _reseal(self, row: SealedKey) -> bool:
        provider, key = Provider(row.provider), self._open(row)
        return await self._rows.reseal(
            row,
            sealed=self._ring.seal(key, row.user_id, provider),
            fingerprint=self._ring.fingerprint(key, row.user_id, provider),
        )

    def _open(self, row: SealedKey) -> SecretStr:
        return self._ring.open(row.sealed, row.user_id, Provider(row.provider))


def open_vault(settings: ProviderSettings, rows: PostgresKeys) -> TenantKeys | None:
    """The vault of the settings; None where no master key is set. Raises `RingUnreadable`."""
    if settings.vault_keys is None:
        return None
    return TenantKeys(rows, KeyRing.parse(settings.vault_keys), KeyChecks(settings))
