"""The rules we ship, against real requests of web clients and of the server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.mirror.states import state
from voice_server.errors import ConfigurationError
from voice_server.mirror.node import leaves_of, nested
from voice_server.mirror.tokens import WebTokens
from voice_server.testing.lab.firebase import FirebaseLab, shipped_rules
from voice_server.testing.lab.firebase_rules import Rules, RulesError
from voice_server.testing.lab.host import hosting

NOW = 1_800_000_000.0
EXCHANGE = "/identitytoolkit.googleapis.com/v1/accounts:signInWithCustomToken?key=web"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Web:
    """A database in which two tenants have a call each, and browsers that sign in."""

    def __init__(self, lab: FirebaseLab, client: httpx.AsyncClient, key: Path, clock: Clock):
        self.lab, self.client, self.clock = lab, client, clock
        self.tokens = WebTokens(key, wall_clock=clock)

    async def sign_in(self, token: str) -> str:
        answer = await self.client.post(EXCHANGE, json={"token": token, "returnSecureToken": True})
        answer.raise_for_status()
        return answer.json()["idToken"]

    async def get(self, path: str, id_token: str = "", **more: str) -> httpx.Response:
        query = more | ({"auth": id_token} if id_token else {})
        return await self.client.get(f"/{path}.json", params=query)

    async def as_server(self, method: str, path: str, body: Any, uid: str = "voice-server") -> int:
        override = {"auth_variable_override": json.dumps({"uid": uid}), "print": "silent"}
        headers = {"Authorization": "Bearer owner"}
        answer = await self.client.request(
            method, f"/{path}.json", params=override, headers=headers, json=body
        )
        return answer.status_code


def node(sequence: int = 1, outcome: str = "", **more: Any) -> dict[str, Any]:
    leaves = leaves_of(state(sequence, outcome))
    times = {"updated_at": {".sv": "timestamp"}, "expires_at": int(NOW * 1000) + 60_000}
    return nested(leaves | times) | more


@asynccontextmanager
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    clock = Clock()
    lab = FirebaseLab(wall_clock=clock)
    async with hosting(lab.app) as url, httpx.AsyncClient(base_url=url) as client:
        key = tmp_path / "key.json"
        key.write_text(json.dumps(lab.key_file(url)))
        made = Web(lab, client, key, clock)
        both = {"tenant-a/call-a": node(), "tenant-b/call-b": node()}
        assert await made.as_server("PATCH", "live", both) == 204
        yield made


async def test_a_tenants_client_reads_its_own_calls_and_nobody_elses(tmp_path):
    async with web(tmp_path) as site:
        ann = await site.sign_in(site.tokens.mint("tenant-a", "ann"))
        own = await site.get("live/tenant-a", ann)
        assert own.status_code == 200
        assert list(own.json()) == ["call-a"]
        assert (await site.get("live/tenant-a/call-a/status", ann)).json() == "live"
        for path in ("live/tenant-b", "live/tenant-b/call-b", "live", "", "live/tenant-c"):
            refused = await site.get(path, ann)
            assert (refused.status_code, refused.json()) == (401, {"error": "Permission denied"})
        stream = await site.client.get(
            "/live/tenant-b.json",
            params={"auth": ann},
            headers={"accept": "text/event-stream"},
        )
        assert stream.status_code == 401


async def test_a_tenants_client_listens_to_its_own_calls(tmp_path):
    async with web(tmp_path) as site:
        ann = await site.sign_in(site.tokens.mint("tenant-a", "ann"))
        listening = site.client.stream(
            "GET",
            "/live/tenant-a.json",
            params={"auth": ann},
            headers={"accept": "text/event-stream"},
        )
        async with listening as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == "event: put"
            assert '"call-a"' in await anext(lines)
            await anext(lines)
            await site.as_server("PATCH", "live", {"tenant-b/call-b": node(2)})
            await site.as_server("PATCH", "live", {"tenant-a/call-a": node(2)})
            assert await anext(lines) == "event: put"
            assert '"path":"/call-a"' in await anext(lines)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "live/tenant-a/call-a", node(9)),
        ("PATCH", "live/tenant-a/call-a", {"status": "ended"}),
        ("DELETE", "live/tenant-a/call-a", None),
        ("POST", "live/tenant-a", node(9)),
        ("PUT", "live/tenant-b/call-b", node(9)),
        ("PUT", "elsewhere", 1),
    ],
)
async def test_no_client_writes_anything(tmp_path, method, path, body):
    async with web(tmp_path) as site:
        before = site.lab.value("live")
        ann = await site.sign_in(site.tokens.mint("tenant-a", "ann"))
        for query in ({"auth": ann}, {}):
            answer = await site.client.request(method, f"/{path}.json", params=query, json=body)
            assert answer.status_code == 401
        assert site.lab.value("") == {"live": before}


async def test_whoever_has_not_signed_in_sees_nothing(tmp_path):
    async with web(tmp_path) as site:
        for path in ("", "live", "live/tenant-a", "live/tenant-a/call-a/status"):
            assert (await site.get(path)).status_code == 401
        assert (await site.get("live/tenant-a", "made.up.token")).status_code == 401


async def test_admission_ends_even_for_a_client_that_renews_its_session(tmp_path):
    async with web(tmp_path) as site:
        first = site.lab.identity.sign_in(site.tokens.mint("tenant-a", "ann"))
        site.clock.now += 3_590
        renewed = site.lab.identity.refresh(first["refreshToken"])["idToken"]
        assert (await site.get("live/tenant-a", renewed)).status_code == 200
        site.clock.now += 20
        assert (await site.get("live/tenant-a", first["idToken"])).status_code == 401
        assert (await site.get("live/tenant-a", renewed)).status_code == 401


async def test_a_custom_token_is_good_for_minutes_only(tmp_path):
    async with web(tmp_path) as site:
        token = site.tokens.mint("tenant-a", "ann")
        site.clock.now += 301
        answer = await site.client.post(EXCHANGE, json={"token": token})
        assert answer.status_code == 400
        assert "TOKEN_EXPIRED" in answer.text


async def test_nobody_becomes_the_server_by_his_name(tmp_path):
    async with web(tmp_path) as site:
        sly = await site.sign_in(site.tokens.mint("tenant-a", "voice-server"))
        assert (await site.get("live", sly)).status_code == 401


@pytest.mark.parametrize(("tenant", "user"), [("", "ann"), ("t", ""), ("t", "x" * 125)])
async def test_a_token_needs_a_tenant_and_a_person(tmp_path, tenant, user):
    async with web(tmp_path) as site:
        with pytest.raises(ValueError, match="a tenant and a user id"):
            site.tokens.mint(tenant, user)


@pytest.mark.parametrize("content", ["", "{}", '{"type": "service_account", "private_key": "no"}'])
def test_a_key_file_that_is_none_is_told_without_its_content(tmp_path, content):
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="VOICE_SERVER_FIREBASE_CREDENTIALS") as wrong:
        WebTokens(path)
    assert wrong.value.__cause__ is None
    assert wrong.value.__suppress_context__


@pytest.mark.parametrize(
    "body",
    [
        {"tenant-a/call-a": {"status": "live", "seq": 3}},  # neither when nor until when
        {"tenant-a/call-a": node(3, status="odd")},
        {"tenant-a/call-a": node(3, seq="three")},
        {"tenant-a/call-a": node(0)},  # older than what is there
        {"tenant-a/call-a/seq": 0},
        {"tenant-a/call-a": node(3, updated_at=17)},
        {"tenant-b/call-b": node(3), "tenant-a/call-a/status": None},  # all or nothing
    ],
)
async def test_the_server_itself_cannot_write_nonsense(tmp_path, body):
    async with web(tmp_path) as site:
        before = site.lab.value("live")
        assert await site.as_server("PATCH", "live", body) == 401
        assert site.lab.value("live") == before


async def test_the_server_writes_changes_and_deletes_and_others_do_not(tmp_path):
    async with web(tmp_path) as site:
        change = {"tenant-a/call-a/seq": 2, "tenant-a/call-a/status": "ended"}
        assert await site.as_server("PATCH", "live", change, uid="somebody") == 401
        assert await site.as_server("PATCH", "live", change) == 204
        assert await site.as_server("PATCH", "live", {"tenant-a/call-a": None}) == 204
        assert await site.as_server("PUT", "elsewhere", 1) == 401
        assert list(site.lab.value("live")) == ["tenant-b"]


TRUE = [
    "true",
    "1 < 2 && 'a' < 'b'",
    "!(1 > 2) || false",
    "auth.token.n === 3",
    "auth.token['n'] + 1 == 4",
    "auth.uid.length > 2",
    "auth.uid.beginsWith('an') && auth.uid.contains('nn')",
    "data.child('k').val() === 'v'",
    "data.hasChild('k') && data.hasChildren() && data.hasChildren(['k'])",
    "root.child('a/k').exists() && newData.child('k').isString()",
    "$who === 'a' && now >= 5 && data.child('none').val() === null",
    "auth.token.missing === null",
]
FALSE = [
    "false",
    "1",  # not a condition
    "auth.token.missing.more === 1",
    "auth.uid > 3",
    "true === 1",
    "data.val() === 'v'",
    "data.isNumber() || data.isBoolean()",
    "data.child(3).exists()",
    "auth.uid.toUpperCase() === 'ANN'",
]


@pytest.mark.parametrize(
    ("expression", "expected"), [(x, True) for x in TRUE] + [(x, False) for x in FALSE]
)
def test_expressions_mean_what_they_say(expression, expected):
    rules = Rules({"rules": {"$who": {".read": expression}}})
    auth = {"uid": "ann", "token": {"n": 3}}
    assert rules.may_read(("a",), auth, {"a": {"k": "v"}}, 5) is expected


@pytest.mark.parametrize(
    "expression",
    ["", "1 +", "who === 1", "(true", "a.b", "true true", "data.matches(/x/)", "'open", "[1, 2"],
)
def test_what_is_not_understood_is_an_error_when_the_rules_are_loaded(expression):
    with pytest.raises(RulesError):
        Rules({"rules": {".read": expression}})


def test_a_rule_of_an_unknown_kind_is_an_error():
    with pytest.raises(RulesError, match="not known"):
        Rules({"rules": {".raed": True}})


def test_what_is_granted_above_cannot_be_taken_back_below():
    rules = Rules({"rules": {"a": {".read": True, "b": {".read": False}}}})
    assert rules.may_read(("a", "b"), None, None, 0)
    assert not rules.may_read(("b",), None, None, 0)


def test_the_shipped_rules_index_what_the_sweeper_asks_for():
    assert shipped_rules().indexed(("live", "any-tenant"), "expires_at")
    assert not shipped_rules().indexed(("live",), "expires_at")
