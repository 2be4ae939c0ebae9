"""Hands a tenant's web client the token with which it watches its own live calls."""

from __future__ import annotations

import logging
from typing import Final
from uuid import UUID

import jwt
from pydantic import SecretStr
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voice_server.errors import Refused
from voice_server.mirror.tokens import EXCHANGE_S, WebTokens

TOKEN_PATH: Final = "/mirror/token"
_AUDIENCE: Final = "authenticated"  # of the access tokens that Supabase issues to people
_TOKEN_MOST: Final = 8_192

log = logging.getLogger(__name__)


def tenant_of(authorization: str, secret: SecretStr) -> str:
    """The user id of a Supabase access token; raises `Refused`."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= _TOKEN_MOST:
        raise Refused("Authorization: send `Bearer` and the access token", status=401)
    try:
        claims = jwt.decode(
            token,
            secret.get_secret_value(),
            algorithms=["HS256"],
            audience=_AUDIENCE,
            options={"require": ["exp", "sub"]},
        )
        return str(UUID(claims["sub"]))
    except (jwt.InvalidTokenError, ValueError):
        problem = "Authorization: not a valid access token; sign in again"
        raise Refused(problem, status=401) from None


def token_route(tokens: WebTokens, secret: SecretStr, database_url: str) -> Route:
    """POST, with the access token of a signed-in user; answers for that user's calls alone.

    Any page may ask: there are no cookies, so only who has the access token gets anything.
    """

    async def answer(request: Request) -> Response:
        try:
            user_id = tenant_of(request.headers.get("authorization", ""), secret)
        except Refused as refused:
            log.info("a web client is refused", extra={"path": TOKEN_PATH})
            return JSONResponse({"error": str(refused)}, refused.status)
        return JSONResponse(admission(tokens, user_id, database_url))

    anywhere = Middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["POST"], allow_headers=["authorization"]
    )
    return Route(TOKEN_PATH, answer, methods=["POST", "OPTIONS"], middleware=[anywhere])


def admission(tokens: WebTokens, user_id: str, database_url: str) -> dict[str, object]:
    """What a web client needs to watch the live calls of one tenant."""
    return {
        "token": tokens.mint(user_id, user_id),
        "exchange_within_s": EXCHANGE_S,
        "database_url": database_url,
        "path": f"/live/{user_id}",
    }
