"""A tenant's own keys in whole calls: used, counted, revoked in the middle, sealed anew."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

import db
from tests.db.server import fetch
from tests.db.tenants import ANNA, add_tenants
from tests.engines.lab import Providers, providers, tell
from tests.vault.rings import entry, ring, settings
from voice_server.provider_settings import Provider
from voice_server.testing.box import Box
from voice_server.testing.lab.mind import Asked, ReceptionistMind, Said
from voice_server.testing.virtual import hold_time
from voice_server.vault import Added, KeyChecks, TenantKeys

pytestmark = [pytest.mark.weights, pytest.mark.postgres, pytest.mark.slow]

OWN, SERVERS = "sk-of-the-tenant-0001", "lab-openai-key"


class RevokingMind:
    """Thinks, and with the n-th answer the simulated provider stops accepting some keys."""

    def __init__(self, after: int, *, left: frozenset[str]) -> None:
        self.lab: Any = None
        self._think = ReceptionistMind()
        self._after = after
        self._left = left

    async def __call__(self, asked: Asked) -> Said:
        self._after -= 1
        if self._after == 0:
            self.lab.keys = self._left
        return await self._think(asked)


class House:
    """A server with a vault, its database, and the id of the tenant whose agent is called."""

    def __init__(self, box: Box, dsn: str, labs: Providers, vault: TenantKeys, tenant: str) -> None:
        self.box = box
        self.dsn = dsn
        self.labs = labs
        self.vault = vault
        self.tenant = tenant

    async def own(self, provider: Provider, key: str) -> None:
        with hold_time():
            stored = await self.vault.add_untried(self.tenant, provider, SecretStr(key))
        assert stored is Added.STORED

    async def key(self) -> db.KeyRow:
        """What the tenant sees of their one key."""
        with hold_time():
            (row,) = await self.vault.list_of(self.tenant)
        return row


@asynccontextmanager
async def house(box: Any, dsn: str, **options: Any) -> AsyncIterator[House]:
    """One whose server takes `options` of `providers`, and seals with a ring of two keys."""
    with hold_time():
        pool = await db.open_pool(dsn, size=2)
    try:
        with hold_time():
            await add_tenants(pool)
            await db.seed_demo(pool)
            [row] = await fetch(
                dsn,
                "SELECT user_id::text FROM phone_numbers WHERE number = $1",
                db.DEMO_NUMBER,
            )
        vault = TenantKeys(db.PostgresKeys(pool), ring("old"), KeyChecks(settings()))
        sealed_with = ",".join(map(entry, ("new", "old")))
        async with (
            providers(**options) as labs,
            box(database_url=dsn, vault_keys=sealed_with, **labs.settings) as opened,
        ):
            yield House(opened, dsn, labs, vault, row["user_id"])
    finally:
        with hold_time():
            await pool.close()


def shown(caplog: pytest.LogCaptureFixture) -> str:
    return " ".join(str(vars(record)) for record in caplog.records)


@pytest.mark.parametrize(
    ("left", "goes_on_remotely"),
    [(frozenset({SERVERS}), True), (frozenset({"nobody's"}), False)],
    ids=["then the server's", "then the local engine"],
)
def test_a_key_revoked_in_mid_call_makes_room_for_the_next_at_once(
    virtual,
    box,
    database,
    caplog,
    left,
    goes_on_remotely,
):
    mind = RevokingMind(2, left=left)

    async def scene() -> None:
        options = {"mind": mind, "keys": frozenset({OWN, SERVERS})}
        async with house(box, database, mind="openai", mind_options=options) as home:
            mind.lab = home.labs.mind
            await home.own(Provider.OPENAI, OWN)
            story = await tell(home.box, database)
            assert story.report.errors == ()
            assert story.result.outcome == "booked"
            assert max(story.waits_ms) <= 2_000
            assert story.booked == home.labs.metered
            assert (len(home.labs.mind.visits) > 2) is goes_on_remotely
            row = await home.key()
            assert (row.is_valid, row.usage_count) == (False, 1)
            assert row.last_validated is not None

            refused = home.labs.mind.plan.seen - len(home.labs.mind.visits)
            again = await tell(home.box, database)
            assert again.result.outcome == "booked"
            asked = home.labs.mind.plan.seen - len(home.labs.mind.visits)
            assert asked == refused  # nobody asks with a key that is known to be refused
            assert (await home.key()).usage_count == 1

    with caplog.at_level(logging.ERROR):
        virtual(scene())
    told = [r for r in caplog.records if r.message == "a provider refuses a key"]
    assert ("openai", "tenant") in {(r.provider, r.owner) for r in told}
    assert goes_on_remotely or ("openai", "server") in {(r.provider, r.owner) for r in told}
    assert OWN not in shown(caplog)


def test_a_refused_speech_key_of_the_tenant_gives_way_to_the_servers(
    virtual,
    box,
    database,
):
    async def scene() -> None:
        async with house(box, database, mind="openai") as home:
            await home.own(Provider.ELEVENLABS, "xi-wrong-key-0001")
            story = await tell(home.box, database)
            assert story.result.outcome == "booked"
            assert {item.split(".")[1] for item in story.booked if "elevenlabs" in item} == {
                "stt",
                "tts",
            }
            row = await home.key()
            assert (row.is_valid, row.usage_count) == (False, 0)

    virtual(scene())


def test_a_call_goes_on_while_its_tenants_key_is_sealed_anew_and_nobody_else_sees_it(
    virtual,
    box,
    database,
):
    async def scene() -> None:
        async with house(box, database, mind="openai", mind_options={"keys": {OWN}}) as home:
            await home.own(Provider.OPENAI, OWN)
            calling = asyncio.ensure_future(tell(home.box, database))
            await asyncio.sleep(5)
            pool = home.box.server.pool
            with hold_time():
                both = TenantKeys(db.PostgresKeys(pool), ring("new", "old"), KeyChecks(settings()))
                assert (await both.rotate()).resealed == 1
            story = await calling
            assert story.result.outcome == "booked"
            assert (await home.key()).usage_count == 1
            with hold_time():
                async with pool.tenant(ANNA) as connection:  # another tenant
                    assert await connection.fetch("SELECT id FROM user_api_keys") == []
                    assert await connection.execute("DELETE FROM user_api_keys") == "DELETE 0"
                    assert await connection.fetch("SELECT id FROM call_sessions") == []
            again = await tell(home.box, database)
            assert again.result.outcome == "booked"
            assert (await home.key()).usage_count == 2

    virtual(scene())
