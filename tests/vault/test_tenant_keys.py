"""The vault on a real database, with a provider on a real socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from db import Pool, PostgresKeys, StoreUnavailable, UnknownTenant, open_pool
from tests.db.server import execute, fetch
from tests.db.tenants import ADMIN, ANNA, BERT, NOBODY, add_tenants
from tests.vault.provider import Answers, Provided, provider_saying
from tests.vault.rings import SECRETS, entry, ring, secret, settings
from voice_server.provider_settings import Provider
from voice_server.vault import Added, Finding, KeyChecks, KeyRing, Rotation, TenantKeys, open_vault

OPENAI, GROK, TWILIO = Provider.OPENAI, Provider.GROK, Provider.TWILIO
ACCEPTS: Answers = {"/models": (200, {"data": []})}
REFUSES: Answers = {"/models": (401, {})}


@pytest.fixture
async def rows(pool: Pool) -> PostgresKeys:
    await add_tenants(pool)
    return PostgresKeys(pool)


def vault(rows: PostgresKeys, url: str = "http://127.0.0.1:9", keys: KeyRing | None = None):
    return TenantKeys(rows, keys or ring("new"), KeyChecks(settings(url)))


@asynccontextmanager
async def vault_at(
    rows: PostgresKeys, answers: Answers
) -> AsyncIterator[tuple[TenantKeys, Provided]]:
    async with provider_saying(answers) as desk:
        yield vault(rows, desk.url), desk


async def stored(dsn: str, user_id: str = ANNA, provider: Provider = OPENAI) -> asyncpg.Record:
    (row,) = await fetch(
        dsn,
        "SELECT * FROM user_api_keys WHERE user_id = $1 AND provider = $2",
        user_id,
        provider.value,
    )
    return row


def secrets_in(text: str) -> Iterator[str]:
    return (key for key in SECRETS.values() if key in text)


async def test_a_key_is_tried_sealed_and_opened_again(rows: PostgresKeys, database: str) -> None:
    async with vault_at(rows, ACCEPTS) as (keys, _):
        assert await keys.add(ANNA, OPENAI, secret(OPENAI)) == (Added.STORED, Finding.ACCEPTED)
        assert await keys.keys_for(ANNA, [OPENAI, GROK]) == {OPENAI: secret(OPENAI)}
    row = await stored(database)
    assert row["is_valid"]
    assert row["last_validated"] is not None
    assert not list(secrets_in(str(dict(row))))


async def test_every_provider_of_the_table_can_have_a_key(rows: PostgresKeys) -> None:
    keys = vault(rows)
    for provider in Provider:
        assert await keys.add_untried(ANNA, provider, secret(provider)) is Added.STORED
    assert await keys.keys_for(ANNA, list(Provider)) == {one: secret(one) for one in Provider}
    assert [row.provider for row in await keys.list_of(ANNA)] == sorted(Provider)


async def test_a_refused_key_is_not_stored_and_leaves_the_former_one(rows: PostgresKeys) -> None:
    async with vault_at(rows, ACCEPTS) as (keys, desk):
        await keys.add(ANNA, OPENAI, secret(OPENAI))
        desk.answers = REFUSES
        done = await keys.add(ANNA, OPENAI, secret(GROK))
        assert done == (Added.NOT_STORED, Finding.REFUSED)
        assert await keys.keys_for(ANNA, [OPENAI]) == {OPENAI: secret(OPENAI)}


async def test_what_cannot_be_a_key_is_not_stored_even_untried(rows: PostgresKeys) -> None:
    keys = vault(rows)
    assert await keys.add_untried(ANNA, TWILIO, secret(OPENAI)) is Added.NOT_STORED
    assert await keys.list_of(ANNA) == ()


async def test_a_key_that_could_not_be_tried_is_used_until_somebody_knows_better(
    rows: PostgresKeys,
) -> None:
    keys = vault(rows)  # nobody listens there
    assert await keys.add(ANNA, OPENAI, secret(OPENAI)) == (Added.STORED, Finding.UNDECIDED)
    (row,) = await keys.list_of(ANNA)
    assert (row.is_valid, row.last_validated) == (True, None)
    assert await keys.keys_for(ANNA, [OPENAI]) == {OPENAI: secret(OPENAI)}


async def test_a_new_key_takes_the_place_of_the_former_one_and_starts_afresh(
    rows: PostgresKeys, database: str
) -> None:
    keys = vault(rows)
    await keys.add_untried(ANNA, OPENAI, secret(OPENAI))
    await keys.count_use(ANNA, OPENAI, secret(OPENAI))
    await execute(database, "UPDATE user_api_keys SET is_valid = false")
    assert await keys.add_untried(ANNA, OPENAI, secret(GROK)) is Added.STORED
    (row,) = await keys.list_of(ANNA)
    assert (row.is_valid, row.usage_count) == (True, 0)
    assert await keys.keys_for(ANNA, [OPENAI]) == {OPENAI: secret(GROK)}


async def test_adding_the_same_key_again_keeps_its_count_and_tries_it_anew(
    rows: PostgresKeys, database: str
) -> None:
    async with vault_at(rows, ACCEPTS) as (keys, _):
        await keys.add_untried(ANNA, OPENAI, secret(OPENAI))
        await keys.count_use(ANNA, OPENAI, secret(OPENAI))
        assert await keys.add_untried(ANNA, OPENAI, secret(OPENAI)) is Added.UNCHANGED
        await execute(database, "UPDATE user_api_keys SET is_valid = false")
        assert await keys.add(ANNA, OPENAI, secret(OPENAI)) == (Added.UNCHANGED, Finding.ACCEPTED)
        (row,) = await keys.list_of(ANNA)
    assert (row.is_valid, row.usage_count) == (True, 1)
    assert row.last_validated is not None


async def test_a_tenant_that_does_not_exist_has_no_keys(rows: PostgresKeys) -> None:
    with pytest.raises(UnknownTenant):
        await vault(rows).add_untried(NOBODY, OPENAI, secret(OPENAI))


async def test_keys_are_the_tenants_own(rows: PostgresKeys) -> None:
    keys = vault(rows)
    await keys.add_untried(ANNA, OPENAI, secret(OPENAI))
    await keys.add_untried(BERT, OPENAI, secret(GROK))
    assert await keys.keys_for(ANNA, list(Provider)) == {OPENAI: secret(OPENAI)}
    assert await keys.keys_for(BERT, list(Provider)) == {OPENAI: secret(GROK)}
    assert not await keys.remove(ADMIN, OPENAI)
    assert await keys.remove(ANNA, OPENAI)
    assert not await keys.remove(ANNA, OPENAI)
    assert await keys.keys_for(BERT, [OPENAI]) == {OPENAI: secret(GROK)}


async def test_two_tenants_with_the_same_key_cannot_be_linked(
    rows: PostgresKeys, database: str
) -> None:
    for tenant in (ANNA, BERT):
        await vault(rows).add_untried(tenant, OPENAI, secret(OPENAI))
    anna, bert = await stored(database, ANNA), await stored(database, BERT)
    assert anna["api_key_hash"] != bert["api_key_hash"]
    assert anna["api_key_encrypted"] != bert["api_key_encrypted"]


async def test_a_row_moved_to_another_tenant_or_provider_does_not_open(
    rows: PostgresKeys, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys = vault(rows)
    await keys.add_untried(ANNA, OPENAI, secret(OPENAI))
    await execute(database, f"UPDATE user_api_keys SET user_id = '{BERT}'")
    assert await keys.keys_for(BERT, list(Provider)) == {}
    assert await keys.validate(BERT) == {OPENAI: Finding.BROKEN}
    await execute(database, f"UPDATE user_api_keys SET user_id = '{ANNA}', provider = 'grok'")
    assert await keys.keys_for(ANNA, list(Provider)) == {}
    assert "does not open" in caplog.text
    assert not list(secrets_in(caplog.text))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT api_key_encrypted FROM user_api_keys",
        "SELECT api_key_hash FROM user_api_keys",
        "UPDATE user_api_keys SET is_valid = true",
        "UPDATE user_api_keys SET usage_count = 0",
        "UPDATE user_api_keys SET api_key_encrypted = 'x'",
    ],
)
async def test_a_tenant_reaches_neither_the_seal_nor_the_verdict(
    rows: PostgresKeys, pool: Pool, statement: str
) -> None:
    await vault(rows).add_untried(ANNA, OPENAI, secret(OPENAI))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with pool.tenant(ANNA) as connection:
            await connection.execute(statement)


async def test_another_tenant_sees_and_removes_nothing(rows: PostgresKeys, pool: Pool) -> None:
    await vault(rows).add_untried(ANNA, OPENAI, secret(OPENAI))
    async with pool.tenant(BERT) as connection:
        assert await connection.fetch("SELECT provider FROM user_api_keys") == []
        assert await connection.execute("DELETE FROM user_api_keys") == "DELETE 0"
    assert await rows.of(BERT) == ()


async def test_validating_notes_what_the_provider_says(rows: PostgresKeys) -> None:
    async with vault_at(rows, ACCEPTS | {"/account.json": (401, {})}) as (keys, desk):
        for provider in (OPENAI, Provider.SERPAPI):
            await keys.add_untried(ANNA, provider, secret(provider))
        found = await keys.validate(ANNA)
        assert found == {OPENAI: Finding.ACCEPTED, Provider.SERPAPI: Finding.REFUSED}
        state = {row.provider: row.is_valid for row in await keys.list_of(ANNA)}
        assert state == {"openai": True, "serpapi": False}
        assert await keys.keys_for(ANNA, list(Provider)) == {OPENAI: secret(OPENAI)}

        desk.answers["/account.json"] = (200, {"total_searches_left": 5})
        assert await keys.validate(ANNA, [Provider.SERPAPI]) == {Provider.SERPAPI: Finding.ACCEPTED}
        assert len(await keys.keys_for(ANNA, list(Provider))) == 2


async def test_a_provider_that_is_down_spoils_no_key(rows: PostgresKeys) -> None:
    async with vault_at(rows, ACCEPTS) as (keys, desk):
        await keys.add(ANNA, OPENAI, secret(OPENAI))
        (before,) = await keys.list_of(ANNA)
        desk.answers = {"/models": (503, {})}
        assert await keys.validate(ANNA) == {OPENAI: Finding.UNDECIDED}
        assert await keys.list_of(ANNA) == (before,)


async def test_a_key_refused_in_a_call_is_not_used_again(rows: PostgresKeys) -> None:
    keys = vault(rows)
    await keys.add_untried(ANNA, OPENAI, secret(OPENAI))
    assert await keys.refuse(ANNA, OPENAI, secret(OPENAI))
    assert await keys.keys_for(ANNA, [OPENAI]) == {}


async def test_a_key_replaced_meanwhile_is_not_blamed(rows: PostgresKeys) -> None:
    keys = vault(rows)
    await keys.add_untried(ANNA, OPENAI, secret(GROK))
    assert not await keys.refuse(ANNA, OPENAI, secret(OPENAI))
    (row,) = await rows.sealed(ANNA, [OPENAI])
    await keys.add_untried(ANNA, OPENAI, secret(OPENAI))
    assert not await rows.mark(row, is_valid=False)
    assert not await rows.reseal(row, sealed="x", fingerprint="y")
    assert await keys.keys_for(ANNA, [OPENAI]) == {OPENAI: secret(OPENAI)}


async def test_uses_are_counted_one_by_one(rows: PostgresKeys) -> None:
    keys = vault(rows)
    for tenant in (ANNA, BERT):
        await keys.add_untried(tenant, OPENAI, secret(OPENAI))
    uses = (keys.count_use(ANNA, OPENAI, secret(OPENAI)) for _ in range(20))
    assert all(await asyncio.gather(*uses))
    assert [row.usage_count for row in await keys.list_of(ANNA)] == [20]
    assert [row.usage_count for row in await keys.list_of(BERT)] == [0]


async def test_a_key_that_took_the_place_of_the_used_one_is_not_counted(
    rows: PostgresKeys,
) -> None:
    keys = vault(rows)
    await keys.add_untried(ANNA, OPENAI, secret(GROK))
    assert not await keys.count_use(ANNA, OPENAI, secret(OPENAI))
    assert not await keys.count_use(ANNA, GROK, secret(GROK))
    assert [row.usage_count for row in await keys.list_of(ANNA)] == [0]


async def test_calls_use_blame_and_count_keys_while_they_are_sealed_anew(
    rows: PostgresKeys,
) -> None:
    names = ["first", "second", "third", "fourth"]
    keys = vault(rows, keys=ring(*names))
    await vault(rows, keys=ring(names[-1])).add_untried(ANNA, OPENAI, secret(OPENAI))

    async def rotate() -> None:
        for newest in names:  # each has its turn as the newest
            in_front = [newest, *(name for name in names if name != newest)]
            await vault(rows, keys=ring(*in_front)).rotate()

    async def use() -> None:
        for _ in range(10):
            assert await keys.keys_for(ANNA, [OPENAI]) == {OPENAI: secret(OPENAI)}
            assert await keys.count_use(ANNA, OPENAI, secret(OPENAI))

    await asyncio.gather(rotate(), *(use() for _ in range(4)))
    assert [row.usage_count for row in await keys.list_of(ANNA)] == [40]
    blamed, _ = await asyncio.gather(keys.refuse(ANNA, OPENAI, secret(OPENAI)), rotate())
    assert blamed
    assert [row.is_valid for row in await keys.list_of(ANNA)] == [False]


async def test_a_refusal_is_noted_though_the_key_got_a_new_seal_in_the_middle(
    rows: PostgresKeys, pool: Pool
) -> None:
    both = ring("new", "old")

    class SealedMeanwhile(PostgresKeys):
        """Whoever reads a key finds that it was sealed anew right after."""

        async def sealed(self, user_id, providers):  # type: ignore[no-untyped-def]
            found = await super().sealed(user_id, providers)
            await vault(rows, keys=both).rotate()
            return found

    await vault(rows, keys=ring("old")).add_untried(ANNA, OPENAI, secret(OPENAI))
    assert await vault(SealedMeanwhile(pool), keys=both).refuse(ANNA, OPENAI, secret(OPENAI))
    assert await vault(rows, keys=both).keys_for(ANNA, [OPENAI]) == {}


async def test_rotation_seals_every_key_under_the_newest_master_key(
    rows: PostgresKeys, database: str
) -> None:
    old, both = vault(rows, keys=ring("old")), vault(rows, keys=ring("new", "old"))
    for tenant in (ANNA, BERT):
        for provider in (OPENAI, GROK):
            await old.add_untried(tenant, provider, secret(provider))
    await both.add_untried(ADMIN, OPENAI, secret(OPENAI))
    await old.count_use(ANNA, OPENAI, secret(OPENAI))
    await execute(database, f"UPDATE user_api_keys SET is_valid = false WHERE user_id = '{BERT}'")

    assert await both.rotate() == Rotation(resealed=4, current=1, broken=())
    assert await both.rotate() == Rotation(resealed=0, current=5, broken=())

    new = vault(rows, keys=ring("new"))
    expected = {OPENAI: secret(OPENAI), GROK: secret(GROK)}
    assert await new.keys_for(ANNA, list(Provider)) == expected
    assert await new.add_untried(ANNA, OPENAI, secret(OPENAI)) is Added.UNCHANGED
    assert (await stored(database))["usage_count"] == 1
    assert not (await stored(database, BERT))["is_valid"]
    assert await old.keys_for(ANNA, list(Provider)) == {}


async def test_rotation_goes_past_what_does_not_open_and_names_it(
    rows: PostgresKeys, database: str
) -> None:
    await vault(rows, keys=ring("lost")).add_untried(ANNA, OPENAI, secret(OPENAI))
    await vault(rows, keys=ring("old")).add_untried(BERT, GROK, secret(GROK))
    before = await stored(database)
    done = await vault(rows, keys=ring("new", "old")).rotate()
    assert done == Rotation(resealed=1, current=0, broken=((ANNA, OPENAI),))
    assert await stored(database) == before


async def test_rotation_goes_through_more_keys_than_a_page_holds(
    rows: PostgresKeys, database: str
) -> None:
    await execute(
        database,
        "INSERT INTO user_profiles (id, role, full_name, email, phone) "
        "SELECT gen_random_uuid(), 'vendor', 'v', 'v' || n || '@example.com', '1' "
        "FROM generate_series(1, 450) AS n",
        "INSERT INTO user_api_keys (user_id, provider, api_key_encrypted, api_key_hash) "
        "SELECT id, 'openai', 'v1:gone:AAAA', 'x' FROM user_profiles",
    )
    done = await vault(rows).rotate()
    assert len(set(done.broken)) == 453


async def test_rotation_beside_a_new_key_keeps_the_new_key(rows: PostgresKeys) -> None:
    old, both = vault(rows, keys=ring("old")), vault(rows, keys=ring("new", "old"))
    for _ in range(5):
        await old.add_untried(ANNA, OPENAI, secret(OPENAI))
        await asyncio.gather(both.rotate(), both.add_untried(ANNA, OPENAI, secret(GROK)))
        assert await both.keys_for(ANNA, [OPENAI]) == {OPENAI: secret(GROK)}


async def test_nothing_said_or_shown_holds_a_key(
    rows: PostgresKeys, caplog: pytest.LogCaptureFixture
) -> None:
    shown: list[object] = []
    with caplog.at_level(logging.DEBUG):
        async with vault_at(rows, ACCEPTS) as (keys, _):
            shown += [await keys.add(ANNA, OPENAI, secret(OPENAI)), keys]
            shown += [await keys.keys_for(ANNA, [OPENAI]), await keys.list_of(ANNA)]
            shown += [await rows.sealed(ANNA, [OPENAI]), await keys.validate(ANNA)]
            shown += [await keys.rotate()]
    assert not list(secrets_in(caplog.text + repr(shown) + str(shown)))


async def test_a_lost_database_is_worth_another_try(database: str) -> None:
    pool = await open_pool(database, size=1)
    await pool.close()
    with pytest.raises(StoreUnavailable):
        await vault(PostgresKeys(pool)).keys_for(ANNA, [OPENAI])


async def test_the_settings_open_the_vault(rows: PostgresKeys) -> None:
    assert open_vault(settings(), rows) is None
    opened = open_vault(settings(vault_keys=f"{entry('new')},{entry('old')}"), rows)
    assert opened is not None
    await vault(rows, keys=ring("old")).add_untried(ANNA, OPENAI, secret(OPENAI))
    assert await opened.keys_for(ANNA, [OPENAI]) == {OPENAI: secret(OPENAI)}
