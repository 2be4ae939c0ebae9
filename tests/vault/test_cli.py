"""`voice-server keys`, from the terminal's side."""

from __future__ import annotations

import asyncio
import json

import pytest
from click.testing import CliRunner, Result

from db import open_pool
from tests.db.server import fetch
from tests.db.tenants import ANNA, BERT, add_tenants
from tests.vault.provider import Answers, provider_saying
from tests.vault.rings import SECRETS, entry
from voice_server.cli import main
from voice_server.provider_settings import Provider

KEY = SECRETS[Provider.OPENAI]
ACCEPTS: Answers = {"/models": (200, {"data": []})}
_URLS = [f"VOICE_SERVER_{one.upper()}_API_URL" for one in Provider]


@pytest.fixture
async def inhabited(database: str) -> str:
    pool = await open_pool(database, size=1)
    await add_tenants(pool)
    await pool.close()
    return database


def keys(dsn: str, *arguments: str, stdin: str = "", ring: str = "new", url: str = "") -> Result:
    environment: dict[str, str | None] = {name: url or "http://127.0.0.1:9" for name in _URLS}
    environment |= {
        "DATABASE_URL": dsn,
        "VOICE_SERVER_VAULT_KEYS": ",".join(map(entry, ring.split(","))) if ring else None,
    }
    return CliRunner().invoke(main, ["keys", *arguments], input=stdin, env=environment)


def tenant(user_id: str = ANNA) -> tuple[str, str]:
    return ("--tenant", user_id)


def test_a_key_comes_from_stdin_and_is_listed_without_its_text(inhabited: str) -> None:
    added = keys(inhabited, "add", "openai", *tenant(), "--unchecked", stdin=f"{KEY}\n")
    assert added.output == "openai: stored; not tried\n"
    assert added.exit_code == 0

    listed = json.loads(keys(inhabited, "list", *tenant(), "--json").output)
    assert listed["tenant"] == ANNA
    (row,) = listed["keys"]
    assert set(row) == {
        *("provider", "is_valid", "last_validated", "usage_count", "created_at", "updated_at")
    }
    assert (row["provider"], row["is_valid"], row["last_validated"]) == ("openai", True, None)
    shown = keys(inhabited, "list", *tenant()).output
    assert shown == "openai      valid    used      0  never tried\n"


def test_a_tenant_may_be_named_by_its_address(inhabited: str) -> None:
    keys(inhabited, "add", "grok", "--tenant", "ANNA@example.com", "--unchecked", stdin=KEY)
    assert "grok" in keys(inhabited, "list", *tenant()).output
    assert "no keys: calls use the server's" in keys(inhabited, "list", *tenant(BERT)).output


async def test_adding_and_validating_ask_the_provider(inhabited: str) -> None:
    async with provider_saying(ACCEPTS) as desk:

        def run(*arguments: str, stdin: str = "") -> Result:
            return keys(inhabited, *arguments, stdin=stdin, url=desk.url)

        added = await asyncio.to_thread(run, "add", "openai", *tenant(), stdin=KEY)
        assert added.output == "openai: stored; the provider accepts it\n"
        desk.answers = {"/models": (401, {})}
        refused = await asyncio.to_thread(run, "validate", *tenant(), "--json")
        assert json.loads(refused.output) == {"openai": "refused"}
        assert refused.exit_code == 1
        assert "INVALID" in (await asyncio.to_thread(run, "list", *tenant())).output
        other = await asyncio.to_thread(run, "add", "openai", *tenant(), stdin=KEY + "x")
        assert other.exit_code == 1
        assert "not stored; the provider refuses it" in other.output
        desk.answers = ACCEPTS
        good = await asyncio.to_thread(run, "validate", "openai", *tenant())
        assert (good.exit_code, good.output.split()[:2]) == (0, ["openai", "accepted"])


def test_rotation_tells_what_it_did_and_fails_where_a_master_key_is_lost(inhabited: str) -> None:
    for who, ring in ((ANNA, "old"), (BERT, "lost")):
        keys(inhabited, "add", "openai", *tenant(who), "--unchecked", stdin=KEY, ring=ring)
    first = keys(inhabited, "rotate", ring="new,old")
    assert first.exit_code == 1
    assert "1 keys sealed anew under new, 0 were already" in first.output
    assert f"{BERT} openai: its seal does not open" in first.output

    assert keys(inhabited, "remove", "openai", *tenant(BERT)).output == "openai: removed\n"
    second = keys(inhabited, "rotate", ring="new,old")
    assert (second.exit_code, second.output) == (
        0,
        "0 keys sealed anew under new, 1 were already\n",
    )


@pytest.mark.parametrize(
    ("arguments", "stdin", "ring", "problem"),
    [
        (["add", "openai", *tenant()], KEY, "", "VOICE_SERVER_VAULT_KEYS: missing"),
        (["rotate"], "", "", "openssl rand -base64 32"),
        (["add", "openai", *tenant()], "", "new", "no key: give it on stdin"),
        (["add", "openai", *tenant()], "two words", "new", "cannot be such a key"),
        (["add", "twilio", *tenant(), "--unchecked"], KEY, "new", "ACCOUNT_SID:AUTH_TOKEN"),
        (["add", "nobody", *tenant()], KEY, "new", "'nobody' is not one of"),
        (["add", "openai"], KEY, "new", "Missing option '--tenant'"),
        (["add", "openai", "--tenant", "x@example.com"], KEY, "new", "--tenant: neither the id"),
        (
            ["add", "openai", *tenant("dddddddd-0000-4000-8000-000000000004"), "--unchecked"],
            KEY,
            "new",
            "there is no such user",
        ),
        (["remove", "openai", *tenant()], "", "new", "no such key is stored"),
    ],
)
def test_what_is_wrong_is_said_and_no_key_is_repeated(
    inhabited: str, arguments: list[str], stdin: str, ring: str, problem: str
) -> None:
    result = keys(inhabited, *arguments, stdin=stdin, ring=ring)
    assert result.exit_code != 0
    assert problem in result.output
    assert KEY not in result.output
    assert "Traceback" not in result.output


def test_a_malformed_ring_is_named_like_every_setting(inhabited: str) -> None:
    result = CliRunner().invoke(
        main,
        ["keys", "rotate"],
        env={"DATABASE_URL": inhabited, "VOICE_SERVER_VAULT_KEYS": "new:c2VjcmV0LXBhcnQ="},
    )
    assert "VOICE_SERVER_VAULT_KEYS: key 1 has 11 bytes, wanted 32" in result.output
    assert "c2VjcmV0" not in result.output


def test_a_key_can_never_be_an_argument(inhabited: str) -> None:
    result = keys(inhabited, "add", "openai", KEY, *tenant())
    assert result.exit_code == 2


async def test_what_lies_in_the_table_is_sealed(inhabited: str) -> None:
    await asyncio.to_thread(keys, inhabited, "add", "openai", *tenant(), "--unchecked", stdin=KEY)
    (row,) = await fetch(inhabited, "SELECT * FROM user_api_keys")
    assert row["api_key_encrypted"].startswith("v1:new:")
    assert KEY not in str(dict(row))
