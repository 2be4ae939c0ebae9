"""Runs every check that the settings allow, as many at once as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import chain
from typing import Final, TypeVar

import asyncpg

import db
from models.weights import Weights
from voice_server import settings as configuration
from voice_server.doctor import database, hosted, machine, remote
from voice_server.doctor.check import Check, failed, limited, skipped
from voice_server.errors import ConfigurationError
from voice_server.provider_settings import ProviderSettings
from voice_server.settings import Settings, Storage

T = TypeVar("T")
_DATABASE_S: Final = 30.0  # above the limits of connecting; a hung server has no other
_FIRST: Final = "mend the settings first"


async def examine() -> tuple[Check, ...]:
    """Look at everything the environment configures; changes nothing, raises nothing of its own.

    Services that are not configured are not asked.
    """
    settings, problem = _read(configuration.load)
    if settings is not None:
        problem = machine.public_url_problem(settings)
    storage, _ = _read(configuration.load_storage)
    providers, _ = _read(configuration.load_providers)
    async with AsyncExitStack() as stack:
        opened = await _open(storage, stack)
        groups = await asyncio.gather(
            limited("data directory", _folder(storage)),
            limited("clock", _clock(providers, opened)),
            limited("weights", asyncio.to_thread(machine.weights_check, Weights())),
            limited("scam model", asyncio.to_thread(machine.scam_model_check)),
            limited("provider keys", _keys(providers)),
            limited("vault", _vault(providers, opened)),
            limited("hosted agents", _hosted(providers, opened)),
            limited("twilio numbers", _numbers(settings, opened)),
            limited("public URL", _public_url(settings)),
            limited("firebase", _firebase(settings)),
            limited("port", _port(settings)),
        )
    return (*machine.settings_checks(problem), *opened.checks, *chain.from_iterable(groups))


def _read(load: Callable[[], T]) -> tuple[T | None, ConfigurationError | None]:
    try:
        return load(), None
    except ConfigurationError as error:
        return None, error


async def _open(storage: Storage | None, stack: AsyncExitStack) -> database.Opened:
    if storage is None:
        return database.Opened((skipped("database", _FIRST),))
    try:
        async with asyncio.timeout(_DATABASE_S):
            return await database.open_database(storage, stack)
    except TimeoutError:
        what = f"no answer within {_DATABASE_S:g} s"
        fix = "check the server of DATABASE_URL and the network in between"
        return database.Opened((failed("database", what, fix),))


async def _folder(storage: Storage | None) -> tuple[Check, ...]:
    if storage is None:
        return (skipped("data directory", _FIRST),)
    return await asyncio.to_thread(machine.folder_checks, storage.data_dir)


async def _clock(providers: ProviderSettings | None, opened: database.Opened) -> tuple[Check, ...]:
    told = None if providers is None else await remote.ahead_of_a_provider(providers)
    if told is not None:
        return (machine.clock_check(*told),)
    # The embedded database has the clock of this very machine.
    ahead = await database.ahead_of(opened.pool) if opened.pool and opened.remote else None
    return (machine.clock_check(ahead, "the database"),)


async def _keys(providers: ProviderSettings | None) -> tuple[Check, ...]:
    if providers is None:
        return (skipped("provider keys", _FIRST),)
    return await remote.keys_checks(providers)


async def _vault(providers: ProviderSettings | None, opened: database.Opened) -> tuple[Check, ...]:
    if providers is None:
        return (skipped("vault", _FIRST),)
    return await database.vault_check(providers, opened.pool)


async def _hosted(providers: ProviderSettings | None, opened: database.Opened) -> tuple[Check, ...]:
    name = "hosted agents"
    if providers is None:
        return (skipped(name, _FIRST),)
    if opened.pool is None:
        return (skipped(name, "the database cannot tell which they are"),)
    try:
        rows = await hosted.hosted_rows(opened.pool)
    except (db.StoreError, asyncpg.PostgresError):
        return (failed(name, "ai_agents cannot be read", "run `voice-server db migrate`"),)
    return await hosted.hosted_checks(providers, rows)


async def _numbers(settings: Settings | None, opened: database.Opened) -> tuple[Check, ...]:
    name = "twilio numbers"
    if settings is None:
        return (skipped(name, _FIRST),)
    if opened.pool is None:
        return (skipped(name, "the database cannot tell which they are"),)
    try:
        numbers = await database.numbers_of(opened.pool)
    except (db.StoreError, asyncpg.PostgresError):
        return (failed(name, "phone_numbers cannot be read", "run `voice-server db migrate`"),)
    return await remote.numbers_checks(settings, numbers)


async def _public_url(settings: Settings | None) -> tuple[Check, ...]:
    if settings is None:
        return (skipped("public URL", _FIRST),)
    return await remote.public_url_check(settings.public_url)


async def _firebase(settings: Settings | None) -> tuple[Check, ...]:
    if settings is None:
        return (skipped("firebase", _FIRST),)
    return await remote.firebase_check(
        settings.firebase_database_url, settings.firebase_credentials
    )


async def _port(settings: Settings | None) -> tuple[Check, ...]:
    if settings is None:
        return (skipped("port", _FIRST),)
    return await remote.port_check(settings.host, settings.port)
