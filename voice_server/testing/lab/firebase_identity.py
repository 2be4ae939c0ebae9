"""Who is asking a simulated Firebase: service accounts, access tokens, people signed in."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ADMIN = object()  # the rules are not asked
_AUDIENCE = (
    "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"
)
_LIFE_S = 3600
_CUSTOM_LIFE_MOST_S = 3600
_DATABASE_SCOPES = {  # one of them
    "https://www.googleapis.com/auth/firebase.database",
    "https://www.googleapis.com/auth/firebase",
}
_EMAIL_SCOPE = "https://www.googleapis.com/auth/userinfo.email"


class Unauthorized(Exception):
    """A token will not do; the text is the answer's `error`."""


class Identity:
    """One service account, and all tokens given out under it. Times are wall clock seconds."""

    def __init__(self, project: str, wall_clock: Callable[[], float]) -> None:
        self._project = project
        self._wall_clock = wall_clock
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.email = f"voice-server@{project}.iam.gserviceaccount.com"
        self._access: dict[str, float] = {}
        self._people: dict[str, tuple[float, dict[str, Any]]] = {}
        self._refresh: dict[str, dict[str, Any]] = {}

    def key_file(self, token_uri: str) -> dict[str, Any]:
        """What the console would let one download; `token_uri` is where we are asked."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "project_id": self._project,
            "private_key_id": "lab",
            "private_key": pem.decode(),
            "client_email": self.email,
            "client_id": "1",
            "token_uri": token_uri,
        }

    def grant(self, assertion: str) -> dict[str, Any]:
        """An access token for what a service account has signed; raises `Unauthorized`."""
        claims = self._signed(assertion)
        scopes = set(str(claims.get("scope", "")).split())
        enough = _EMAIL_SCOPE in scopes and scopes & _DATABASE_SCOPES
        if claims.get("iss") != self.email or not enough:
            raise Unauthorized("invalid_grant")
        token = f"ya29.{secrets.token_urlsafe(24)}"
        self._access[token] = self._wall_clock() + _LIFE_S
        return {"access_token": token, "expires_in": _LIFE_S, "token_type": "Bearer"}

    def revoke(self) -> None:
        """No access token is good any more."""
        self._access.clear()

    def sign_in(self, custom_token: str) -> dict[str, Any]:
        """Exchange a custom token as the client SDK does; raises `Unauthorized`."""
        claims = self._signed(custom_token)
        issued, ends = claims.get("iat", 0), claims.get("exp", 0)
        if claims.get("iss") != self.email or claims.get("aud") != _AUDIENCE:
            raise Unauthorized("CREDENTIAL_MISMATCH")
        if not 0 < ends - issued <= _CUSTOM_LIFE_MOST_S:
            raise Unauthorized("INVALID_CUSTOM_TOKEN")
        return self._session(claims["uid"], claims.get("claims", {}))

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        """A new id token of the same session; raises `Unauthorized`."""
        session = self._refresh.get(refresh_token)
        if session is None:
            raise Unauthorized("INVALID_REFRESH_TOKEN")
        return self._session(session["uid"], session["claims"])

    def _session(self, uid: str, claims: dict[str, Any]) -> dict[str, Any]:
        ends = self._wall_clock() + _LIFE_S
        token = {"sub": uid, "user_id": uid, "aud": self._project, "exp": int(ends), **claims}
        id_token = ".".join((_coded({"alg": "RS256"}), _coded(token), secrets.token_urlsafe(32)))
        refresh_token = secrets.token_urlsafe(24)
        auth = {"uid": uid, "provider": "custom", "token": token}
        self._people[id_token] = (ends, auth)
        self._refresh[refresh_token] = {"uid": uid, "claims": claims}
        return {"idToken": id_token, "refreshToken": refresh_token, "expiresIn": str(_LIFE_S)}

    def of_bearer(self, token: str) -> object:
        """Whose an access token is; raises `Unauthorized`. The emulator's `owner` is admin."""
        if token == "owner":
            return ADMIN
        if self._access.get(token, 0.0) <= self._wall_clock():
            raise Unauthorized("Could not parse auth token.")
        return ADMIN

    def of_person(self, id_token: str) -> dict[str, Any]:
        """`auth` of somebody signed in; raises `Unauthorized`."""
        ends, auth = self._people.get(id_token, (None, {}))
        if ends is None:
            raise Unauthorized("Could not parse auth token.")
        if ends <= self._wall_clock():
            raise Unauthorized("Auth token is expired")
        return auth

    def _signed(self, token: str) -> dict[str, Any]:
        """The claims of a JWT signed by the service account and not expired."""
        try:
            signed, _, signature = token.rpartition(".")
            self._key.public_key().verify(
                _decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            claims = msgspec.json.decode(_decoded(signed.split(".")[1]), type=dict[str, Any])
        except (InvalidSignature, binascii.Error, msgspec.MsgspecError, IndexError):
            raise Unauthorized("INVALID_CUSTOM_TOKEN") from None
        if claims.get("exp", 0) <= self._wall_clock():
            raise Unauthorized("TOKEN_EXPIRED")
        return claims


def _coded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
