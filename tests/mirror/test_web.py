"""Web clients are admitted to the live calls of the user who has signed in, and to no others."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from starlette.applications import Starlette

from tests.db.tenants import ANNA, BERT
from tests.mirror.test_rules import EXCHANGE
from voice_server.cli import main
from voice_server.mirror.database import SERVER_UID
from voice_server.mirror.tokens import WebTokens
from voice_server.mirror.web import TOKEN_PATH, token_route
from voice_server.testing.lab.firebase import FirebaseLab
from voice_server.testing.lab.host import hosting

SECRET = SecretStr("a secret of the project, long enough")
NODE = {"status": "live", "seq": 1, "updated_at": {".sv": "timestamp"}, "expires_at": 1}


def access(user_id: str, secret: str = SECRET.get_secret_value(), **changes: Any) -> str:
    claims = {"sub": user_id, "aud": "authenticated", "exp": time.time() + 60} | changes
    present = {key: value for key, value in claims.items() if value is not None}
    return jwt.encode(present, secret, algorithm="HS256")


class Site:
    """Our server's route, and the database with a call of Anna's and one of Bert's."""

    def __init__(self, server: httpx.AsyncClient, database: httpx.AsyncClient) -> None:
        self._server = server
        self._database = database

    async def ask(self, authorization: str) -> httpx.Response:
        headers = {"Authorization": authorization, "Origin": "https://app.example.com"}
        return await self._server.post(TOKEN_PATH, headers=headers)

    async def preflight(self) -> httpx.Response:
        headers = {
            "Origin": "https://app.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        return await self._server.options(TOKEN_PATH, headers=headers)

    async def read(self, token: str, path: str) -> int:
        body = {"token": token, "returnSecureToken": True}
        signed_in = await self._database.post(EXCHANGE, json=body)
        query = {"auth": signed_in.json()["idToken"]}
        return (await self._database.get(f"{path}.json", params=query)).status_code


@asynccontextmanager
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    lab = FirebaseLab()
    async with hosting(lab.app) as url:
        key = tmp_path / "key.json"
        key.write_text(json.dumps(lab.key_file(url)))
        route = token_route(WebTokens(key), SECRET, "https://demo.firebaseio.com")
        async with (
            hosting(Starlette(routes=[route])) as ours,
            httpx.AsyncClient(base_url=ours) as server,
            httpx.AsyncClient(base_url=url) as database,
        ):
            await database.patch(
                "/live.json",
                params={"auth_variable_override": json.dumps({"uid": SERVER_UID})},
                headers={"Authorization": "Bearer owner"},
                json={f"{ANNA}/call-a": NODE, f"{BERT}/call-b": NODE},
            )
            yield Site(server, database)


async def test_who_has_signed_in_watches_their_own_calls_and_no_other_tenants(tmp_path):
    async with site(tmp_path) as here:
        answer = await here.ask(f"Bearer {access(ANNA)}")
        assert answer.status_code == 200
        told = answer.json()
        assert (told["path"], told["database_url"]) == (
            f"/live/{ANNA}",
            "https://demo.firebaseio.com",
        )
        assert await here.read(told["token"], f"/live/{ANNA}") == 200
        assert await here.read(told["token"], f"/live/{BERT}") == 401
        assert await here.read(told["token"], "/live") == 401


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Basic abc",
        "Bearer nonsense",
        f"Bearer {'x' * 9_000}",
        f"Bearer {access(ANNA, 'a secret of somebody else, as long')}",
        f"Bearer {access(ANNA, exp=time.time() - 1)}",
        f"Bearer {access(ANNA, exp=None)}",
        f"Bearer {access(ANNA, aud='anon')}",
        f"Bearer {access(ANNA, aud=None)}",
        f"Bearer {access('not-a-user')}",
        f"Bearer {access(ANNA, sub=None)}",
        "Bearer " + jwt.encode({"sub": ANNA, "aud": "authenticated"}, None, algorithm="none"),
    ],
)
async def test_nobody_else_gets_a_token(tmp_path, authorization):
    async with site(tmp_path) as here:
        answer = await here.ask(authorization)
        assert answer.status_code == 401
        assert list(answer.json()) == ["error"]


async def test_pages_of_other_hosts_may_ask(tmp_path):
    async with site(tmp_path) as here:
        assert (await here.preflight()).status_code == 200
        answer = await here.ask(f"Bearer {access(ANNA)}")
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.postgres
def test_the_command_prints_what_a_web_client_needs(tmp_path, postgres):
    key = tmp_path / "key.json"
    key.write_text(json.dumps(FirebaseLab().key_file("http://127.0.0.1:9")))
    environment = {
        "DATABASE_URL": postgres,
        "VOICE_SERVER_INSECURE_WEBHOOKS": "1",
        "VOICE_SERVER_FIREBASE_DATABASE_URL": "https://demo.firebaseio.com",
        "VOICE_SERVER_FIREBASE_CREDENTIALS": str(key),
    }
    words = ["mirror", "token", "--tenant", ANNA]
    result = CliRunner(env=environment).invoke(main, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    claims = jwt.decode(told["token"], options={"verify_signature": False})
    assert claims["claims"]["tenant_id"] == ANNA
    assert told["path"] == f"/live/{ANNA}"

    without = CliRunner(env=environment | {"VOICE_SERVER_FIREBASE_CREDENTIALS": ""})
    refused = without.invoke(main, words)
    assert refused.exit_code == 1
    unknown = CliRunner(env=environment).invoke(main, [*words[:-1], "nobody@example.com"])
    assert "neither the id nor" in unknown.output
